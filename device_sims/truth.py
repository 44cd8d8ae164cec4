"""The ground-truth file: JSON Lines that only the score reads, never a device, broker or agent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec
from msgspec import Struct

from device_sims.world import BagMoved, Delivered, Left, Moved, Occurrence
from edge_agent.contract.errors import ConfigError

Cause = Literal["pick", "return", "restock", "misplace"]
Direction = Literal["entered", "exited"]


class Record(Struct, frozen=True, kw_only=True, tag_field="truth"):
    """Base of every line; `occurred_at` is when it happened."""

    occurred_at: datetime


class Stocked(Struct, frozen=True, kw_only=True):
    """What lay on one facing when the store opened."""

    facing: str
    gtin: str
    on_hand: int


class Opened(Record, frozen=True, kw_only=True, tag="opened"):
    """The first line: who, from which seed, with what on the shelves. `door` tells if crossings are known."""

    store: str
    seed: int
    seconds: float
    door: bool
    facings: list[Stocked]


class ItemsMoved(Record, frozen=True, kw_only=True, omit_defaults=True, tag="moved"):
    """Items left or came; `occurred_at` is the last item's moment, `at_rest_at` when its plates were still.

    `across`, where some of the facing's items lie across afterwards: neighbour to the grams of them that the
    neighbour's plate bears. They count on their own facing.
    """

    facing: str
    gtin: str
    cause: Cause
    quantity: int
    on_hand: int
    started_at: datetime
    at_rest_at: datetime
    across: dict[str, float] = {}


class Crossed(Record, frozen=True, kw_only=True, tag="crossed"):
    """Somebody's feet passed the counting line."""

    line: str
    direction: Direction


class LineChanged(Record, frozen=True, kw_only=True, tag="line"):
    """The line to HQ was cut or came back."""

    state: Literal["cut", "back"]


class FaultChanged(Record, frozen=True, kw_only=True, tag="fault"):
    """Something broke, or is whole again."""

    fault: str
    devices: list[str]
    state: Literal["began", "ended"]


class BagChanged(Record, frozen=True, kw_only=True, tag="bag"):
    """Something that is no item was laid onto a facing's plate, or taken away."""

    facing: str
    weight_g: float
    state: Literal["laid", "taken"]


class ShopperLeft(Record, frozen=True, kw_only=True, tag="left"):
    """Somebody left with so many items of each GTIN: paid for, or not."""

    paid: bool
    items: dict[str, int]


class ItemsDelivered(Record, frozen=True, kw_only=True, tag="delivered"):
    """So many items of a product came into the back room."""

    gtin: str
    quantity: int


class Closed(Record, frozen=True, kw_only=True, tag="closed"):
    """The last line: nothing moves any more."""


AnyRecord = (
    Opened
    | ItemsMoved
    | Crossed
    | LineChanged
    | FaultChanged
    | BagChanged
    | ShopperLeft
    | ItemsDelivered
    | Closed
)


def truth_of(occurred: Occurrence, opened_s: float, opened_at: datetime) -> AnyRecord:
    """What occurred in the world as a line of the truth file: its clock was `opened_s` at `opened_at`."""

    def wall(at_s: float) -> datetime:
        return opened_at + timedelta(seconds=at_s - opened_s)

    at = wall(occurred.moved_s)
    match occurred:
        case Moved():
            return ItemsMoved(
                occurred_at=at,
                facing=occurred.facing,
                gtin=occurred.gtin,
                cause=occurred.cause,
                quantity=occurred.quantity,
                on_hand=occurred.on_hand,
                started_at=wall(occurred.started_s),
                at_rest_at=wall(occurred.at_rest_s),
                across={name: round(grams, 2) for name, grams in occurred.across.items()},
            )
        case BagMoved(facing=facing, weight_g=weight_g, laid=laid):
            return BagChanged(
                occurred_at=at, facing=facing, weight_g=weight_g, state="laid" if laid else "taken"
            )
        case Left(paid=paid, items=items):
            return ShopperLeft(occurred_at=at, paid=paid, items=items)
        case Delivered(gtin=gtin, quantity=quantity):
            return ItemsDelivered(occurred_at=at, gtin=gtin, quantity=quantity)


class TruthFile:
    """Appends records, each on disk before `write` returns. `path` None keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("wb") if path is not None else None
        self._encode = msgspec.json.Encoder().encode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, record: AnyRecord) -> None:
        """Add one line."""
        if self._file is not None:
            self._file.write(self._encode(record) + b"\n")
            self._file.flush()


@dataclass(frozen=True, slots=True)
class Truth:
    """A whole truth file, sorted by kind."""

    opened: Opened
    moved: list[ItemsMoved]
    crossed: list[Crossed]
    line: list[LineChanged]
    closed: bool

    def final_on_hand(self) -> dict[str, int]:
        """Facing to what truly lies there at the end."""
        final = {stocked.facing: stocked.on_hand for stocked in self.opened.facings}
        return final | {moved.facing: moved.on_hand for moved in self.moved}

    def outages(self) -> list[tuple[datetime, datetime | None]]:
        """Each cut of the line as (cut, back); `back` is None when it never came back."""
        outages: list[tuple[datetime, datetime | None]] = []
        for change in self.line:
            if change.state == "cut":
                outages.append((change.occurred_at, None))
            elif outages:
                outages[-1] = (outages[-1][0], change.occurred_at)
        return outages


def read_truth(path: Path) -> Truth:
    """A truth file as written by TruthFile; ConfigError names the line that does not fit."""
    decode = msgspec.json.Decoder(AnyRecord).decode
    records: list[AnyRecord] = []
    try:
        lines: Sequence[bytes] = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(
            f"{path}: truth cannot be read: {error.strerror}", hint="give it with --truth"
        ) from error
    for number, line in enumerate(lines, 1):
        try:
            records.append(decode(line))
        except msgspec.DecodeError as error:
            raise ConfigError(f"{path}:{number}:1 not a line of ground truth: {error}") from error
    opened = next((r for r in records if not isinstance(r, FaultChanged | LineChanged)), None)
    if not isinstance(opened, Opened):
        raise ConfigError(f"{path}:1:1 does not begin with the store's opening", hint="was the store opened?")
    return Truth(
        opened,
        [r for r in records if isinstance(r, ItemsMoved)],
        [r for r in records if isinstance(r, Crossed)],
        [r for r in records if isinstance(r, LineChanged)],
        closed=any(isinstance(r, Closed) for r in records),
    )
