"""What REST asks SQLite: one function a question, each on a read-only connection inside one snapshot."""

from __future__ import annotations

import json
import sqlite3
from typing import Final

from cloud_bridge.errors import NotKnown
from cloud_bridge.store.records import (
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
from cloud_bridge.store.sqlite.backup import newest
from edge_agent.contract.digest import Digest, sums_of

_STORE: Final = (
    "select s.store, s.name, s.gln, s.timezone, s.last_seen_at, coalesce(b.head_seq, 0), b.head_occurred_at,"
    " s.last_seq, s.as_of_seq, s.catch_up_to, s.state_at, s.clock_offset_ms, s.differences, s.differed_at,"
    " s.latitude, s.longitude"
    " from store s left join branch b on b.store = s.store and b.branch = s.branch"
)
_COUNTS: Final = (
    "select f.store, count(*), sum(f.status = 'out'), sum(f.status = 'low') from {table} f"
    " join store s on s.store = f.store and {condition}"
    " where f.store in (select value from json_each(?)) group by f.store"
)


def store_page(
    connection: sqlite3.Connection, after: str, limit: int
) -> list[tuple[StoreRecord, FacingCounts]]:
    """Stores by id, those behind `after`, with what they show."""
    rows = connection.execute(f"{_STORE} where s.store > ? order by s.store limit ?", (after, limit))
    records = [store_record(row) for row in rows]
    names = json.dumps([record.store for record in records])
    counts: dict[str, FacingCounts] = {}
    for table, condition in (("facing", "s.as_of_seq = 0"), ("ahead_facing", "s.as_of_seq > 0")):
        found = connection.execute(_COUNTS.format(table=table, condition=condition), (names,))
        counts |= {store: FacingCounts(*totals) for store, *totals in found}
    return [(record, counts.get(record.store, FacingCounts())) for record in records]


def stores(connection: sqlite3.Connection, names: list[str]) -> dict[str, StoreRecord]:
    """The named stores that exist."""
    rows = connection.execute(
        f"{_STORE} where s.store in (select value from json_each(?))",  # noqa: S608 - constant columns
        (json.dumps(names),),
    )
    return {row[0]: store_record(row) for row in rows}


def store(connection: sqlite3.Connection, name: str) -> StoreRecord:
    """One store; NotKnown when there is none."""
    row = connection.execute(f"{_STORE} where s.store = ?", (name,)).fetchone()
    if row is None:
        raise NotKnown(f"there is no store {name!r}")
    return store_record(row)


def digest(connection: sqlite3.Connection, store: str) -> Digest:
    """What a store's counts add up to as its ledger leads to them, at the head of its branch."""
    head = connection.execute(
        "select b.head_seq from store s join branch b on b.store = s.store and b.branch = s.branch"
        " where s.store = ?",
        (store,),
    ).fetchone()
    counts = connection.execute(
        "select facing, gtin, on_hand from facing where store = ? and on_hand is not null", (store,)
    )
    return Digest(at_seq=head[0] if head is not None else 0, sums=sums_of(counts))


def figures(connection: sqlite3.Connection) -> Figures:
    """Every store, what is set aside, and the last backup."""
    fates = dict(connection.execute("select fate, count(*) from set_aside group by fate").fetchall())
    records = [store_record(row) for row in connection.execute(_STORE)]
    return Figures(records, fates.get("parked", 0), fates.get("quarantined", 0), newest(connection))


def facing_page(
    connection: sqlite3.Connection, store: str, status: str | None, after: str, limit: int
) -> list[FacingRecord]:
    """A store's facings by id, those behind `after`."""
    rows = connection.execute(
        f"select {FACING_COLUMNS} from shown_facing"  # noqa: S608 - constants
        " where store = ? and facing > ? and (? is null or status = ?) order by facing limit ?",
        (store, after, status, status, limit),
    )
    return [facing_record(row) for row in rows]


def facing(connection: sqlite3.Connection, store: str, name: str) -> FacingRecord:
    """One facing; NotKnown when the store or the facing does not exist."""
    row = connection.execute(
        f"select {FACING_COLUMNS} from shown_facing where store = ? and facing = ?",  # noqa: S608 - constant columns
        (store, name),
    ).fetchone()
    if row is None:
        raise NotKnown(f"there is no facing {name!r} in store {store!r}")
    return facing_record(row)


def devices(connection: sqlite3.Connection, store: str, after: str, limit: int) -> list[DeviceRecord]:
    """A store's devices by id, those behind `after`."""
    rows = connection.execute(
        "select device, driver, status, reason, since, last_seen_at from shown_device"
        " where store = ? and device > ? order by device limit ?",
        (store, after, limit),
    )
    return [device_record(*row) for row in rows]


def footfall(
    connection: sqlite3.Connection, store: str, from_ms: int, to_ms: int, step_s: int
) -> list[FootfallRecord]:
    """Totals a line and a step of `step_s` seconds of UTC, for buckets that start in [from, to)."""
    step = step_s * 1000
    rows = connection.execute(
        "select start_ms / ? * ? as step, line, sum(entered), sum(exited) from footfall"
        " where store = ? and start_ms >= ? and start_ms < ? group by step, line order by step, line",
        (step, step, store, from_ms, to_ms),
    )
    return [FootfallRecord(*row) for row in rows]


def environment(
    connection: sqlite3.Connection,
    store: str,
    from_ms: int,
    to_ms: int,
    after: tuple[int, str, str],
    limit: int,
) -> list[tuple[int, EnvironmentRecord]]:
    """Measured buckets that start in [from, to), with their start in Unix milliseconds."""
    rows = connection.execute(
        "select start_ms, device, quantity, unit, seconds, min, max, mean from environment"
        " where store = ? and start_ms >= ? and start_ms < ? and (start_ms, device, quantity) > (?, ?, ?)"
        " order by start_ms, device, quantity limit ?",
        (store, from_ms, to_ms, *after, limit),
    )
    return [environment_record(*row) for row in rows]


def planogram(connection: sqlite3.Connection, store: str) -> PlanogramRecord | None:
    """The planogram that a store's agent last reported, None before the first."""
    row = connection.execute("select revision, body from planogram where store = ?", (store,)).fetchone()
    return planogram_record(row)
