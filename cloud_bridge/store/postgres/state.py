"""A store's present, shown before its past is there, in PostgreSQL: a layer over the picture."""

from __future__ import annotations

import json
from typing import Final

from cloud_bridge.store.postgres.database import Connection, Transaction
from cloud_bridge.store.postgres.history import lock_head
from cloud_bridge.store.postgres.many import insert, run_many
from edge_agent.contract.messages import State

_FACINGS: Final = (
    "facing text, gtin text, on_hand bigint?, confidence float8, status text, sources text, changed_at text?,"
    " observed_at text?, received_at text, reorder_due_at text?"
)
_DEVICES: Final = "device text, driver text, status text, reason text?, since text, last_seen_at text?"


async def apply_state(tx: Transaction, store: str, state: State, *, received_at: str) -> None:
    """Show facings and devices as the agent sees them now, until the rows up to `as_of_seq` are there.

    Gaps are not shown anywhere yet and follow the rows. State that is not ahead of the rows says nothing new.
    """
    head = await lock_head(tx.connection, store, state.session)
    if state.as_of_seq <= head.seq:
        return
    await drop_state(tx.connection, store)
    shown = {
        f.facing: (
            f.facing, f.gtin, f.on_hand, f.confidence, f.status, json.dumps(f.sources), f.changed_at,
            f.observed_at, received_at, f.reorder_due_at,
        )
        for f in state.facings
    }  # fmt: skip
    await run_many(tx.connection, insert("ahead_facing", _FACINGS), store, list(shown.values()))
    devices = {
        d.device: (d.device, d.driver, d.status, d.reason, d.since, d.last_seen_at) for d in state.devices
    }
    await run_many(tx.connection, insert("ahead_device", _DEVICES), store, list(devices.values()))
    await tx.connection.execute(
        "update store set as_of_seq = $2, catch_up_to = greatest(catch_up_to, $2), state_at = $3,"
        " last_seen_at = $3 where store = $1",
        store,
        state.as_of_seq,
        received_at,
    )


async def drop_state(connection: Connection, store: str) -> None:
    """Show the ledger's fold again, where a layer is. Versions move on, for who compares them."""
    dropped = await connection.execute(
        "update store set as_of_seq = 0, state_at = null where store = $1 and as_of_seq > 0", store
    )
    if dropped == "UPDATE 0":
        return
    await connection.execute("delete from ahead_facing where store = $1", store)
    await connection.execute("delete from ahead_device where store = $1", store)
    await connection.execute("update facing set version = version + 1 where store = $1", store)
