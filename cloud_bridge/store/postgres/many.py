"""Many rows in one statement of PostgreSQL, and text that PostgreSQL cannot hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cloud_bridge.store.postgres.database import Connection

_NUL: Final = "\0"
_MARK: Final = "\U0010ffff"
"""A noncharacter: where a text has it or a NUL, which PostgreSQL refuses, it begins an escape."""


def insert(table: str, columns: str, *, on_conflict: str = "") -> str:
    """A statement that takes a store and one array a column (`name type, name type`) behind it."""
    pairs = [column.split() for column in columns.split(", ")]
    names = ", ".join(name for name, _ in pairs)
    arrays = ", ".join(f"${n}::{kind}[]" for n, (_, kind) in enumerate(pairs, 2))
    return f"insert into {table} (store, {names}) select $1, r.* from unnest({arrays}) r {on_conflict}"


def updating(key: str, columns: Sequence[str]) -> str:
    """The clause that takes `columns` over where `key` is there already."""
    return f"on conflict ({key}) do update set {', '.join(f'{c} = excluded.{c}' for c in columns)}"


async def run_many(
    connection: Connection, statement: str, store: str, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Run a statement of `insert` over rows; without any it costs nothing."""
    if rows:
        await connection.execute(statement, store, *columns_of(rows))


def columns_of(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Rows as columns, their text such that PostgreSQL takes it."""
    return [_held(list(column)) for column in zip(*rows, strict=True)]


def sealed(text: str) -> str:
    """Text with every NUL escaped; `opened` gives it back."""
    if _NUL not in text and _MARK not in text:
        return text
    return text.replace(_MARK, f"{_MARK}1").replace(_NUL, f"{_MARK}0")


def opened(text: str) -> str:
    """The text that was sealed."""
    if _MARK not in text:
        return text
    return text.replace(f"{_MARK}0", _NUL).replace(f"{_MARK}1", _MARK)


def _held(column: list[Any]) -> list[Any]:
    if not any(isinstance(value, str) for value in column[:1]) and None not in column[:1]:
        return column
    return [sealed(value) if isinstance(value, str) else value for value in column]
