"""Rows from a store's agent into its ledger, picture and feed: the body of one transaction."""

from __future__ import annotations

import sqlite3
from typing import Final

from cloud_bridge.rows import AppliedPlanogram, ReadyBatch, ReadyRow, SetAside
from cloud_bridge.store.fresh import common_position, newest_time, rows_behind
from cloud_bridge.store.lines import Head
from cloud_bridge.store.records import Applied
from cloud_bridge.store.sqlite import commands, published, reservations
from cloud_bridge.store.sqlite.history import chain_at, current_head
from cloud_bridge.store.sqlite.many import insert_many
from cloud_bridge.store.sqlite.picture import load_for, save
from cloud_bridge.store.sqlite.state import drop_state
from cloud_bridge.store.sqlite.writer import Transaction
from edge_agent.contract.messages import CommandDone, Position

_TOLD: Final = (SetAside, CommandDone, AppliedPlanogram)
"""Rare rows that do something beside the picture; the others are looked through once only."""


def apply_batch(tx: Transaction, store: str, batch: ReadyBatch, *, received_at: str) -> Applied:
    """Put what is new behind the head. Conflict `gap`, `fork` or `stale_session`: nothing happened."""
    head = current_head(tx.connection, store, batch.session)
    fresh = _fresh_rows(tx.connection, store, head, batch)
    seq, chain = (fresh[-1].seq, fresh[-1].chain) if fresh else (head.seq, head.chain)
    told = [row for row in fresh if isinstance(row.body, _TOLD)]
    if fresh:
        _insert(tx.connection, store, head.branch, fresh, received_at)
        _set_aside(tx.connection, store, head.branch, told)
        picture = load_for(tx.connection, store, fresh)
        picture.apply(fresh, received_at=received_at)
        save(tx.connection, store, picture)
        tx.publish(store, picture.feed)
        reservations.seen(tx.connection, store, picture.feed)
        commands.settle(tx, store, told, received_at=received_at)
        published.settle(tx, store, told, received_at=received_at)
        tx.connection.execute(
            "update branch set head_seq = ?, head_chain = ?, head_occurred_at = coalesce(?, head_occurred_at)"
            " where store = ? and branch = ?",
            (seq, chain, newest_time(fresh), store, head.branch),
        )
        if head.as_of_seq and seq >= head.as_of_seq:
            drop_state(tx.connection, store)
    tx.connection.execute(
        "update store set last_seen_at = ?, last_seq = ? where store = ?",
        (received_at, batch.last_seq, store),
    )
    fates = [row.body.fate for row in told if isinstance(row.body, SetAside)]
    return Applied(
        head.name, Position(seq, chain.hex()), len(fresh), fates.count("parked"), fates.count("quarantined")
    )


def _fresh_rows(connection: sqlite3.Connection, store: str, head: Head, batch: ReadyBatch) -> list[ReadyRow]:
    common = common_position(head, batch)
    ours = head.chain if common == head.seq else chain_at(connection, store, head.branch, common)
    return rows_behind(common, ours, batch)


def _insert(
    connection: sqlite3.Connection, store: str, branch: int, rows: list[ReadyRow], received_at: str
) -> None:
    insert_many(
        connection,
        "insert into ledger (store, seq, branch, chain, eid, kind, version, occurred_at, received_at,"
        " boot_id, mono_ms, body)",
        [
            (store, r.seq, branch, r.chain, r.eid, r.kind, r.version, r.occurred_at, received_at, r.boot_id,
             r.mono_ms, r.text)
            for r in rows
        ],
    )  # fmt: skip


def _set_aside(connection: sqlite3.Connection, store: str, branch: int, rows: list[ReadyRow]) -> None:
    insert_many(
        connection,
        "insert into set_aside (store, seq, branch, fate, reason)",
        [(store, r.seq, branch, r.body.fate, r.body.reason) for r in rows if isinstance(r.body, SetAside)],
    )
