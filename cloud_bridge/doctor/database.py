"""The database file of HQ: its schema, its pages and its WAL."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cloud_bridge.doctor.place import space
from cloud_bridge.errors import Unavailable
from cloud_bridge.store.sqlite.condition import damage
from cloud_bridge.store.sqlite.looking import looking, size_of
from cloud_bridge.store.sqlite.schema import MIGRATIONS
from edge_agent.contract.errors import ShelfEdgeError
from edge_agent.service.finding import Finding
from edge_agent.service.still import wal_of

CHECK_S: Final = 10.0
"""So long pages are read at most."""
WAL_WARN_BYTES: Final = 128 * 2**20
"""The writer cuts its WAL to half of this as soon as no reader needs it."""


def examine(path: Path) -> Iterator[Finding]:
    """A file that is not there yet is fine."""
    if not os.access(path, os.F_OK):
        yield Finding("ok", "database", "none yet, it will be made at the first start")
        return
    yield from _file(path)
    size = size_of(wal_of(path))
    if size > WAL_WARN_BYTES:
        hint = "a long audit or backup holds it; when it stays so without one, restart cloud-bridge"
        yield Finding("warn", "database", f"the WAL has {space(size)} and does not shrink", hint)


def _file(path: Path) -> Iterator[Finding]:
    try:
        with looking(path) as connection:
            found = [_schema(connection, path), _pages(connection, path)]
        yield from found
    except Unavailable as error:
        yield Finding("warn", "database", error.message, error.hint)
    except ShelfEdgeError as error:
        yield Finding("FAIL", "database", error.message, error.hint)
    except sqlite3.Error as error:
        yield Finding("FAIL", "database", f"{path}: {error}", _MEND)


def _schema(connection: sqlite3.Connection, path: Path) -> Finding:
    (version,) = connection.execute("pragma user_version").fetchone()
    journal = "WAL" if _is_wal(path) else "no WAL before the next start"
    text = f"{space(size_of(path))}, schema {version}, {journal}"
    if version < len(MIGRATIONS):
        hint = "cloud-bridge backup first: an older cloud-bridge refuses the upgraded database"
        return Finding("warn", "database", f"{text}: upgraded to {len(MIGRATIONS)} at the next start", hint)
    return Finding("ok", "database", text)


def _is_wal(path: Path) -> bool:
    """From the header (sqlite.org/fileformat.html): a database opened as it lies there does not say."""
    with path.open("rb") as file:
        return file.read(20)[18:] == b"\x02\x02"


def _pages(connection: sqlite3.Connection, path: Path) -> Finding:
    found = damage(connection, within_s=CHECK_S)
    if found is None:
        text = f"pages not all read within {CHECK_S:.0f} s, nothing was found before"
        return Finding("ok", "pages", f"{text}; `cloud-bridge backup` reads every one")
    if found:
        return Finding("FAIL", "pages", f"{path} is damaged: {found[0]}", _MEND)
    return Finding("ok", "pages", "sound (quick_check)")


_MEND: Final = "stop cloud-bridge, keep a copy of the file, cloud-bridge restore the newest backup"
