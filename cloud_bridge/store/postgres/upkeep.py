"""What PostgreSQL is told from time to time: who was heard of, and what is old enough to go."""

from __future__ import annotations

from typing import Any, Final

from cloud_bridge.store.postgres.database import Connection, Transaction
from cloud_bridge.store.records import Heard

PRUNE_STEP: Final = 5_000

_OLDEST_STEPS: Final = """
select max(last_n) from (
  select last_n, sum(events) over (order by last_n) - events as before,
    bool_and(received_at < $1) over (order by last_n) as is_old
  from (
    select last_n, events, received_at from feed_step
    where last_n < (select max(last_n) from feed_step) order by last_n limit $2
  ) oldest
) summed where before < $2 and is_old
"""


async def save_heard(tx: Transaction, heard: dict[str, Heard]) -> None:
    """Keep the soft state of stores; of what several processes have heard the newest stays.

    Rows are locked in the order of their names, as batches lock them.
    """
    stores = sorted(heard)
    await tx.connection.execute(
        "insert into heard as h (store, last_seen_at, last_seq, clock_offset_ms)"
        " select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])"
        " on conflict (store) do update set last_seen_at = excluded.last_seen_at,"
        " last_seq = excluded.last_seq,"
        " clock_offset_ms = coalesce(excluded.clock_offset_ms, h.clock_offset_ms)"
        " where h.last_seen_at <= excluded.last_seen_at",
        stores,
        [heard[store].at for store in stores],
        [heard[store].last_seq for store in stores],
        [heard[store].clock_offset_ms for store in stores],
    )
    devices = [(s, name, at) for s in stores for name, at in sorted(heard[s].devices.items())]
    facings = [(s, name, at) for s in stores for name, at in sorted(heard[s].facings.items())]
    await _seen(tx.connection, "device", "last_seen_at", devices)
    await _seen(tx.connection, "facing", "observed_at", facings)


async def note_difference(tx: Transaction, store: str, *, at: str) -> None:
    """Keep that a store's counts were others than its ledger's, for who audits it."""
    await tx.connection.execute(
        "update store set differences = differences + 1, differed_at = $2 where store = $1", store, at
    )


async def prune(tx: Transaction, *, events_before: str, items_before: str, buckets_before_ms: int) -> int:
    """Delete one step of what is too old and return how many rows went. The newest event always stays."""
    connection = tx.connection
    gone = await _prune_feed(connection, events_before)
    gone += await _delete(connection, "item", "store, epc", "not is_present and moved_at < $1", items_before)
    gone += await _delete(
        connection,
        "command",
        "n",
        "issued_at < $1 and (outcome is not null or expires_at < $1)",
        events_before,
    )
    gone += await _delete(connection, "reservation", "n", "claimed = 0 and ended_at < $1", events_before)
    for table, key in (
        ("footfall", "store, start_ms, line, device"),
        ("environment", "store, start_ms, device, quantity"),
    ):
        gone += await _delete(connection, table, key, "start_ms < $1", buckets_before_ms)
    return gone


async def _seen(connection: Connection, table: str, column: str, names: list[tuple[str, str, str]]) -> None:
    """`table` is named like its key; what stands there already and is newer stays."""
    if not names:
        return
    await connection.execute(
        f"with seen as (select * from unnest($1::text[], $2::text[], $3::text[]) r (store, {table}, at)),"
        f" locked as (select t.store, t.{table}, seen.at from {table} t join seen using (store, {table})"
        f" where t.{column} is null or t.{column} < seen.at order by t.store, t.{table} for update of t)"
        f" update {table} t set {column} = locked.at from locked"
        f" where t.store = locked.store and t.{table} = locked.{table}",
        *(list(column) for column in zip(*names, strict=True)),
    )


async def _delete(connection: Connection, table: str, key: str, condition: str, before: Any) -> int:
    deleted = await connection.fetchval(
        f"with old as (select {key} from {table} where {condition} order by {key} limit {PRUNE_STEP}),"
        f" gone as (delete from {table} where ({key}) in (select {key} from old) returning 1)"
        " select count(*) from gone",
        before,
    )
    return int(deleted)


async def _prune_feed(connection: Connection, before: str) -> int:
    """Sums of what goes are kept, so that an audit can still add the feed up. Whole steps go; one that is not
    old keeps all behind it: one that a wrong clock dates back takes nobody with it."""
    last = await connection.fetchval(_OLDEST_STEPS, before, PRUNE_STEP)
    if not last:
        return 0
    gone = await connection.fetchval(
        "with step as (delete from feed_step where last_n <= $1 returning store, step),"
        " gone as (delete from feed f using step"
        "  where f.store = step.store and f.step = step.step returning f.store, f.type, f.payload),"
        " kept as (insert into feed_pruned as p (store, facing, gtin, change)"
        "  select store, payload::json ->> 'facing', payload::json ->> 'gtin',"
        "   sum((payload::json ->> 'change')::bigint)"
        "  from gone where type = 'stock.changed' group by 1, 2, 3"
        "  on conflict (store, facing, gtin) do update set change = p.change + excluded.change)"
        " select count(*) from gone",
        last,
    )
    return int(gone)
