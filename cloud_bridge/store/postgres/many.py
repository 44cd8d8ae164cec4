"""Many rows in one statement of PostgreSQL: a text for each column, taken apart by the server.

The client looks at every element of an array as if it could be a container, and that costs more than all else
it does; a text of a whole column costs next to nothing. PostgreSQL refuses NUL in a text: it is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud_bridge.store.postgres.database import Writes
from cloud_bridge.store.postgres.sealing import MARK, NEXT, NULL, sealed


@dataclass(frozen=True, slots=True)
class Columns:
    """`name kind, …`: bigint, float8, bool, bytea or text; with `?` it may be null."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]

    @classmethod
    def of(cls, columns: str) -> Columns:
        """Read `name kind, name kind?`."""
        pairs = [column.split() for column in columns.split(", ")]
        return cls(tuple(name for name, _ in pairs), tuple(kind for _, kind in pairs))

    def rows(self, first: int) -> str:
        """What stands behind `from`: rows `r` out of the parameters from `$first` on, with their `place`."""
        texts = (
            f"trim_array(string_to_array(${n}, E'\\x1f', E'\\x1e'), 1)"
            for n in range(first, first + len(self.names))
        )
        return f"unnest({', '.join(texts)}) with ordinality r ({', '.join(self.names)}, place)"

    @property
    def values(self) -> list[str]:
        """The columns of those rows, each in its type."""
        return list(map(_value, self.names, self.kinds))

    def of_rows(self, rows: Sequence[tuple[Any, ...]]) -> list[str]:
        """Rows as those parameters."""
        columns = zip(*rows, strict=True)
        return [_packed(kind, column) for kind, column in zip(self.kinds, columns, strict=True)]


@dataclass(frozen=True, slots=True)
class Statement:
    """Runs over a store and many rows."""

    sql: str
    columns: Columns


def insert(table: str, columns: str, *, on_conflict: str = "") -> Statement:
    """A statement that inserts rows of one store."""
    these = Columns.of(columns)
    names = ", ".join(these.names)
    return Statement(
        f"insert into {table} (store, {names}) select $1, {', '.join(these.values)}"
        f" from {these.rows(2)} {on_conflict}",
        these,
    )


def update(table: str, key: str, columns: str) -> Statement:
    """A statement that updates rows of one store that are there, found by the text `key`."""
    these = Columns.of(f"{key} text, {columns}")
    pairs = list(zip(these.names, these.values, strict=True))[1:]
    setting = ", ".join(f"{name} = {value}" for name, value in pairs)
    return Statement(
        f"update {table} t set {setting} from {these.rows(2)} where t.store = $1 and t.{key} = r.{key}",
        these,
    )


def updating(key: str, columns: Sequence[str]) -> str:
    """The clause that takes `columns` over where `key` is there already."""
    return f"on conflict ({key}) do update set {', '.join(f'{c} = excluded.{c}' for c in columns)}"


async def run_many(
    connection: Writes, statement: Statement, store: str, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Run a statement over rows; without any it costs nothing."""
    if rows:
        await connection.execute(statement.sql, store, *statement.columns.of_rows(rows))


def _value(name: str, kind: str) -> str:
    type_ = kind.rstrip("?")
    if type_ == "bytea":
        return f"decode(r.{name}, 'hex')"
    return f"r.{name}" if type_ == "text" else f"r.{name}::{type_}"


def _packed(kind: str, column: Sequence[Any]) -> str:
    """A text for a column; the last element is there so that none at all and one empty text differ."""
    write = _WRITTEN[kind.rstrip("?")]
    if kind.endswith("?"):
        written: Sequence[str] = [NULL if value is None else write(value) for value in column]
    elif kind == "text":
        return _packed_texts(column)
    else:
        written = list(map(write, column))
    return NEXT.join((*written, ""))


def _packed_texts(column: Sequence[str]) -> str:
    joined = NEXT.join((*column, ""))
    if joined.count(NEXT) == len(column) and not any(sign in joined for sign in (MARK, "\0", NULL)):
        return joined
    return NEXT.join((*map(sealed, column), ""))


_WRITTEN: Final[dict[str, Callable[[Any], str]]] = {
    "bigint": str,
    "float8": lambda value: repr(float(value)),
    "bool": lambda value: "t" if value else "f",
    "bytea": bytes.hex,
    "text": sealed,
}
