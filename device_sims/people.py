"""Who comes into a simulated store, and what they do there."""

from __future__ import annotations

from bisect import bisect_right
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from device_sims.part import Part, Range, Share
from edge_agent.contract.gs1 import Gtin
from edge_agent.contract.planogram import Identifier

Rate = Annotated[float, Field(ge=0, le=120)]


class RateFrom(Part):
    """From a share of the run on, so many shoppers come a minute."""

    at_share: Share
    shoppers_per_minute: Rate


class People(Part):
    """How busy the store is. Times in seconds, `rates` change `shoppers_per_minute` on the way.

    Of all acts `misplaces` put an item that was taken back onto a wrong facing, `leaves_bag` lay a bag on the
    plate for `bag_stays_s`; of all shoppers `steals` leave without paying. Of what is put back `lays_across`
    comes to lie across the seam to a neighbour's plate that is at rest, until it is taken or staff fill up.
    """

    shoppers_per_minute: Rate = 6.0
    rates: list[RateFrom] = []
    inside_at_opening: Annotated[int, Field(ge=0)] | None = None
    """None: two, or nobody where nobody comes."""
    visit_s: Range = (18.0, 35.0)
    between_acts_s: Range = (1.5, 3.5)
    walk_to_shelf_s: Annotated[float, Field(ge=0)] = 6.0
    two_at_once: Share = 0.25
    puts_back: Share = 0.22
    misplaces: Share = 0.0
    lays_across: Share = 0.0
    leaves_bag: Share = 0.0
    bag_g: Range = (200.0, 3000.0)
    bag_stays_s: Range = (8.0, 30.0)
    steals: Share = 0.0
    restock_after_s: Range = (4.0, 10.0)
    restock_at_least: Annotated[int, Field(ge=1)] = 5
    plate_rest_s: Annotated[float, Field(gt=0)] = 6.5
    door_gap_s: Annotated[float, Field(gt=0)] = 3.5
    quiet_s: Annotated[float, Field(ge=0)] = 10.0
    every_facing: bool = False
    """Draw until each facing ends elsewhere than it stood at half time: a lost scale must be noticed."""

    @property
    def first_inside(self) -> int:
        """Shoppers who are there when the store opens."""
        if self.inside_at_opening is not None:
            return self.inside_at_opening
        return 2 if self.shoppers_per_minute or any(rate.shoppers_per_minute for rate in self.rates) else 0

    def rate_at(self, share: float) -> float:
        """Shoppers a minute at a share of the run."""
        rates = sorted(self.rates, key=lambda rate: rate.at_share)
        index = bisect_right([rate.at_share for rate in rates], share)
        return rates[index - 1].shoppers_per_minute if index else self.shoppers_per_minute


class Scripted(Part):
    """Something that happens at its moment whatever else the seed brings."""

    at_s: Annotated[float, Field(ge=0)]


class ScriptedAct(Scripted):
    """Items leave or come; a return may lie `across` the seam to the plate of a facing beside it."""

    act: Literal["pick", "return", "restock"]
    facing: Identifier
    quantity: Annotated[int, Field(gt=0)] = 1
    across: Identifier | None = None

    @model_validator(mode="after")
    def _put_back(self) -> Self:
        if self.across is not None and (self.act != "return" or self.quantity != 1):
            raise ValueError("across is for the return of one item")
        return self


class Misplacing(Scripted):
    """One item is taken from `facing` and put onto `onto`, where it does not belong."""

    act: Literal["misplace"]
    facing: Identifier
    onto: Identifier


class Theft(Scripted):
    """Somebody comes in, sweeps `quantity` items off a facing and leaves without paying."""

    act: Literal["theft"]
    facing: Identifier
    quantity: Annotated[int, Field(gt=0)]


class BagLaid(Scripted):
    """A bag, a basket or a leaflet lies on the plate of `facing` for `for_s`."""

    act: Literal["bag"]
    facing: Identifier
    weight_g: Annotated[float, Field(gt=0)]
    for_s: Annotated[float, Field(gt=0)]


class Delivery(Scripted):
    """So many items come into the back room; with `backroom` that is all that staff can fill from."""

    act: Literal["delivery"]
    gtin: Gtin
    quantity: Annotated[int, Field(gt=0)]


Happening = Annotated[ScriptedAct | Misplacing | Theft | BagLaid | Delivery, Field(discriminator="act")]
