"""The outbox's rows: those that wait for HQ, and those that are kept though HQ has them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from edge_agent.contract.errors import ConfigError, JournalError, SchemaTooNew, ShelfEdgeError
from edge_agent.contract.messages import OutboxRow, fold_chain
from edge_agent.journal.reading import is_damage, reading
from edge_agent.journal.schema import VERSION
from edge_agent.journal.state import SyncPosition

SLICE = 500
"""Rows that are in memory at once."""

Which = Literal["waiting", "kept"]
"""Rows that HQ has not applied yet, or all that are not forgotten."""

# One statement sees one moment: between two the agent may forget rows.
_ENDS: Final = (
    "select base_seq, base_chain, branch, applied, safe, (select max(seq) from outbox),"
    " (select chain from outbox order by seq desc limit 1),"
    " (select chain from outbox where seq = sync.applied) from sync"
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows in a row: from behind `after` to `last`, and the chain at both places."""

    after: int
    prev_chain: bytes
    last: int
    last_chain: bytes
    position: SyncPosition

    @property
    def rows(self) -> int:
        """How many; a seq is never left out."""
        return self.last - self.after


@dataclass(frozen=True, slots=True)
class RowFacts:
    """One row without its body, of which `size_bytes` is the length."""

    seq: int
    kind: str
    occurred_at: str
    size_bytes: int


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The journal of a running or a stopped agent, to be read only.

    ConfigError where there is none, SchemaTooNew, JournalError where it is damaged or cannot be read.
    """
    if not _is_there(path):
        raise ConfigError(
            f"there is no journal at {path}", hint="see agent.data_dir; `edge-agent run` makes it"
        )
    try:
        with reading(path) as db:
            _check_schema(db)
            yield db
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error


def stretch_of(db: sqlite3.Connection, which: Which) -> Stretch:
    """The rows asked for, as they are now."""
    *sync, last, last_chain, chain_applied = db.execute(_ENDS).fetchone()
    position = SyncPosition(*sync)
    after, prev_chain = position.base_seq, position.base_chain
    if last is None:
        last, last_chain = after, prev_chain
    if which == "waiting" and position.applied > position.base_seq:
        if chain_applied is None:
            raise JournalError(
                f"row {position.applied}, which HQ has applied, is missing", hint="see cloud-bridge audit"
            )
        after, prev_chain = position.applied, chain_applied
    return Stretch(after, prev_chain, last, last_chain, position)


def size_of(db: sqlite3.Connection, stretch: Stretch) -> tuple[int, str | None]:
    """(bytes of all bodies, when the first row occurred); the time is None where there is no row."""
    total = db.execute(
        "select coalesce(sum(length(cast(body as blob))), 0) from outbox where seq > ? and seq <= ?",
        (stretch.after, stretch.last),
    ).fetchone()[0]
    first = facts_of(db, stretch, limit=1)
    return int(total), first[0].occurred_at if first else None


def facts_of(db: sqlite3.Connection, stretch: Stretch, *, limit: int) -> list[RowFacts]:
    """The first rows of the stretch, at most `limit`, the oldest first."""
    found = db.execute(
        "select seq, kind, occurred_at, length(cast(body as blob)) from outbox"
        " where seq > ? and seq <= ? order by seq limit ?",
        (stretch.after, stretch.last, limit),
    )
    return [RowFacts(*row) for row in found]


def slices(db: sqlite3.Connection, stretch: Stretch) -> Iterator[list[OutboxRow]]:
    """All rows of the stretch, in order, `SLICE` at a time: a reader that stalls holds no transaction open,
    which would let the agent's `-wal` file grow. JournalError where a row is missing or is not what the
    chain says.
    """
    at, chain = stretch.after, stretch.prev_chain
    while at < stretch.last:
        rows = rows_between(db, at, stretch.last, limit=SLICE)
        if (missing := _first_missing(at + 1, rows)) is not None:
            raise JournalError(
                f"row {missing} is not there any more", hint="was it forgotten, since HQ has it? ask again"
            )
        chain, at = fold_chain(chain, rows), rows[-1].seq
        yield rows
    if chain != stretch.last_chain:
        raise JournalError(
            f"rows {stretch.after + 1} to {stretch.last} are not what their chain says",
            hint="the file is damaged; the disk may be failing: keep a copy of data_dir",
        )


def rows_between(db: sqlite3.Connection, after: int, upto: int, *, limit: int) -> list[OutboxRow]:
    """Rows with after < seq <= upto, in order, as they are sent."""
    found = db.execute(
        "select seq, eid, kind, version, occurred_at, boot_id, mono_ms, body from outbox "
        "where seq > ? and seq <= ? order by seq limit ?",
        (after, upto, limit),
    )
    return [
        OutboxRow(
            seq=r[0], eid=r[1].hex(), kind=r[2], version=r[3], occurred_at=r[4],
            boot_id=r[5], mono_ms=r[6], body=r[7],
        )
        for r in found
    ]  # fmt: skip


def _first_missing(first: int, rows: list[OutboxRow]) -> int | None:
    wanted = range(first, first + max(1, len(rows)))
    found = [row.seq for row in rows]
    return next((seq for seq in wanted if seq not in found[seq - first : seq - first + 1]), None)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise _unreadable(path, error) from error


def _check_schema(db: sqlite3.Connection) -> None:
    found = db.execute("pragma user_version").fetchone()[0]
    if found > VERSION:
        raise SchemaTooNew(
            f"the journal has schema {found}, this program knows {VERSION}",
            hint="use the version of edge-agent that wrote it",
        )
    if found == 0:
        raise JournalError("the journal has no tables yet", hint="start the agent: edge-agent run -c …")


def _unreadable(path: Path, error: sqlite3.Error | OSError) -> ShelfEdgeError:
    if isinstance(error, sqlite3.Error) and is_damage(error):
        return JournalError(
            f"{path} is damaged: {error}",
            hint="the next start of the agent keeps it aside, begins a new one and tells HQ the present",
        )
    return JournalError(f"{path} cannot be read: {error}", hint="use the user that the agent runs as")
