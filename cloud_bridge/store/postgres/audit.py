"""Is what HQ shows what its ledger says? All is recomputed from PostgreSQL's rows and compared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from cloud_bridge.errors import DataDirUnusable, NotKnown, Unavailable
from cloud_bridge.store.audit import (
    LISTED,
    SET_ASIDE_LISTED,
    SET_ASIDE_NAMES,
    BranchRow,
    ChainCheck,
    LedgerRow,
    count_problems,
    doubles,
    facing_problems,
    feed_problems,
    left_behind,
    tail,
)
from cloud_bridge.store.lines import Segment, line_of
from cloud_bridge.store.postgres.database import PATIENT, Address, Connection, Database
from cloud_bridge.store.postgres.history import PAGE, chain_at, refold
from cloud_bridge.store.postgres.picture import load_facings
from cloud_bridge.store.postgres.replay import reading
from cloud_bridge.store.postgres.schema import MIGRATIONS, schema_version
from cloud_bridge.store.records import StoreAudit
from edge_agent.contract.errors import DatabaseAway


async def audit(address: Address, only: str | None = None) -> list[StoreAudit]:
    """One result a store, each from one snapshot; NotKnown when `only` names no store."""
    database = Database(address, PATIENT)
    await database.open()
    try:
        stores = await database.read(lambda connection: _stores(connection, only))
        return [await database.read(partial(_audit, store=store)) for store in stores]
    except Unavailable as error:
        raise DatabaseAway(error.message, hint=error.hint) from error
    finally:
        await database.close()


async def _stores(connection: Connection, only: str | None) -> list[str]:
    version = await schema_version(connection)
    if version != len(MIGRATIONS):
        raise DataDirUnusable(
            f"the database has schema version {version}, this program reads {len(MIGRATIONS)}",
            hint="start cloud-bridge of the newer version once; with version 0 HQ has never started there",
        )
    rows = await connection.fetch(
        "select store from store where $1::text is null or store = $1 order by store", only
    )
    if only is not None and not rows:
        raise NotKnown(f"there is no store {only!r}")
    return [store for (store,) in rows]


async def _audit(connection: Connection, store: str) -> StoreAudit:
    result = StoreAudit(store)
    branches = await _branches(connection, store)
    result.branches = len(branches)
    result.rows = await connection.fetchval("select count(*) from ledger where store = $1", store)
    async for problem in _ledger_problems(connection, store, branches):
        result.problems.append(problem)
    result.problems += count_problems(branches, result.rows)
    for table in ("ledger", "feed"):
        twice = await connection.fetch(
            f"select eid, count(*) from {table} where store = $1 group by eid having count(*) > 1"
            f" limit {LISTED}",
            store,
        )
        result.problems += doubles(table, [(eid, count) for eid, count in twice])
    await _list_set_aside(connection, store, result)
    branch = await connection.fetchval("select branch from store where store = $1", store)
    current = next((known for known in branches if known.branch == branch), None)
    if current is None:
        return result
    line = line_of({b.branch: (b.parent, b.start_seq) for b in branches}, branch, current.head_seq)
    result.orphaned = await _orphaned(connection, store, branches, line)
    result.orphaned_rows = sum(left["rows"] for left in result.orphaned)
    truth = await refold(connection, store, line, at="")
    result.problems += facing_problems(await load_facings(connection, store), truth)
    result.problems += feed_problems(await _feed_sums(connection, store), truth)
    return result


async def _branches(connection: Connection, store: str) -> list[BranchRow]:
    rows = await connection.fetch(
        "select branch, name, parent, start_seq, start_chain, head_seq, head_chain from branch"
        " where store = $1 order by branch",
        store,
    )
    return [BranchRow(*row) for row in rows]


async def _ledger_problems(
    connection: Connection, store: str, branches: list[BranchRow]
) -> AsyncIterator[str]:
    """Each branch: starts where its parent was, is contiguous, and its chain folds to its head."""
    for branch in branches:
        if branch.parent is not None:
            parents = await chain_at(connection, store, branch.parent, branch.start_seq)
            for problem in branch.start_problem(parents):
                yield problem
        check = ChainCheck(branch)
        async for rows in _pages(connection, store, branch.branch):
            if not await asyncio.to_thread(check.take, rows):
                break
        for problem in check.problems():
            yield problem


async def _pages(connection: Connection, store: str, branch: int) -> AsyncIterator[list[LedgerRow]]:
    after = -1
    while True:
        page = await connection.fetch(
            "select seq, chain, eid, kind, version, body from ledger where store = $1 and branch = $2"
            f" and seq > $3 order by seq limit {PAGE}",
            store,
            branch,
            after,
        )
        yield [(seq, c, eid, kind, version, body) for seq, c, eid, kind, version, body in page]
        if len(page) < PAGE:
            return
        after = page[-1][0]


async def _list_set_aside(connection: Connection, store: str, result: StoreAudit) -> None:
    counts = dict(
        await connection.fetch("select fate, count(*) from set_aside where store = $1 group by fate", store)
    )
    result.parked, result.quarantined = counts.get("parked", 0), counts.get("quarantined", 0)
    result.replayable = len((await reading(connection, store)).released)
    result.replayed = await connection.fetchval(
        "select coalesce(sum(rows), 0)::bigint from replay where store = $1", store
    )
    found = await connection.fetch(
        "select a.seq, b.name, a.fate, l.kind, l.version, l.occurred_at, l.received_at, a.reason"
        " from set_aside a"
        " join branch b on b.store = a.store and b.branch = a.branch"
        " join ledger l on l.store = a.store and l.seq = a.seq and l.branch = a.branch"
        " where a.store = $1 order by (a.fate = 'quarantined') desc, a.branch desc, a.seq desc"
        f" limit {SET_ASIDE_LISTED}",
        store,
    )
    result.set_aside = [dict(zip(SET_ASIDE_NAMES, row, strict=True)) for row in found]


async def _orphaned(
    connection: Connection, store: str, branches: list[BranchRow], line: list[Segment]
) -> list[dict[str, Any]]:
    tails = []
    for branch, left_at in left_behind(branches, line):
        times = await connection.fetchrow(
            "select occurred_at, received_at from ledger where store = $1 and branch = $2 and seq = $3",
            store,
            branch.branch,
            left_at + 1,
        )
        tails.append(tail(branch, left_at, None if times is None else (times[0], times[1])))
    return tails


async def _feed_sums(connection: Connection, store: str) -> list[tuple[str, str, int]]:
    """What the changes ever published of each facing and item add up to."""
    rows = await connection.fetch(
        "select facing, gtin, sum(change)::bigint from ("
        " select payload::json ->> 'facing' as facing, payload::json ->> 'gtin' as gtin,"
        " (payload::json ->> 'change')::bigint as change from feed"
        " where store = $1 and type = 'stock.changed'"
        " union all select facing, gtin, change from feed_pruned where store = $1"
        ") summed group by facing, gtin",
        store,
    )
    return [(facing, gtin, change) for facing, gtin, change in rows]
