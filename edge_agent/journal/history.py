"""What the journal's rows tell of one facing's past. Reads newest first, and never more than it is told to.

There is no index by facing: it would cost every capture a write, for a question that a person asks now and
then. Short looks (`SLICE` rows) leave the reading connection to others in between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import partial

import msgspec

from edge_agent.contract.messages import StockChanged
from edge_agent.journal.journal import Journal

SLICE, LOOK_BACK = 2_000, 100_000
"""Outbox rows that one look reads, and that all of them read at most."""
LINES = 5_000
"""Lines of receipts and deliveries that are read at most."""

_decode = msgspec.json.Decoder(StockChanged).decode

Told = tuple[str, StockChanged]
"""When it occurred, and the body."""


def changes_of(journal: Journal, facing: str) -> Iterator[Told]:
    """The durable `stock.changed` of a facing, the newest first."""
    upto = journal.durable_seq
    last = max(journal.position.base_seq, upto - LOOK_BACK)
    while upto > last:
        above = max(last, upto - SLICE)
        for occurred_at, body in journal.look(partial(_rows, facing, above, upto)):
            yield occurred_at, _decode(body)
        upto = above


def looked_back_to(journal: Journal) -> str | None:
    """When the oldest row occurred that `changes_of` would read; None where there is none."""
    last = max(journal.position.base_seq, journal.durable_seq - LOOK_BACK)
    rows = journal.rows_after(last, limit=1)
    return rows[0].occurred_at if rows else None


def lines_since(journal: Journal, since: str) -> tuple[list[tuple[str, str, str]], str]:
    """(kind, content, taken at) of the newest lines of tills and suppliers, and since when that is all."""
    statement = (
        # `+` keeps SQLite to the index by time: the one by kind would lead through the whole table.
        "select kind, content, taken_at from line where taken_at > ? and +kind in ('sale', 'delivery') "
        "order by taken_at desc limit ?"
    )
    lines = journal.look(lambda db: db.execute(statement, (since, LINES)).fetchall())
    return lines, lines[-1][2] if len(lines) == LINES else since


def _rows(facing: str, above: int, upto: int, db: sqlite3.Connection) -> list[tuple[str, str]]:
    start = f'{{"facing":"{facing}",'  # the body's first field; a comparison of bytes is cheaper than JSON
    return db.execute(
        "select occurred_at, body from outbox where seq > ? and seq <= ? and kind = 'stock.changed' "
        "and substr(body, 1, ?) = ? order by seq desc",
        (above, upto, len(start), start),
    ).fetchall()
