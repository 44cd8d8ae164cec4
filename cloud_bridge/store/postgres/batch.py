"""Rows from a store's agent into its ledger, picture and feed: the body of one transaction in PostgreSQL."""

from __future__ import annotations

from typing import Final

from cloud_bridge.rows import ReadyBatch, ReadyRow, SetAside
from cloud_bridge.store.fresh import common_position, newest_time, rows_behind
from cloud_bridge.store.postgres import commands, published, reservations
from cloud_bridge.store.postgres.database import Transaction, Writes
from cloud_bridge.store.postgres.feed import publish
from cloud_bridge.store.postgres.history import chain_at, lock_head
from cloud_bridge.store.postgres.many import insert, run_many
from cloud_bridge.store.postgres.picture import load_for, save
from cloud_bridge.store.postgres.state import drop_state
from cloud_bridge.store.postgres.together import Together
from cloud_bridge.store.records import Applied
from edge_agent.contract.messages import Position

_LEDGER: Final = insert(
    "ledger",
    "seq bigint, branch bigint, chain bytea, eid bytea, kind text, version bigint, occurred_at text,"
    " received_at text, boot_id text, mono_ms bigint, body text",
)
_SET_ASIDE: Final = insert("set_aside", "seq bigint, branch bigint, fate text, reason text")
_MOVE_HEAD: Final = """
with moved as (
  update branch set head_seq = $3, head_chain = $4, head_occurred_at = coalesce($5, head_occurred_at)
  where store = $1 and branch = $2
)
update store set last_seen_at = $6, last_seq = $7 where store = $1
"""


async def apply_batch(tx: Transaction, store: str, batch: ReadyBatch, *, received_at: str) -> Applied:
    """Put what is new behind the head. Conflict `gap`, `fork` or `stale_session`: nothing happened."""
    head = await lock_head(tx.connection, store, batch.session)
    common = common_position(head, batch)
    ours = head.chain if common == head.seq else await chain_at(tx.connection, store, head.branch, common)
    fresh = rows_behind(common, ours, batch)
    if not fresh:
        await tx.connection.execute(
            "update store set last_seen_at = $2, last_seq = $3 where store = $1",
            store,
            received_at,
            batch.last_seq,
        )
        return Applied(head.name, Position(head.seq, head.chain.hex()), 0, 0, 0)
    last = fresh[-1]
    picture = await load_for(tx.connection, store, fresh)
    picture.apply(fresh, received_at=received_at)
    writes = Together()
    await _insert(writes, store, head.branch, fresh, received_at)
    await save(writes, store, picture)
    await publish(tx, store, picture.feed, by=writes)
    await writes.execute(
        _MOVE_HEAD, store, head.branch, last.seq, last.chain, newest_time(fresh), received_at, batch.last_seq
    )
    await writes.send(tx.connection)
    await reservations.seen(tx.connection, store, picture.feed)
    await commands.settle(tx, store, fresh, received_at=received_at)
    await published.settle(tx, store, fresh, received_at=received_at)
    if head.as_of_seq and last.seq >= head.as_of_seq:
        await drop_state(tx.connection, store)
    fates = [row.body.fate for row in fresh if isinstance(row.body, SetAside)]
    return Applied(
        head.name,
        Position(last.seq, last.chain.hex()),
        len(fresh),
        fates.count("parked"),
        fates.count("quarantined"),
    )


async def _insert(
    connection: Writes, store: str, branch: int, rows: list[ReadyRow], received_at: str
) -> None:
    await run_many(
        connection,
        _LEDGER,
        store,
        [
            (r.seq, branch, r.chain, r.eid, r.kind, r.version, r.occurred_at, received_at, r.boot_id,
             r.mono_ms, r.text)
            for r in rows
        ],
    )  # fmt: skip
    await run_many(
        connection,
        _SET_ASIDE,
        store,
        [(r.seq, branch, r.body.fate, r.body.reason) for r in rows if isinstance(r.body, SetAside)],
    )
