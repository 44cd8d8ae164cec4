"""Rows that an older version set aside take effect, once, when this version can read them; in PostgreSQL.

The fold is made outside the transaction and led on inside it by what came meanwhile, as with every engine.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence

from cloud_bridge.errors import Unavailable
from cloud_bridge.picture import FeedEntry, Picture, corrections
from cloud_bridge.rows import ReadyRow
from cloud_bridge.store.lines import Segment, behind, fold_on, line_of
from cloud_bridge.store.postgres.commands import settle
from cloud_bridge.store.postgres.database import Connection, Transaction
from cloud_bridge.store.postgres.feed import publish
from cloud_bridge.store.postgres.history import branches_of, lock_store, rows_of
from cloud_bridge.store.postgres.picture import load_facings, replace, save
from cloud_bridge.store.records import Replayed
from cloud_bridge.store.released import (
    BUCKET_KINDS,
    Bucket,
    Prepared,
    Reading,
    before_buckets,
    effects_of,
    marks,
    needs_fold,
    newest_of,
    read_otherwise,
    reading_of,
    standing_alone,
)


async def due(connection: Connection) -> list[str]:
    """Stores with rows that this version reads otherwise than the one that set them aside."""
    stores = await connection.fetch("select distinct store from set_aside order by store")
    readings = [(store, await reading(connection, store)) for (store,) in stores]
    return [store for store, read in readings if read.released or read.refused]


async def reading(connection: Connection, store: str) -> Reading:
    """What this version makes of a store's rows that are set aside."""
    rows = await connection.fetch(
        "select a.branch, a.fate, l.seq, l.chain, l.eid, l.kind, l.version, l.occurred_at, l.boot_id,"
        " l.mono_ms, l.body from set_aside a"
        " join ledger l on l.store = a.store and l.seq = a.seq and l.branch = a.branch"
        " where a.store = $1 order by a.seq",
        store,
    )
    read = (
        read_otherwise(branch, fate, seq, chain, eid, kind, version, at, boot_id, mono_ms, body)
        for branch, fate, seq, chain, eid, kind, version, at, boot_id, mono_ms, body in rows
    )
    return await asyncio.to_thread(reading_of, (one for one in read if one is not None))


async def prepare(connection: Connection, store: str, *, at: str) -> Prepared:
    """Fold what takes long."""
    branch, head, segments = await _line(connection, store)
    effective = (await reading(connection, store)).effective(segments)
    keys = {read.key for read in effective}
    picture = None
    if needs_fold(effective):
        picture = Picture()
        await _fold(picture, rows_of(connection, store, segments, released=keys), at=at)
    later = behind(segments, before_buckets(effective, head))
    newest = await _newest(rows_of(connection, store, later, kinds=BUCKET_KINDS, released=keys))
    return Prepared(branch, head, picture, newest)


async def replay(tx: Transaction, store: str, prepared: Prepared, *, at: str) -> Replayed:
    """Release the rows and let them take effect; Unavailable when the store's line is another one by now."""
    await lock_store(tx.connection, store)
    branch, _, segments = await _line(tx.connection, store)
    if branch != prepared.branch:
        raise Unavailable("the store has moved to another line of history", hint="try again")
    changed = await reading(tx.connection, store)
    effective = changed.effective(segments)
    if needs_fold(effective) and prepared.picture is None:
        raise Unavailable("another bridge has set rows aside meanwhile", hint="try again")
    keys = {read.key for read in effective}
    since = behind(segments, prepared.upto)
    newest = prepared.newest | await _newest(
        rows_of(tx.connection, store, since, kinds=BUCKET_KINDS, released=keys)
    )
    await _mark(tx.connection, store, changed)
    corrected: list[FeedEntry] = []
    if prepared.picture is not None:
        await _fold(prepared.picture, rows_of(tx.connection, store, since), at=at)
        shown = await load_facings(tx.connection, store)
        corrected = corrections(
            shown, prepared.picture.facings, at=at, new_eid=lambda: secrets.token_bytes(16)
        )
        await replace(tx.connection, store, prepared.picture)
    alone = standing_alone(effective, newest)
    effects, published = effects_of(alone, at=at)
    await save(tx.connection, store, effects)
    await publish(tx, store, [*corrected, *published])
    await settle(tx, store, alone, received_at=at)
    released = len(changed.released)
    done = Replayed(released, released - len(effective), changed.quarantined, len(corrected))
    if changed.released or changed.refused:
        await _record(tx.connection, store, done, at)
    return done


async def _line(connection: Connection, store: str) -> tuple[int | None, int, Sequence[Segment]]:
    """The store's current branch, its head and its line."""
    row = await connection.fetchrow(
        "select s.branch, coalesce(b.head_seq, 0) from store s"
        " left join branch b on b.store = s.store and b.branch = s.branch where s.store = $1",
        store,
    )
    branch, head = row or (None, 0)
    return branch, head, line_of(await branches_of(connection, store), branch, head)


async def _fold(picture: Picture, pages: AsyncIterator[list[ReadyRow]], *, at: str) -> None:
    async for rows in pages:
        await asyncio.to_thread(fold_on, picture, rows, at=at)


async def _newest(pages: AsyncIterator[list[ReadyRow]]) -> dict[Bucket, int]:
    newest: dict[Bucket, int] = {}
    async for rows in pages:
        newest |= newest_of(rows)
    return newest


async def _mark(connection: Connection, store: str, changed: Reading) -> None:
    """Released rows are set aside no longer, refused ones for another reason."""
    await connection.execute(
        "delete from set_aside a using unnest($2::bigint[], $3::bigint[]) r (branch, seq)"
        " where a.store = $1 and a.branch = r.branch and a.seq = r.seq",
        store,
        [read.branch for read in changed.released],
        [read.row.seq for read in changed.released],
    )
    for (branch, seq), fate, reason in marks(changed.refused):
        await connection.execute(
            "update set_aside set fate = $4, reason = $5 where store = $1 and branch = $2 and seq = $3",
            store,
            branch,
            seq,
            fate,
            reason,
        )


async def _record(connection: Connection, store: str, done: Replayed, at: str) -> None:
    await connection.execute("update store set replays = replays + 1 where store = $1", store)
    await connection.execute(
        "insert into replay (store, at, rows, orphaned, quarantined, corrections)"
        " values ($1, $2, $3, $4, $5, $6)",
        store,
        at,
        done.rows,
        done.orphaned,
        done.quarantined,
        done.corrections,
    )
