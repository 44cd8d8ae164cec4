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
from collections.abc import Iterator

from cloud_bridge.errors import Unavailable
from cloud_bridge.picture import FeedEntry, Picture, corrections
from cloud_bridge.store.lines import Segment, behind, fold_on
from cloud_bridge.store.records import Replayed
from cloud_bridge.store.released import (
    BUCKET_KINDS,
    Prepared,
    Read,
    before_buckets,
    effects_of,
    marks,
    needs_fold,
    newest_of,
    read_otherwise,
    reading_of,
    standing_alone,
)
from cloud_bridge.store.sqlite.commands import settle
from cloud_bridge.store.sqlite.history import ancestry, rows_of
from cloud_bridge.store.sqlite.picture import load_facings, replace, save
from cloud_bridge.store.sqlite.writer import Transaction


def due(connection: sqlite3.Connection) -> list[str]:
    """Stores with rows that this version reads otherwise than the one that set them aside."""
    stores = connection.execute("select distinct store from set_aside order by store").fetchall()
    return [store for (store,) in stores if next(_read_otherwise(connection, store), None) is not None]


def waiting(connection: sqlite3.Connection, store: str) -> int:
    """How many rows of a store are set aside and would take effect at the next start."""
    return len(reading_of(_read_otherwise(connection, store)).released)


def prepare(connection: sqlite3.Connection, store: str, *, at: str) -> Prepared:
    """Fold what takes long."""
    branch, head, segments = _line(connection, store)
    effective = reading_of(_read_otherwise(connection, store)).effective(segments)
    keys = {read.key for read in effective}
    picture = None
    if needs_fold(effective):
        picture = Picture()
        fold_on(picture, rows_of(connection, store, segments, released=keys), at=at)
    later = behind(segments, before_buckets(effective, head))
    newest = newest_of(rows_of(connection, store, later, kinds=BUCKET_KINDS, released=keys))
    return Prepared(branch, head, picture, newest)


def replay(tx: Transaction, store: str, prepared: Prepared, *, at: str) -> Replayed:
    """Release the rows and let them take effect; Unavailable when the store's line is another one by now."""
    branch, _, segments = _line(tx.connection, store)
    if branch != prepared.branch:
        raise Unavailable("the store has moved to another line of history", hint="try again")
    reading = reading_of(_read_otherwise(tx.connection, store))
    effective = reading.effective(segments)
    keys = {read.key for read in effective}
    since = behind(segments, prepared.upto)
    newest = prepared.newest | newest_of(
        rows_of(tx.connection, store, since, kinds=BUCKET_KINDS, released=keys)
    )
    _unmark(tx.connection, store, reading.released)
    _mark_again(tx.connection, store, reading.refused)
    corrected: list[FeedEntry] = []
    if prepared.picture is not None:
        fold_on(prepared.picture, rows_of(tx.connection, store, since), at=at)
        shown = load_facings(tx.connection, store)
        corrected = corrections(shown, prepared.picture.facings, at=at, new_eid=_new_eid)
        replace(tx.connection, store, prepared.picture)
    alone = standing_alone(effective, newest)
    effects, published = effects_of(alone, at=at)
    save(tx.connection, store, effects)
    tx.publish(store, [*corrected, *published])
    settle(tx, store, alone, received_at=at)
    released = len(reading.released)
    done = Replayed(released, released - len(effective), reading.quarantined, len(corrected))
    if reading.released or reading.refused:
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


def _read_otherwise(connection: sqlite3.Connection, store: str) -> Iterator[Read]:
    """See `read_otherwise`; in order of their numbers."""
    rows = connection.execute(
        "select a.branch, a.fate, l.seq, chain, eid, kind, version, occurred_at, boot_id, mono_ms, body"
        " from set_aside a join ledger l on l.store = a.store and l.seq = a.seq and l.branch = a.branch"
        " where a.store = ? order by a.seq",
        (store,),
    )
    yield from (read for row in rows if (read := read_otherwise(*row)) is not None)


def _unmark(connection: sqlite3.Connection, store: str, released: list[Read]) -> None:
    connection.executemany(
        "delete from set_aside where store = ? and branch = ? and seq = ?",
        [(store, *read.key) for read in released],
    )


def _mark_again(connection: sqlite3.Connection, store: str, refused: list[Read]) -> None:
    connection.executemany(
        "update set_aside set fate = ?, reason = ? where store = ? and branch = ? and seq = ?",
        [(fate, reason, store, *key) for key, fate, reason in marks(refused)],
    )


def _new_eid() -> bytes:
    return secrets.token_bytes(16)
