"""Rows that an older version set aside take effect, once, when this version can read them.

What they would have done to the picture is found by folding the store's line again, as at a fork, and its
feed gets corrections. Buckets and alarms stand for themselves: they are taken in and published as they are,
but for a total that a later row has replaced. The fold is made outside the transaction and led on inside it
by what came meanwhile: batches need not wait, and in whichever order they come the result is the same fold.
Only a hello must wait, since it may hold a fold that lacks these rows.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from cloud_bridge.errors import Unavailable
from cloud_bridge.picture import FOLDED_KINDS, FeedEntry, Picture, corrections
from cloud_bridge.rows import ReadyRow, SetAside, decode_row
from cloud_bridge.store.records import Replayed
from cloud_bridge.store.sqlite.commands import settle
from cloud_bridge.store.sqlite.history import RowKey, Segment, ancestry, fold_on, rows_of
from cloud_bridge.store.sqlite.picture import load_facings, replace, save
from cloud_bridge.store.sqlite.writer import Transaction
from edge_agent.contract.messages import EnvironmentMeasured, FootfallCounted

_BUCKET_KINDS: Final = ("footfall.counted", "environment.measured")

Bucket = tuple[str, ...]


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
class _Read:
    """A row that was set aside, as this version reads it."""

    branch: int
    row: ReadyRow

    @property
    def key(self) -> RowKey:
        return self.branch, self.row.seq


def due(connection: sqlite3.Connection) -> list[str]:
    """Stores with rows that this version reads otherwise than the one that set them aside."""
    stores = connection.execute("select distinct store from set_aside order by store").fetchall()
    return [store for (store,) in stores if next(_read_otherwise(connection, store), None) is not None]


def waiting(connection: sqlite3.Connection, store: str) -> int:
    """How many rows of a store are set aside and would take effect at the next start."""
    return sum(not isinstance(read.row.body, SetAside) for read in _read_otherwise(connection, store))


def prepare(connection: sqlite3.Connection, store: str, *, at: str) -> Prepared:
    """Fold what takes long."""
    branch, head, segments = _line(connection, store)
    released = _in_line(_released(connection, store), segments)
    keys = {read.key for read in released}
    picture = None
    if any(read.row.kind in FOLDED_KINDS for read in released):
        picture = Picture()
        fold_on(picture, rows_of(connection, store, segments, released=keys), at=at)
    oldest = min((read.row.seq for read in released if read.row.kind in _BUCKET_KINDS), default=head + 1)
    later = [Segment(s.branch, max(s.first, oldest), s.last) for s in segments]
    newest = _newest(rows_of(connection, store, later, kinds=_BUCKET_KINDS, released=keys))
    return Prepared(branch, head, picture, newest)


def replay(tx: Transaction, store: str, prepared: Prepared, *, at: str) -> Replayed:
    """Release the rows and let them take effect; Unavailable when the store's line is another one by now."""
    branch, _, segments = _line(tx.connection, store)
    if branch != prepared.branch:
        raise Unavailable("the store has moved to another line of history", hint="try again")
    changed = list(_read_otherwise(tx.connection, store))
    released = [read for read in changed if not isinstance(read.row.body, SetAside)]
    effective = _in_line(released, segments)
    keys = {read.key for read in effective}
    since = [
        Segment(s.branch, max(s.first, prepared.upto + 1), s.last) for s in segments if s.last > prepared.upto
    ]
    newest = dict(prepared.newest)
    newest |= _newest(rows_of(tx.connection, store, since, kinds=_BUCKET_KINDS, released=keys))
    _unmark(tx.connection, store, released)
    refused = _mark_again(tx.connection, store, changed)
    corrected: list[FeedEntry] = []
    if prepared.picture is not None:
        fold_on(prepared.picture, rows_of(tx.connection, store, since), at=at)
        shown = load_facings(tx.connection, store)
        corrected = corrections(shown, prepared.picture.facings, at=at, new_eid=_new_eid)
        replace(tx.connection, store, prepared.picture)
    alone = [
        read.row
        for read in effective
        if read.row.kind not in FOLDED_KINDS and newest.get(_bucket(read.row), read.row.seq) == read.row.seq
    ]
    effects = Picture()
    effects.apply(alone, received_at=at)
    save(tx.connection, store, effects)
    tx.publish(store, [*corrected, *effects.feed])
    settle(tx, store, alone, received_at=at)
    done = Replayed(len(released), len(released) - len(effective), refused, len(corrected))
    if changed:
        tx.connection.execute(
            "insert into replay (store, at, rows, orphaned, quarantined, corrections)"
            " values (?, ?, ?, ?, ?, ?)",
            (store, at, done.rows, done.orphaned, done.quarantined, done.corrections),
        )
    return done


