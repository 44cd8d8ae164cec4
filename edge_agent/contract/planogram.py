"""What should stand where: products, facings, and the planogram that joins them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from edge_agent.contract.gs1 import Gtin

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Product(BaseModel):
    """A trade item. Weights in grams, `tagged` is the share of items that carry an RFID tag."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    gtin: Gtin
    name: str = ""
    unit_weight_g: Annotated[float, Field(gt=0)] | None = None
    unit_weight_sd_g: Annotated[float, Field(ge=0)] | None = None
    tagged: Annotated[float, Field(ge=0, le=1)] = 0.0


class Facing(BaseModel):
    """One item's front on a shelf. `x_mm` and `width_mm` place it on its shelf, from the left."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    id: Identifier
    gtin: Gtin
    capacity: Annotated[int, Field(gt=0, le=10_000)]
    reorder_point: Annotated[int, Field(ge=0)] = 0
    shelf: str | None = None
    x_mm: Annotated[float, Field(ge=0)] | None = None
    width_mm: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _reorder_below_capacity(self) -> Self:
        if self.reorder_point > self.capacity:
            raise ValueError(f"reorder_point {self.reorder_point} is above capacity {self.capacity}")
        return self


class Planogram(BaseModel):
    """Products and facings that refer to them; every facing's GTIN has a product, ids are unique."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    products: list[Product] = []
    facings: list[Facing] = []

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for problem in planogram_problems(self.products, self.facings):
            raise ValueError(problem[1])
        return self

    def product(self, gtin: str) -> Product:
        """The product behind a GTIN-14; KeyError when the planogram does not hold it."""
        for product in self.products:
            if product.gtin == gtin:
                return product
        raise KeyError(gtin)


def most_on_hand(capacity: int) -> int:
    """The largest count that somebody may mean: twice what fits, for a full facing with a stack before it."""
    return 2 * capacity


def planogram_problems(
    products: list[Product], facings: list[Facing]
) -> list[tuple[tuple[str | int, ...], str]]:
    """What is inconsistent, as (place, sentence); place is like `("facings", 2, "gtin")`."""
    problems: list[tuple[tuple[str | int, ...], str]] = []
    gtins: set[str] = set()
    for index, product in enumerate(products):
        if product.gtin in gtins:
            problems.append((("products", index, "gtin"), f"{product.gtin} is listed twice"))
        gtins.add(product.gtin)
    ids: set[str] = set()
    for index, facing in enumerate(facings):
        if facing.id in ids:
            problems.append((("facings", index, "id"), f"{facing.id!r} is used twice; ids are unique"))
        ids.add(facing.id)
        if facing.gtin not in gtins:
            text = f"facing {facing.id!r} has GTIN {facing.gtin}, which no product has; add it to products"
            problems.append((("facings", index, "gtin"), text))
    return problems


def plate_problems(facings: Iterable[Facing], plates: Sequence[Sequence[str]]) -> list[tuple[int, str]]:
    """What is wrong with plates, each given by the facings over it, as (number of the plate, sentence).

    A wide facing may lie on several plates. They are weighed together, so everything on them is on one shelf;
    a facing without a shelf has one to itself.
    """
    shelves = {facing.id: facing.shelf or facing.id for facing in facings}
    times = Counter(name for plate in plates for name in set(plate))
    problems: list[tuple[int, str]] = []
    for index, plate in enumerate(plates):
        for wide in (name for name in plate if times[name] > 1):
            strangers = [name for name in plate if shelves.get(name) != shelves.get(wide)]
            if strangers:
                text = f"facing {wide!r} lies on several plates, on this one with {strangers[0]!r}"
                problems.append((index, f"{text} of another shelf; give both the same shelf"))
                break
    return problems
