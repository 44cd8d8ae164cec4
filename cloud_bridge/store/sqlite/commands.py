"""HQ's commands to stores in SQLite: each is handed out until its fate is known, never once it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from cloud_bridge.rows import ReadyRow
from cloud_bridge.store.orders import AT_ONCE, COUNTED_AGAIN, GATEWAY_REPLACED, as_told, number_after
from cloud_bridge.store.records import CommandRecord, HandedOut
from cloud_bridge.store.sqlite.writer import Transaction
from edge_agent.contract.messages import CommandDone


def add(tx: Transaction, command: CommandRecord) -> int:
    """Keep one command and return its number.

    A newer count of a facing closes older ones that nobody was handed yet.
    """
    if command.kind == "recount":
        tx.connection.execute(
            "update command set outcome = 'expired', reason = ?, done_at = ?"
            " where store = ? and kind = 'recount' and outcome is null and handed_at is null"
            " and json_extract(body, '$.facing') = json_extract(?, '$.facing')",
            (COUNTED_AGAIN, command.issued_at, command.store, command.body),
        )
    (last,) = tx.connection.execute("select coalesce(max(n), 0) from command").fetchone()
    number = number_after(int(last), command.issued_at)
    tx.connection.execute(
        "insert into command (n, store, id, kind, body, issued_by, issued_at, expires_at)"
        " values (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            number, command.store, bytes.fromhex(command.id), command.kind, command.body, command.issued_by,
            command.issued_at, command.expires_at,
        ),
    )  # fmt: skip
    return number


def newest(connection: sqlite3.Connection) -> dict[str, int]:
    """The number of each store's newest command."""
    return dict(connection.execute("select store, max(n) from command group by store").fetchall())


def hand_out(tx: Transaction, store: str, *, after: int, newest: int, now: str) -> HandedOut:
    """The commands behind `after` whose fate is open; those that are too old are closed.

    `newest` is the number that the store's agent is told of: its row may be pruned already, and the agent
    must pass it all the same.
    """
    expired = tx.connection.execute(
        "update command set outcome = 'expired', done_at = ?"
        " where store = ? and outcome is null and expires_at <= ?",
        (now, store, now),
    ).rowcount
    found = tx.connection.execute(
        "select n, id, kind, body, issued_at from command"
        " where store = ? and n > ? and outcome is null order by n limit ?",
        (store, after, AT_ONCE),
    ).fetchall()
    tx.connection.executemany(
        "update command set handed_at = coalesce(handed_at, ?) where n = ?", [(now, row[0]) for row in found]
    )
    if len(found) < AT_ONCE:
        (kept,) = tx.connection.execute(
            "select coalesce(max(n), 0) from command where store = ?", (store,)
        ).fetchone()
        last = max(kept, newest)
    else:
        last = found[-1][0]
    commands = [as_told(*rest, now=now) for _, *rest in found]
    return HandedOut(commands, max(after, last), expired)


def settle(tx: Transaction, store: str, rows: Iterable[ReadyRow], *, received_at: str) -> None:
    """Close the commands whose fate a store tells; what it says is true, also of one that was given up."""
    tx.connection.executemany(
        "update command set outcome = ?, reason = ?, done_at = ? where store = ? and id = ?",
        [
            (row.body.outcome, row.body.reason, received_at, store, bytes.fromhex(row.body.command))
            for row in rows
            if isinstance(row.body, CommandDone)
        ],
    )


def give_up(tx: Transaction, store: str, *, at: str) -> None:
    """The store goes on with another memory: what the one before was handed is never handed out again."""
    tx.connection.execute(
        "update command set outcome = 'unknown', reason = ?, done_at = ?"
        " where store = ? and handed_at is not null and outcome is null",
        (GATEWAY_REPLACED, at, store),
    )
