"""The journal's file: who owns it, whether it is sound, and how it is opened."""

from __future__ import annotations

import fcntl
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from edge_agent.contract.errors import JournalLocked
from edge_agent.journal.reading import is_damage
from edge_agent.journal.schema import prepare

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opener:
    """How the file is reached. Tests put a disk of their own beneath."""

    writing: Callable[[Path], sqlite3.Connection]
    reading: Callable[[Path], sqlite3.Connection]
    """A connection that cannot write, for use by any one thread at a time."""


def prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The one write connection: WAL, every commit flushed to the disk, schema brought up to date."""
    try:
        for pragma in ("journal_mode = wal", "synchronous = full", "wal_autocheckpoint = 1000"):
            connection.execute(f"pragma {pragma}")
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_read(path: Path) -> sqlite3.Connection:
    """Cannot write, and goes well beside the process that does."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)


def _open_to_write(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


ON_DISK = Opener(_open_to_write, open_to_read)


def durability_of(connection: sqlite3.Connection) -> tuple[str, str]:
    """How commits of this connection reach the disk: (journal mode, synchronous level)."""
    mode = connection.execute("pragma journal_mode").fetchone()[0]
    level = connection.execute("pragma synchronous").fetchone()[0]
    return str(mode), ("off", "normal", "full", "extra")[level]


def used_bytes_of(connection: sqlite3.Connection) -> tuple[int, int]:
    """(bytes of the file that hold something, bytes of its free pages, which are used again)."""
    pages, free, size = (
        int(connection.execute(f"pragma {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size, free * size


def lock(path: Path) -> IO[bytes]:
    """Own the folder while the handle is open; JournalLocked when another process does."""
    handle = path.open("wb")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise JournalLocked(
            f"{path.parent} is in use by another process",
            hint="stop the other edge-agent, or use another data_dir",
        ) from error
    return handle


def move_damaged_aside(path: Path) -> Path | None:
    """Where a damaged journal went, or None when the file is sound or absent.

    A file that cannot be read just now (disk full, access denied, I/O error) raises sqlite3.OperationalError.
    """
    if not path.exists():
        return None
    problem = _quick_check(path)
    if problem is None:
        return None
    aside = path.with_name(f"journal.damaged-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.db")
    for suffix in ("", "-wal", "-shm"):
        part = Path(f"{path}{suffix}")
        if part.exists():
            part.rename(f"{aside}{suffix}")
    log.error("journal is damaged (%s): kept as %s, beginning a new one", problem, aside.name)
    return aside


def _quick_check(path: Path) -> str | None:
    try:
        connection = sqlite3.connect(path)
        try:
            answer = connection.execute("pragma quick_check(1)").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return str(error)
    return None if answer == "ok" else str(answer)
