"""Lines of history: the branches they are made of, and folding their rows to a picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from cloud_bridge.picture import Picture
from cloud_bridge.rows import ReadyRow, decode_body

Place = tuple[int, bytes]
"""A number in a store's history and the chain there."""

RowKey = tuple[int, int]
"""Branch and number of a row of one store."""

Branches = Mapping[int, tuple[int | None, int]]
"""Parent and start of each branch of one store."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a store's current branch ends."""

    branch: int
    name: str
    seq: int
    chain: bytes
    session: str | None
    as_of_seq: int


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows `first <= seq <= last` of one branch."""

    branch: int
    first: int
    last: int


def line_of(branches: Branches, branch: int | None, last: int) -> list[Segment]:
    """The rows up to `last` of the line that ends in `branch`, newest segment first."""
    segments: list[Segment] = []
    while branch is not None:
        parent, start = branches[branch]
        segments.append(Segment(branch, start + 1, last))
        branch, last = parent, min(start, last)
    return segments


def behind(segments: Iterable[Segment], seq: int) -> list[Segment]:
    """What of a line lies behind row `seq`."""
    return [Segment(s.branch, max(s.first, seq + 1), s.last) for s in segments if s.last > seq]


def is_effective(fate: str | None, key: RowKey, released: Set[RowKey]) -> bool:
    """Whether a row takes effect: it is not set aside, or it is released now."""
    return fate is None or key in released


def fold_on(picture: Picture, rows: Iterable[ReadyRow], *, at: str) -> None:
    """Lead `picture` on by rows whose feed is not kept."""
    for row in rows:
        picture.apply([row], received_at=at)
        picture.feed.clear()


def ready_row(
    seq: int, chain: bytes, eid: bytes, kind: str, version: int, occurred_at: str, boot_id: str, mono_ms: int,
    text: str,
) -> ReadyRow:  # fmt: skip
    """A row of the ledger that was taken in once, with its body."""
    body = decode_body(kind, version, text)
    return ReadyRow(seq, chain, eid, kind, version, occurred_at, boot_id, mono_ms, text, body)
