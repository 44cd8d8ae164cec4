"""A store's history in PostgreSQL: positions, branches, and reading a line of history page by page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence, Set
from typing import Any, Final

from cloud_bridge.errors import Conflict, NotKnown
from cloud_bridge.picture import FOLDED_KINDS, Picture
from cloud_bridge.rows import ReadyRow
from cloud_bridge.store.lines import (
    Branches,
    Head,
    Place,
    RowKey,
    Segment,
    fold_on,
    is_effective,
    line_of,
    ready_row,
)
from cloud_bridge.store.postgres.database import Connection
from edge_agent.contract.messages import CHAIN_START

PAGE: Final = 2_000
"""Rows that are read and folded at a time, between which the loop serves others."""


async def lock_store(connection: Connection, store: str) -> int | None:
    """Be the only transaction of this store until the commit; its branch. NotKnown: there is no such store.

    A statement behind this one sees what those before it committed.
    """
    row = await connection.fetchrow("select branch from store where store = $1 for update", store)
    if row is None:
        raise NotKnown(f"there is no store {store!r}")
    branch: int | None = row[0]
    return branch


async def lock_head(connection: Connection, store: str, session: str) -> Head:
    """The head that `session` may write behind, locked; Conflict: it is not the store's newest session."""
    row = await connection.fetchrow(
        "select b.branch, b.name, b.head_seq, b.head_chain, s.session, s.as_of_seq"
        " from store s join branch b on b.store = s.store and b.branch = s.branch"
        " where s.store = $1 for update",
        store,
    )
    if row is None or row[4] != session:
        raise Conflict("stale_session", "this session is not the store's newest")
    return Head(*row)


async def branches_of(connection: Connection, store: str) -> Branches:
    """Where each branch of a store starts."""
    rows = await connection.fetch("select branch, parent, start_seq from branch where store = $1", store)
    return {branch: (parent, start) for branch, parent, start in rows}


async def chain_at(connection: Connection, store: str, branch: int, seq: int) -> bytes | None:
    """The chain at `seq` of the line of history that ends in `branch`; None below its root."""
    segments = line_of(await branches_of(connection, store), branch, seq)
    holder = next((segment for segment in segments if segment.first <= seq), None)
    if holder is None:
        sql = "select start_chain from branch where store = $1 and start_seq = $2 and branch = $3"
        row = await connection.fetchrow(sql, store, seq, segments[-1].branch)
    else:
        sql = "select chain from ledger where store = $1 and seq = $2 and branch = $3"
        row = await connection.fetchrow(sql, store, seq, holder.branch)
    return bytes(row[0]) if row is not None else None


async def branch_holding(connection: Connection, store: str, place: Place) -> int | None:
    """The branch whose own row this is."""
    branch: int | None = await connection.fetchval(
        "select branch from ledger where store = $1 and seq = $2 and chain = $3", store, *place
    )
    return branch


async def known_of(connection: Connection, store: str, places: Sequence[Place]) -> set[Place]:
    """Which of these positions HQ holds: the start of all, rows, starts of branches."""
    rows = await connection.fetch(
        "select l.seq, l.chain from unnest($2::bigint[], $3::bytea[]) p (seq, chain)"
        " join ledger l on l.store = $1 and l.seq = p.seq and l.chain = p.chain"
        " union select b.start_seq, b.start_chain from unnest($2::bigint[], $3::bytea[]) p (seq, chain)"
        " join branch b on b.store = $1 and b.start_seq = p.seq and b.start_chain = p.chain",
        store,
        [seq for seq, _ in places],
        [chain for _, chain in places],
    )
    return {(0, CHAIN_START), *((seq, chain) for seq, chain in rows)}


async def rows_of(
    connection: Connection,
    store: str,
    segments: Sequence[Segment],
    *,
    kinds: Collection[str] = FOLDED_KINDS,
    released: Set[RowKey] = frozenset(),
) -> AsyncIterator[list[ReadyRow]]:
    """Rows of some kinds of a line, oldest first, page by page; of those set aside only the `released`."""
    for segment in reversed(segments):
        after = segment.first - 1
        while after < segment.last:
            page = await connection.fetch(
                "select a.fate, l.seq, chain, eid, kind, version, occurred_at, boot_id, mono_ms, body"
                " from ledger l"
                " left join set_aside a on a.store = l.store and a.seq = l.seq and a.branch = l.branch"
                " where l.store = $1 and l.branch = $2 and l.seq > $3 and l.seq <= $4 and l.kind = any($5)"
                f" order by l.seq limit {PAGE}",
                store,
                segment.branch,
                after,
                segment.last,
                list(kinds),
            )
            yield await asyncio.to_thread(_ready, page, segment.branch, released)
            after = page[-1][1] if len(page) == PAGE else segment.last


def _ready(page: list[tuple[Any, ...]], branch: int, released: Set[RowKey]) -> list[ReadyRow]:
    return [
        ready_row(seq, chain, eid, kind, version, at, boot_id, mono_ms, body)
        for fate, seq, chain, eid, kind, version, at, boot_id, mono_ms, body in page
        if is_effective(fate, (branch, seq), released)
    ]


class Folded(Picture):
    """A picture made of rows; `replays` is how often rows of its store had been released by then."""

    replays: int = 0


async def refold(connection: Connection, store: str, segments: Sequence[Segment], *, at: str) -> Folded:
    """The picture that a line of history leads to, from nothing; its feed is not kept."""
    picture = Folded()
    picture.replays = await replays_of(connection, store)
    async for rows in rows_of(connection, store, segments):
        await asyncio.to_thread(fold_on, picture, rows, at=at)
    return picture


async def replays_of(connection: Connection, store: str) -> int:
    """How often rows of a store that were set aside have been released."""
    return int(await connection.fetchval("select replays from store where store = $1", store))
