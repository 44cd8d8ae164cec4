"""Many rows in one step of SQLite.

Python gives its interpreter lock away at every step of a statement and waits to get it back. With a busy
event loop beside it, a row at a time is slower by orders of magnitude than many rows a statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

import msgspec

_CHUNK: Final = 100
"""Rows a statement: one text for full chunks, so that it is prepared once."""


def insert_many(
    connection: sqlite3.Connection, into: str, rows: Sequence[tuple[object, ...]], *, on_conflict: str = ""
) -> None:
    """Insert `rows` by `into` (`insert into t (a, b)`), all with as many values as the first."""
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        sql = _statement(into, len(chunk[0]), len(chunk), on_conflict)
        connection.execute(sql, list(chain.from_iterable(chunk)))


def select_many(
    connection: sqlite3.Connection, columns: str, rest: str, parameters: Sequence[object]
) -> list[list[Any]]:
    """`select columns rest` as a list of rows: text, numbers and null only, in no order."""
    sql = f"select json_group_array(json_array({columns})) {rest}"
    (text,) = connection.execute(sql, parameters).fetchone()
    rows: list[list[Any]] = msgspec.json.decode(text)
    return rows


@lru_cache(maxsize=512)
def _statement(into: str, width: int, count: int, on_conflict: str) -> str:
    row = f"({', '.join('?' * width)})"
    return f"{into} values {', '.join([row] * count)} {on_conflict}"
