"""HQ's commands to stores in PostgreSQL: each is handed out until its fate is known, never once it is."""

from __future__ import annotations

from collections.abc import Iterable

from cloud_bridge.rows import ReadyRow
from cloud_bridge.store.orders import AT_ONCE, COUNTED_AGAIN, GATEWAY_REPLACED, as_told, number_after
from cloud_bridge.store.postgres.database import Connection, Transaction
from cloud_bridge.store.postgres.news import note
from cloud_bridge.store.postgres.sealing import sealed
from cloud_bridge.store.records import CommandRecord, HandedOut
from edge_agent.contract.messages import CommandDone


async def add(tx: Transaction, command: CommandRecord) -> int:
    """Keep one command and return its number; every process hears of it.

    A newer count of a facing closes older ones that nobody was handed yet. Numbers rise: who gives one holds
    the row of the news of commands until its commit.
    """
    connection = tx.connection
    await note(connection, "commands")
    if command.kind == "recount":
        await connection.execute(
            "update command set outcome = 'expired', reason = $1, done_at = $2"
            " where store = $3 and kind = 'recount' and outcome is null and handed_at is null"
            " and body::json ->> 'facing' = $4::json ->> 'facing'",
            COUNTED_AGAIN,
            command.issued_at,
            command.store,
            command.body,
        )
    last = await connection.fetchval("select coalesce(max(n), 0) from command")
    number = number_after(last, command.issued_at)
    await connection.execute(
        "insert into command (n, store, id, kind, body, issued_by, issued_at, expires_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8)",
        number, command.store, bytes.fromhex(command.id), command.kind, command.body, command.issued_by,
        command.issued_at, command.expires_at,
    )  # fmt: skip
    return number


async def newest(connection: Connection) -> dict[str, int]:
    """The number of each store's newest command."""
    rows = await connection.fetch("select store, max(n) from command group by store")
    return dict(rows)


async def hand_out(tx: Transaction, store: str, *, after: int, newest: int, now: str) -> HandedOut:
    """The commands behind `after` whose fate is open; those that are too old are closed.

    `newest` is the number that the store's agent is told of: its row may be pruned already, and the agent
    must pass it all the same.
    """
    connection = tx.connection
    expired = await connection.fetch(
        "update command set outcome = 'expired', done_at = $1"
        " where store = $2 and outcome is null and expires_at <= $1 returning n",
        now,
        store,
    )
    # First: a command that is committed in between is handed out, and never passed by.
    kept = await connection.fetchval("select coalesce(max(n), 0) from command where store = $1", store)
    found = await connection.fetch(
        "select n, id, kind, body, issued_at from command"
        f" where store = $1 and n > $2 and outcome is null order by n limit {AT_ONCE}",
        store,
        after,
    )
    numbers = [row[0] for row in found]
    await connection.execute(
        "update command set handed_at = coalesce(handed_at, $1) where n = any($2)",
        now,
        numbers,
    )
    last = max(kept, newest, *numbers) if len(found) < AT_ONCE else numbers[-1]
    commands = [as_told(*rest, now=now) for _, *rest in found]
    return HandedOut(commands, max(after, last), len(expired))


async def settle(tx: Transaction, store: str, rows: Iterable[ReadyRow], *, received_at: str) -> None:
    """Close the commands whose fate a store tells; what it says is true, also of one that was given up."""
    for row in rows:
        if isinstance(row.body, CommandDone):
            await tx.connection.execute(
                "update command set outcome = $1, reason = $2, done_at = $3 where store = $4 and id = $5",
                row.body.outcome,
                row.body.reason and sealed(row.body.reason),
                received_at,
                store,
                bytes.fromhex(row.body.command),
            )


async def give_up(tx: Transaction, store: str, *, at: str) -> None:
    """The store goes on with another memory: what the one before was handed is never handed out again."""
    await tx.connection.execute(
        "update command set outcome = 'unknown', reason = $1, done_at = $2"
        " where store = $3 and handed_at is not null and outcome is null",
        GATEWAY_REPLACED,
        at,
        store,
    )
