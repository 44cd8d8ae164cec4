"""The feed in SQLite: numbered by the one writer in commit order, so a cursor never passes an event by."""

from __future__ import annotations

import sqlite3

from cloud_bridge.store import cursors
from cloud_bridge.store.records import FeedPage


def head(connection: sqlite3.Connection) -> int:
    """The number of the newest event, 0 before the first."""
    return int(connection.execute("select coalesce(max(n), 0) from feed").fetchone()[0])


def events(
    connection: sqlite3.Connection, epoch: str, after: int, store: str | None, type_: str | None, limit: int
) -> FeedPage:
    """Up to `limit` events behind `after` that match, and the place to go on from."""
    newest = head(connection)
    (oldest,) = connection.execute("select min(n) from feed").fetchone()
    cursors.require_readable(after, newest=newest, oldest=oldest)
    by_store = "" if store is None else "store = :store and "
    by_type = "" if type_ is None else "type = :type and "
    rows = connection.execute(
        "select n, store, eid, seq, type, occurred_at, received_at, payload from feed"  # noqa: S608 - constants
        f" where {by_store}{by_type}n > :after order by n limit :limit",
        {"store": store, "type": type_, "after": after, "limit": limit},
    )
    return cursors.page([cursors.event(epoch, row) for row in rows], epoch=epoch, newest=newest, limit=limit)
