"""What SQLite is told from time to time: who was heard of, and what is old enough to go."""

from __future__ import annotations

import sqlite3

from cloud_bridge.store.records import Heard
from cloud_bridge.store.sqlite.writer import Transaction

PRUNE_STEP = 5_000


def save_heard(tx: Transaction, heard: dict[str, Heard]) -> None:
    """Keep the soft state of stores, so that a restart does not forget when they were last heard of."""
    for store, state in heard.items():
        tx.connection.execute(
            "update store set last_seen_at = max(coalesce(last_seen_at, ''), ?), last_seq = ?,"
            " clock_offset_ms = coalesce(?, clock_offset_ms) where store = ?",
            (state.at, state.last_seq, state.clock_offset_ms, store),
        )
        tx.connection.executemany(
            "update device set last_seen_at = max(coalesce(last_seen_at, ''), ?)"
            " where store = ? and device = ?",
            [(at, store, device) for device, at in state.devices.items()],
        )
        tx.connection.executemany(
            "update facing set observed_at = max(coalesce(observed_at, ''), ?)"
            " where store = ? and facing = ?",
            [(at, store, facing) for facing, at in state.facings.items()],
        )


def note_difference(tx: Transaction, store: str, *, at: str) -> None:
    """Keep that a store's counts were others than its ledger's, for who audits it."""
    tx.connection.execute(
        "update store set differences = differences + 1, differed_at = ? where store = ?", (at, store)
    )


def prune(tx: Transaction, *, events_before: str, items_before: str, buckets_before_ms: int) -> int:
    """Delete one step of what is too old and return how many rows went. The newest event always stays."""
    limit = PRUNE_STEP
    gone = _prune_feed(tx.connection, events_before)
    gone += tx.connection.execute(
        "delete from item where (store, epc) in"
        " (select store, epc from item where is_present = 0 and moved_at < ? limit ?)",
        (items_before, limit),
    ).rowcount
    gone += tx.connection.execute(
        "delete from command where n in (select n from command where issued_at < ?1"
        " and (outcome is not null or expires_at < ?1) limit ?2)",
        (events_before, limit),
    ).rowcount
    gone += tx.connection.execute(
        "delete from reservation where n in"
        " (select n from reservation where claimed = 0 and ended_at < ? limit ?)",
        (events_before, limit),
    ).rowcount
    for table, key in (
        ("footfall", "store, start_ms, line, device"),
        ("environment", "store, start_ms, device, quantity"),
    ):
        gone += tx.connection.execute(
            f"delete from {table} where ({key}) in (select {key} from {table} where start_ms < ? limit ?)",  # noqa: S608 - names from this file
            (buckets_before_ms, limit),
        ).rowcount
    return gone


def _prune_feed(connection: sqlite3.Connection, before: str) -> int:
    """Sums of what goes are kept, so that an audit can still add the feed up. An event that is not old keeps
    all behind it: one that a wrong clock dates back takes nobody with it."""
    last = connection.execute(
        "with oldest as materialized (select n, received_at from feed order by n limit ?)"
        " select max(n) from oldest where n < (select max(n) from feed)"
        " and n < coalesce((select min(n) from oldest where received_at >= ?), 9223372036854775807)",
        (PRUNE_STEP, before),
    ).fetchone()[0]
    if last is None:
        return 0
    connection.execute(
        "insert into feed_pruned (store, facing, gtin, change)"
        " select store, json_extract(payload, '$.facing'), json_extract(payload, '$.gtin'),"
        " sum(json_extract(payload, '$.change')) from feed"
        " where n <= ? and type = 'stock.changed' group by 1, 2, 3"
        " on conflict do update set change = change + excluded.change",
        (last,),
    )
    return connection.execute("delete from feed where n <= ?", (last,)).rowcount