def _line(connection: sqlite3.Connection, store: str) -> tuple[int | None, int, list[Segment]]:
    """The store's current branch, its head and its line."""
    branch, head = connection.execute(
        "select s.branch, coalesce(b.head_seq, 0) from store s"
        " left join branch b on b.store = s.store and b.branch = s.branch where s.store = ?",
        (store,),
    ).fetchone()
    return branch, head, ancestry(connection, store, branch, head)


def _read_otherwise(connection: sqlite3.Connection, store: str) -> Iterator[_Read]:
    """Rows that this version would not set aside, or would with another fate; in order of their numbers."""
    rows = connection.execute(
        "select a.branch, a.fate, l.seq, chain, eid, kind, version, occurred_at, boot_id, mono_ms, body"
        " from set_aside a join ledger l on l.store = a.store and l.seq = a.seq and l.branch = a.branch"
        " where a.store = ? order by a.seq",
        (store,),
    )
    for branch, fate, seq, chain, eid, kind, version, occurred_at, boot_id, mono_ms, text in rows:
        body = decode_row(kind, version, occurred_at, text)
        if not isinstance(body, SetAside) or body.fate != fate:
            row = ReadyRow(seq, chain, eid, kind, version, occurred_at, boot_id, mono_ms, text, body)
            yield _Read(branch, row)


def _released(connection: sqlite3.Connection, store: str) -> list[_Read]:
    return [read for read in _read_otherwise(connection, store) if not isinstance(read.row.body, SetAside)]


def _in_line(reads: list[_Read], segments: list[Segment]) -> list[_Read]:
    """Those that the store's line of history holds."""
    spans = {segment.branch: segment for segment in segments}
    return [
        read
        for read in reads
        if read.branch in spans and spans[read.branch].first <= read.row.seq <= spans[read.branch].last
    ]


def _bucket(row: ReadyRow) -> Bucket:
    """What a later row of the same name replaces; the row itself where nothing does."""
    match row.body:
        case FootfallCounted() as body:
            return row.kind, body.device, body.line, body.start
        case EnvironmentMeasured() as body:
            return row.kind, body.device, body.quantity, body.start
    return (row.eid.hex(),)


def _newest(rows: Iterable[ReadyRow]) -> dict[Bucket, int]:
    return {_bucket(row): row.seq for row in rows}


def _unmark(connection: sqlite3.Connection, store: str, released: list[_Read]) -> None:
    connection.executemany(
        "delete from set_aside where store = ? and branch = ? and seq = ?",
        [(store, *read.key) for read in released],
    )


def _mark_again(connection: sqlite3.Connection, store: str, changed: list[_Read]) -> int:
    """Rows of a kind that is known by now and that do not fit it; returns how many."""
    again = [
        (read.row.body.fate, read.row.body.reason, store, *read.key)
        for read in changed
        if isinstance(read.row.body, SetAside)
    ]
    connection.executemany(
        "update set_aside set fate = ?, reason = ? where store = ? and branch = ? and seq = ?", again
    )
    return sum(fate == "quarantined" for fate, *_ in again)


def _new_eid() -> bytes:
    return secrets.token_bytes(16)
