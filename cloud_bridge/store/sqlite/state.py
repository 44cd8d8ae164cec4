"""A store's present, shown before its past is there: a layer over the picture, which stays the fold."""

from __future__ import annotations

import json
import sqlite3

from cloud_bridge.store.sqlite.history import current_head
from cloud_bridge.store.sqlite.many import insert_many
from cloud_bridge.store.sqlite.writer import Transaction
from edge_agent.contract.messages import State


def apply_state(tx: Transaction, store: str, state: State, *, received_at: str) -> None:
    """Show facings and devices as the agent sees them now, until the rows up to `as_of_seq` are there.

    Gaps are not shown anywhere yet and follow the rows. State that is not ahead of the rows says nothing new.
    """
    head = current_head(tx.connection, store, state.session)
    if state.as_of_seq <= head.seq:
        return
    drop_state(tx.connection, store)
    insert_many(
        tx.connection,
        "insert or replace into ahead_facing (store, facing, gtin, on_hand, confidence, status, sources,"
        " changed_at, observed_at, received_at, reorder_due_at)",
        [
            (
                store, f.facing, f.gtin, f.on_hand, f.confidence, f.status, json.dumps(f.sources),
                f.changed_at, f.observed_at, received_at, f.reorder_due_at,
            )
            for f in state.facings
        ],
    )  # fmt: skip
    insert_many(
        tx.connection,
        "insert or replace into ahead_device (store, device, driver, status, reason, since, last_seen_at)",
        [(store, d.device, d.driver, d.status, d.reason, d.since, d.last_seen_at) for d in state.devices],
    )
    tx.connection.execute(
        "update store set as_of_seq = ?, catch_up_to = max(catch_up_to, ?), state_at = ?, last_seen_at = ?"
        " where store = ?",
        (state.as_of_seq, state.as_of_seq, received_at, received_at, store),
    )


def drop_state(connection: sqlite3.Connection, store: str) -> None:
    """Show the ledger's fold again, where a layer is. Versions move on, for who compares them."""
    dropped = connection.execute(
        "update store set as_of_seq = 0, state_at = null where store = ? and as_of_seq > 0", (store,)
    )
    if not dropped.rowcount:
        return
    connection.execute("delete from ahead_facing where store = ?", (store,))
    connection.execute("delete from ahead_device where store = ?", (store,))
    connection.execute("update facing set version = version + 1 where store = ?", (store,))
