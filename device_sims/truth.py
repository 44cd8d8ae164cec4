"""The ground-truth file: JSON Lines that only the score reads, never a device, broker or agent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec
from msgspec import Struct

from edge_agent.contract.errors import ConfigError

Cause = Literal["pick", "return", "restock"]
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


class ItemsMoved(Record, frozen=True, kw_only=True, tag="moved"):
    """Items left or came; `occurred_at` is the last item's moment, `at_rest_at` when the plate was still."""

    facing: str
    gtin: str
    cause: Cause
    quantity: int
    on_hand: int
    started_at: datetime
    at_rest_at: datetime


class Crossed(Record, frozen=True, kw_only=True, tag="crossed"):
    """Somebody's feet passed the counting line."""

    line: str
    direction: Direction


class LineChanged(Record, frozen=True, kw_only=True, tag="line"):
    """The line to HQ was cut or came back."""

    state: Literal["cut", "back"]


class CableChanged(Record, frozen=True, kw_only=True, tag="cable"):
    """A device lost its cable or got it back."""

    device: str
    state: Literal["unplugged", "plugged"]


class Closed(Record, frozen=True, kw_only=True, tag="closed"):
    """The last line: nothing moves any more."""


AnyRecord = Opened | ItemsMoved | Crossed | LineChanged | CableChanged | Closed


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
    if not records or not isinstance(records[0], Opened):
        raise ConfigError(f"{path}:1:1 does not begin with the store's opening", hint="was the store opened?")
    return Truth(
        records[0],
        [r for r in records if isinstance(r, ItemsMoved)],
        [r for r in records if isinstance(r, Crossed)],
        [r for r in records if isinstance(r, LineChanged)],
        closed=any(isinstance(r, Closed) for r in records),
    )
