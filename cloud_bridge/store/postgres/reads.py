"""What REST asks PostgreSQL: one function a question."""

from __future__ import annotations

from typing import Final

from cloud_bridge.errors import NotKnown
from cloud_bridge.store.postgres.database import Connection
from cloud_bridge.store.records import (
    Applied,
    DeviceRecord,
    EnvironmentRecord,
    FacingCounts,
    FacingRecord,
    Figures,
    FootfallRecord,
    PlanogramRecord,
    StoreRecord,
)
from cloud_bridge.store.shapes import (
    FACING_COLUMNS,
    device_record,
    environment_record,
    facing_record,
    planogram_record,
    store_record,
)
from edge_agent.contract.digest import Digest, sums_of
from edge_agent.contract.messages import Position

_STORE: Final = (
    "select s.store, s.name, s.gln, s.timezone, greatest(s.last_seen_at, h.last_seen_at),"
    " coalesce(b.head_seq, 0), b.head_occurred_at,"
    " case when h.last_seen_at > s.last_seen_at then h.last_seq else s.last_seq end,"
    " s.as_of_seq, s.catch_up_to, s.state_at, h.clock_offset_ms, s.differences, s.differed_at,"
    " s.latitude, s.longitude"
    " from store s left join branch b on b.store = s.store and b.branch = s.branch"
    " left join heard h on h.store = s.store"
)
_COUNTS: Final = (
    "select f.store, count(*), count(*) filter (where f.status = 'out'),"
    " count(*) filter (where f.status = 'low') from shown_facing f where f.store = any($1) group by f.store"
)


async def standing(connection: Connection, store: str, session: str) -> Applied | None:
    """The head behind which `session` writes, when it is the store's newest."""
    row = await connection.fetchrow(
        "select b.name, b.head_seq, b.head_chain from store s"
        " join branch b on b.store = s.store and b.branch = s.branch where s.store = $1 and s.session = $2",
        store,
        session,
    )
    return None if row is None else Applied(row[0], Position(row[1], row[2].hex()), 0, 0, 0)


async def store_page(
    connection: Connection, after: str, limit: int
) -> list[tuple[StoreRecord, FacingCounts]]:
    """Stores by id, those behind `after`, with what they show."""
    rows = await connection.fetch(f"{_STORE} where s.store > $1 order by s.store limit $2", after, limit)
    records = [store_record(row) for row in rows]
    found = await connection.fetch(_COUNTS, [record.store for record in records])
    counts = {store: FacingCounts(*totals) for store, *totals in found}
    return [(record, counts.get(record.store, FacingCounts())) for record in records]


async def stores(connection: Connection, names: list[str]) -> dict[str, StoreRecord]:
    """The named stores that exist."""
    rows = await connection.fetch(f"{_STORE} where s.store = any($1)", names)
    return {row[0]: store_record(row) for row in rows}


async def store(connection: Connection, name: str) -> StoreRecord:
    """One store; NotKnown when there is none."""
    row = await connection.fetchrow(f"{_STORE} where s.store = $1", name)
    if row is None:
        raise NotKnown(f"there is no store {name!r}")
    return store_record(row)


async def digest(connection: Connection, store: str) -> Digest:
    """What a store's counts add up to as its ledger leads to them, at the head of its branch."""
    head = await connection.fetchval(
        "select b.head_seq from store s join branch b on b.store = s.store and b.branch = s.branch"
        " where s.store = $1",
        store,
    )
    counts = await connection.fetch(
        "select facing, gtin, on_hand from facing where store = $1 and on_hand is not null", store
    )
    return Digest(at_seq=head or 0, sums=sums_of((row[0], row[1], row[2]) for row in counts))


async def figures(connection: Connection) -> Figures:
    """Every store, and what is set aside; backups are PostgreSQL's own."""
    fates = dict(await connection.fetch("select fate, count(*) from set_aside group by fate"))
    records = [store_record(row) for row in await connection.fetch(_STORE)]
    return Figures(records, fates.get("parked", 0), fates.get("quarantined", 0), None)


async def facing_page(
    connection: Connection, store: str, status: str | None, after: str, limit: int
) -> list[FacingRecord]:
    """A store's facings by id, those behind `after`."""
    rows = await connection.fetch(
        f"select {FACING_COLUMNS} from shown_facing"
        " where store = $1 and facing > $2 and ($3::text is null or status = $3) order by facing limit $4",
        store,
        after,
        status,
        limit,
    )
    return [facing_record(row) for row in rows]


async def facing(connection: Connection, store: str, name: str) -> FacingRecord:
    """One facing; NotKnown when the store or the facing does not exist."""
    row = await connection.fetchrow(
        f"select {FACING_COLUMNS} from shown_facing where store = $1 and facing = $2",
        store,
        name,
    )
    if row is None:
        raise NotKnown(f"there is no facing {name!r} in store {store!r}")
    return facing_record(row)


async def devices(connection: Connection, store: str, after: str, limit: int) -> list[DeviceRecord]:
    """A store's devices by id, those behind `after`."""
    rows = await connection.fetch(
        "select device, driver, status, reason, since, last_seen_at from shown_device"
        " where store = $1 and device > $2 order by device limit $3",
        store,
        after,
        limit,
    )
    return [device_record(*row) for row in rows]


async def footfall(
    connection: Connection, store: str, from_ms: int, to_ms: int, step_s: int
) -> list[FootfallRecord]:
    """Totals a line and a step of `step_s` seconds of UTC, for buckets that start in [from, to)."""
    rows = await connection.fetch(
        "select start_ms / $2 * $2 as step, line, sum(entered)::bigint, sum(exited)::bigint from footfall"
        " where store = $1 and start_ms >= $3 and start_ms < $4 group by step, line order by step, line",
        store,
        step_s * 1000,
        from_ms,
        to_ms,
    )
    return [FootfallRecord(*row) for row in rows]


async def environment(
    connection: Connection,
    store: str,
    from_ms: int,
    to_ms: int,
    after: tuple[int, str, str],
    limit: int,
) -> list[tuple[int, EnvironmentRecord]]:
    """Measured buckets that start in [from, to), with their start in Unix milliseconds."""
    rows = await connection.fetch(
        "select start_ms, device, quantity, unit, seconds, min, max, mean from environment"
        " where store = $1 and start_ms >= $2 and start_ms < $3"
        " and (start_ms, device, quantity) > ($4, $5, $6) order by start_ms, device, quantity limit $7",
        store,
        from_ms,
        to_ms,
        *after,
        limit,
    )
    return [environment_record(*row) for row in rows]


async def planogram(connection: Connection, store: str) -> PlanogramRecord | None:
    """The planogram that a store's agent last reported, None before the first."""
    return planogram_record(
        await connection.fetchrow("select revision, body from planogram where store = $1", store)
    )
