"""Why so many are believed to lie on a facing, as facts: what each sensor says of it and what else may be.

The words for it are `live.words`; `GET /v1/facings/{id}` answers with it (`edge_agent.explanation`).
"""

from __future__ import annotations

from msgspec import Struct

from edge_agent.contract.messages import FacingStatus, Source


class Chance(Struct, frozen=True, kw_only=True):
    """So many lie there with this probability."""

    on_hand: int
    probability: float


class Opinion(Struct, frozen=True, kw_only=True):
    """What one sensor alone finds most probable, and how probable it finds the count that is believed."""

    source: Source
    on_hand: int
    probability: float
    of_believed: float


class WeighedItem(Struct, frozen=True, kw_only=True):
    """One kind of item on a plate. Grams for one piece: as printed in the planogram, and as learnt.

    `on_hand`: in the most probable account of the whole plate.
    """

    facing: str
    gtin: str
    on_hand: int
    printed_g: float
    printed_sd_g: float
    unit_g: float
    unit_sd_g: float


class Stranger(Struct, frozen=True, kw_only=True):
    """What lies on a plate and does not belong there, with its probability if the believed count is right.

    `gtin` null: it is nothing that the planogram knows.
    """

    gtin: str | None
    probability: float


class PlateRef(Struct, frozen=True, kw_only=True):
    """One plate of a scale; `channel` null where the scale has one."""

    device: str
    channel: int | None


class PlateAccount(Struct, frozen=True, kw_only=True):
    """A place that is weighed, all its plates together.

    `weight_g`: what they weigh at rest, null while they move or before they have rested. `expected_g`: what
    the items believed there would weigh, with the zero's drift `drift_g`. `foreign_g`: what is foreign there
    weighs so much if it is there. `items` is empty where a weight tells nothing or none has come yet.
    """

    plates: list[PlateRef]
    moving: bool
    weight_g: float | None
    expected_g: float | None
    drift_g: float
    items: list[WeighedItem]
    foreign: list[Stranger]
    foreign_g: float


class TagAccount(Struct, frozen=True, kw_only=True):
    """The tags of a facing's own item. `heard` are there, `silent` may have gone; `doubt` of them unclear.

    `listening`: some reader has heard long enough to speak. Of `known_items`, counted some time ago,
    `without_tag` had none; both 0 where that is not known. `tagged`: the planogram's share of items with one.
    """

    readers: list[str]
    listening: bool
    tagged: float
    heard: int
    silent: int
    doubt: float
    known_items: int
    without_tag: int


class Verdict(Struct, frozen=True, kw_only=True):
    """The last word of one camera: a gap or none, the stocked share it sees, and how long ago it said so.

    `speaks`: it still counts: it is fresh, and nobody has touched the facing since.
    """

    device: str
    gap: bool
    fill: float
    age_s: float
    speaks: bool


class Account(Struct, frozen=True, kw_only=True):
    """What is believed of one facing (as it was told last) and the evidence as it is at this moment.

    `counts`: the most probable counts, the best one first. Times are RFC 3339 in UTC; `interval` of at least
    90 % is null until there was evidence since the start. `in_back_room`: tags of such items that are heard
    behind the sales floor.
    """

    facing: str
    gtin: str
    on_hand: int | None
    confidence: float
    interval: tuple[int, int] | None
    status: FacingStatus
    sources: list[Source]
    reasons: list[str]
    changed_at: str | None
    observed_at: str | None
    reorder_due_at: str | None
    counts: list[Chance]
    alone: list[Opinion]
    plate: PlateAccount | None
    tags: TagAccount | None
    in_back_room: int
    cameras: list[Verdict]
