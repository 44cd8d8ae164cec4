"""Reads a journal from outside, beside the agent that has it or without one, and leaves no file behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from edge_agent.contract.errors import JournalError
from edge_agent.service.still import Stamp, stamp_of


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write. Raises what SQLite raises, or at the end JournalError when an agent
    was started under our hands: then what was read, and an error that it led to, are not to be used.
    """
    before = stamp_of(path)
    if before is None:
        with _connected(path, "mode=ro") as db:
            yield db
        return
    try:
        with _connected(path, "mode=ro&immutable=1") as db:
            yield db
    except (sqlite3.Error, JournalError):
        _check_still(path, before)
        raise
    _check_still(path, before)


def is_damage(error: sqlite3.Error) -> bool:
    """The file is damaged, or none of SQLite's."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _connected(path: Path, mode: str) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True))


def _check_still(path: Path, before: Stamp) -> None:
    if stamp_of(path) != before:
        raise JournalError(f"{path} was written while it was read", hint="the agent was started; ask again")
