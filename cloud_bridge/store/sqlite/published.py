"""What HQ publishes for stores in SQLite: the newest of a kind is wanted until the store has it.

A command carries it there. Where the store goes on with another memory, another command does so again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from cloud_bridge.rows import AppliedPlanogram, ReadyRow
from cloud_bridge.store.orders import RESET, SUPERSEDED, document_order, published_record, require_newest
from cloud_bridge.store.records import Published, PublishedRecord
from cloud_bridge.store.sqlite import commands
from cloud_bridge.store.sqlite.writer import Transaction
from edge_agent.contract.messages import CommandDone


def read(connection: sqlite3.Connection, store: str, kind: Published) -> PublishedRecord:
    """The newest document of a kind, and what the store has said of it."""
    row = connection.execute(
        "select revision, body, reason, newest_told, applied_revision from published"
        " where store = ? and kind = ?",
        (store, kind),
    ).fetchone()
    applied = None if row is None else row[4]
    if kind == "planogram":
        found = connection.execute("select revision from planogram where store = ?", (store,)).fetchone()
        applied = None if found is None else found[0]
    return published_record(None if row is None else row[:4], applied)


def publish(
    tx: Transaction, store: str, kind: Published, body: dict[str, Any], *, expected: int, by: str, at: str
) -> int:
    """Keep `body` as the newest of its kind and have it handed out; the number of its command.

    PreconditionFailed when `expected` is not the newest revision. What was published before and is not done
    yet is closed.
    """
    newest = read(tx.connection, store, kind).newest
    require_newest(newest, expected)
    tx.connection.execute(
        "update command set outcome = 'expired', reason = ?, done_at = ?"
        " where store = ? and kind = ? and outcome is null",
        (SUPERSEDED, at, store, kind),
    )
    command = document_order(store, kind, body, revision=newest + 1, by=by, at=at)
    tx.connection.execute(
        "insert into published (store, kind, revision, body, published_by, published_at, command)"
        " values (?, ?, ?, ?, ?, ?, ?)"
        " on conflict do update set revision = excluded.revision, body = excluded.body,"
        " published_by = excluded.published_by, published_at = excluded.published_at,"
        " command = excluded.command, fate = null, reason = null",
        (store, kind, newest + 1, json.dumps(body, ensure_ascii=False), by, at, bytes.fromhex(command.id)),
    )
    return commands.add(tx, command)


def settle(tx: Transaction, store: str, rows: Iterable[ReadyRow], *, received_at: str) -> None:
    """Take in what a store says of what was published, in its order."""
    for row in rows:
        if isinstance(row.body, CommandDone):
            _done(tx.connection, store, row.body)
        elif isinstance(row.body, AppliedPlanogram) and row.body.reset_of:
            _reset(tx.connection, store, row.body.reset_of, received_at)


def want_again(tx: Transaction, store: str, *, at: str) -> None:
    """The store goes on with another memory: what was published is handed out anew, also where it was in use
    or refused. What somebody at the store put aside is not."""
    lost = tx.connection.execute(
        "select p.kind, p.revision, p.body, p.published_by from published p"
        " left join command c on c.id = p.command"
        " where p.store = ? and p.fate is not 'reset' and (c.id is null or c.outcome is not null)",
        (store,),
    ).fetchall()
    for kind, revision, body, by in lost:
        command = document_order(store, kind, json.loads(body), revision=revision, by=by, at=at)
        tx.connection.execute(
            "update published set command = ?, fate = null, reason = null, applied_revision = null"
            " where store = ? and kind = ?",
            (bytes.fromhex(command.id), store, kind),
        )
        commands.add(tx, command)


def _done(connection: sqlite3.Connection, store: str, done: CommandDone) -> None:
    """Only the newest command of a document speaks of it."""
    is_applied = done.outcome == "applied"
    connection.execute(
        "update published set fate = ?, reason = ?, newest_told = max(newest_told, ?),"
        " applied_revision = case when ? then revision else nullif(?, 0) end"
        " where store = ? and command = ?",
        (
            done.outcome,
            done.reason,
            done.newest,
            is_applied,
            done.newest,
            store,
            bytes.fromhex(done.command),
        ),
    )


def _reset(connection: sqlite3.Connection, store: str, revision: int, at: str) -> None:
    connection.execute(
        "update command set outcome = 'expired', reason = ?, done_at = ? where outcome is null"
        " and id = (select command from published where store = ? and kind = 'planogram' and revision <= ?)",
        (RESET, at, store, revision),
    )
    connection.execute(
        "update published set fate = 'reset', reason = ?"
        " where store = ? and kind = 'planogram' and revision <= ?",
        (RESET, store, revision),
    )
