"""Rows that were set aside and take effect now: which of them do, and what a later row has replaced."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cloud_bridge.picture import FOLDED_KINDS, FeedEntry, Picture
from cloud_bridge.rows import ReadyRow, SetAside, decode_row
from cloud_bridge.store.lines import RowKey, Segment
from edge_agent.contract.messages import EnvironmentMeasured, FootfallCounted

BUCKET_KINDS: Final = ("footfall.counted", "environment.measured")

Bucket = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """A row that was set aside, as this version reads it."""

    branch: int
    row: ReadyRow

    @property
    def key(self) -> RowKey:
        """Where it stands in its store's ledger."""
        return self.branch, self.row.seq


@dataclass(frozen=True, slots=True)
class Prepared:
    """A store's line as of row `upto` of `branch`, with what is to be released folded in.

    `picture` is None when nothing released is folded; `newest` is the last row of each bucket.
    """

    branch: int | None
    upto: int
    picture: Picture | None
    newest: dict[Bucket, int]


@dataclass(frozen=True, slots=True)
class Reading:
    """What this version makes of a store's rows that were set aside otherwise."""

    released: list[Read] = field(default_factory=list)
    refused: list[Read] = field(default_factory=list)
    """Of a fate that is another one now."""

    @property
    def quarantined(self) -> int:
        """How many are of a kind that is known by now and do not fit it."""
        return sum(fate == "quarantined" for _, fate, _ in marks(self.refused))

    def effective(self, segments: Iterable[Segment]) -> list[Read]:
        """The released ones that a line of history holds."""
        spans = {segment.branch: segment for segment in segments}
        return [
            read
            for read in self.released
            if read.branch in spans and spans[read.branch].first <= read.row.seq <= spans[read.branch].last
        ]


def read_otherwise(
    branch: int, fate: str, seq: int, chain: bytes, eid: bytes, kind: str, version: int, occurred_at: str,
    boot_id: str, mono_ms: int, text: str,
) -> Read | None:  # fmt: skip
    """A row that this version would not set aside, or would with another fate; None: all is as it was."""
    body = decode_row(kind, version, occurred_at, text)
    if isinstance(body, SetAside) and body.fate == fate:
        return None
    row = ReadyRow(seq, chain, eid, kind, version, occurred_at, boot_id, mono_ms, text, body)
    return Read(branch, row)


def reading_of(changed: Iterable[Read]) -> Reading:
    """Rows that are read otherwise, by whether they take effect."""
    reading = Reading()
    for read in changed:
        (reading.refused if isinstance(read.row.body, SetAside) else reading.released).append(read)
    return reading


def marks(refused: Iterable[Read]) -> list[tuple[RowKey, str, str]]:
    """Key, fate and reason of rows that stay set aside."""
    return [
        (read.key, read.row.body.fate, read.row.body.reason)
        for read in refused
        if isinstance(read.row.body, SetAside)
    ]


def needs_fold(effective: Iterable[Read]) -> bool:
    """Whether the effect of any of them depends on what came before it."""
    return any(read.row.kind in FOLDED_KINDS for read in effective)


def before_buckets(effective: Iterable[Read], head: int) -> int:
    """The row behind which a later one may have replaced a released bucket."""
    return min((read.row.seq for read in effective if read.row.kind in BUCKET_KINDS), default=head + 1) - 1


def newest_of(rows: Iterable[ReadyRow]) -> dict[Bucket, int]:
    """The last row of each bucket."""
    return {_bucket(row): row.seq for row in rows}


def standing_alone(effective: Collection[Read], newest: Mapping[Bucket, int]) -> list[ReadyRow]:
    """Buckets and alarms that no later row has replaced: they take effect as they are."""
    return [
        read.row
        for read in effective
        if read.row.kind not in FOLDED_KINDS and newest.get(_bucket(read.row), read.row.seq) == read.row.seq
    ]


def effects_of(alone: Iterable[ReadyRow], *, at: str) -> tuple[Picture, list[FeedEntry]]:
    """What they do by themselves, and what they publish."""
    effects = Picture()
    effects.apply(alone, received_at=at)
    return effects, effects.feed


def _bucket(row: ReadyRow) -> Bucket:
    """What a later row of the same name replaces; the row itself where nothing does."""
    match row.body:
        case FootfallCounted() as body:
            return row.kind, body.device, body.line, body.start
        case EnvironmentMeasured() as body:
            return row.kind, body.device, body.quantity, body.start
    return (row.eid.hex(),)
