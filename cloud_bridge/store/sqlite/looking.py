"""Looks into HQ's database beside a running bridge or without one, and leaves no file behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cloud_bridge.errors import Unavailable
from cloud_bridge.store.sqlite.schema import open_file, open_reader
from edge_agent.service.still import stamp_of


@contextmanager
def looking(path: Path) -> Iterator[sqlite3.Connection]:
    """One snapshot of the database. Without a WAL nobody writes it, and the file is read as it lies there:
    a reader of another user would leave files that the bridge cannot write. It is looked at again at the end.

    DataDirUnusable: it cannot be opened; SchemaTooNew; sqlite3.Error while it is read. Unavailable, in the
    place of each of them too: HQ was started meanwhile, and what was read or raised means nothing.
    """
    before = stamp_of(path)
    try:
        with closing((open_reader if before is None else open_file)(path)) as connection:
            connection.execute("begin")
            yield connection
    finally:
        if before is not None and stamp_of(path) != before:
            raise Unavailable(f"{path} was written while it was read", hint="HQ was started; ask again")


def size_of(path: Path) -> int:
    """In bytes, 0 for what cannot be seen: the bridge takes its WAL away at any time."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
