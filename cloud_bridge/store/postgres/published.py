"""What HQ publishes for stores in PostgreSQL: the newest of a kind is wanted until the store has it.

A command carries it there. Where the store goes on with another memory, another command does so again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from cloud_bridge.rows import AppliedPlanogram, ReadyRow
from cloud_bridge.store.orders import RESET, SUPERSEDED, document_order, published_record, require_newest
from cloud_bridge.store.postgres import commands
from cloud_bridge.store.postgres.database import Connection, Transaction
from cloud_bridge.store.postgres.history import lock_store
from cloud_bridge.store.postgres.sealing import sealed
from cloud_bridge.store.records import Published, PublishedRecord
from edge_agent.contract.messages import CommandDone


async def read(connection: Connection, store: str, kind: Published) -> PublishedRecord:
    """The newest document of a kind, and what the store has said of it."""
    row = await connection.fetchrow(
        "select revision, body, reason, newest_told, applied_revision from published"
        " where store = $1 and kind = $2",
        store,
        kind,
    )
    applied = None if row is None else row[4]
    if kind == "planogram":
        applied = await connection.fetchval("select revision from planogram where store = $1", store)
    return published_record(None if row is None else (row[0], row[1], row[2], row[3]), applied)


async def publish(
    tx: Transaction, store: str, kind: Published, body: dict[str, Any], *, expected: int, by: str, at: str
) -> int:
    """Keep `body` as the newest of its kind and have it handed out; the number of its command.

    PreconditionFailed when `expected` is not the newest revision. What was published before and is not done
    yet is closed.
    """
    await lock_store(tx.connection, store)
    newest = (await read(tx.connection, store, kind)).newest
    require_newest(newest, expected)
    await tx.connection.execute(
        "update command set outcome = 'expired', reason = $1, done_at = $2"
        " where store = $3 and kind = $4 and outcome is null",
        SUPERSEDED,
        at,
        store,
        kind,
    )
    command = document_order(store, kind, body, revision=newest + 1, by=by, at=at)
    await tx.connection.execute(
        "insert into published (store, kind, revision, body, published_by, published_at, command)"
        " values ($1, $2, $3, $4, $5, $6, $7)"
        " on conflict (store, kind) do update set revision = excluded.revision, body = excluded.body,"
        " published_by = excluded.published_by, published_at = excluded.published_at,"
        " command = excluded.command, fate = null, reason = null",
        store, kind, newest + 1, json.dumps(body, ensure_ascii=False), by, at, bytes.fromhex(command.id),
    )  # fmt: skip
    return await commands.add(tx, command)


async def settle(tx: Transaction, store: str, rows: Iterable[ReadyRow], *, received_at: str) -> None:
    """Take in what a store says of what was published, in its order."""
    for row in rows:
        if isinstance(row.body, CommandDone):
            await _done(tx.connection, store, row.body)
        elif isinstance(row.body, AppliedPlanogram) and row.body.reset_of:
            await _reset(tx.connection, store, row.body.reset_of, received_at)


async def want_again(tx: Transaction, store: str, *, at: str) -> None:
    """The store goes on with another memory: what was published is handed out anew, also where it was in use
    or refused. What somebody at the store put aside is not."""
    lost = await tx.connection.fetch(
        "select p.kind, p.revision, p.body, p.published_by from published p"
        " left join command c on c.id = p.command where p.store = $1 and p.fate is distinct from 'reset'"
        " and (c.id is null or c.outcome is not null) order by p.kind",
        store,
    )
    for kind, revision, body, by in lost:
        command = document_order(store, kind, json.loads(body), revision=revision, by=by, at=at)
        await tx.connection.execute(
            "update published set command = $1, fate = null, reason = null, applied_revision = null"
            " where store = $2 and kind = $3",
            bytes.fromhex(command.id),
            store,
            kind,
        )
        await commands.add(tx, command)


async def _done(connection: Connection, store: str, done: CommandDone) -> None:
    """Only the newest command of a document speaks of it."""
    await connection.execute(
        "update published set fate = $1, reason = $2, newest_told = greatest(newest_told, $3),"
        " applied_revision = case when $4 then revision else nullif($3, 0) end"
        " where store = $5 and command = $6",
        done.outcome,
        done.reason and sealed(done.reason),
        done.newest,
        done.outcome == "applied",
        store,
        bytes.fromhex(done.command),
    )


async def _reset(connection: Connection, store: str, revision: int, at: str) -> None:
    await connection.execute(
        "update command set outcome = 'expired', reason = $1, done_at = $2 where outcome is null and id ="
        " (select command from published where store = $3 and kind = 'planogram' and revision <= $4)",
        RESET,
        at,
        store,
        revision,
    )
    await connection.execute(
        "update published set fate = 'reset', reason = $1"
        " where store = $2 and kind = 'planogram' and revision <= $3",
        RESET,
        store,
        revision,
    )
