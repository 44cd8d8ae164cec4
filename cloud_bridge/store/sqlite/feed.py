"""The feed in SQLite: numbered by the one writer in commit order, so a cursor never passes an event by."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from cloud_bridge.errors import BadRequest
from cloud_bridge.picture import FeedEntry
from cloud_bridge.store.records import FeedEvent, FeedPage

_START_OVER: Final = "read the facings, then go on live"


class CursorExpired(BadRequest):
    """What the cursor points at was pruned: the reader has to start over."""

    code = "E-CURSOR-EXPIRED"


def place(cursor: str, epoch: str, past: Mapping[str, int]) -> int:
    """The feed number behind a cursor; BadRequest when it is not one of this feed.

    CursorExpired: it points at what happened after the backup that HQ was restored from.
    """
    name, _, number = cursor.partition(".")
    is_known = name == epoch or name in past
    if not is_known or not (number.isascii() and number.isdigit() and len(number) < 19):
        raise BadRequest(
            f"cursor {cursor!r} is not one of this feed", hint="use next_cursor of an earlier reply"
        )
    if name != epoch and int(number) > past[name]:
        raise CursorExpired("HQ was restored from a backup that is older than this cursor", hint=_START_OVER)
    return int(number)


def head(connection: sqlite3.Connection) -> int:
    """The number of the newest event, 0 before the first."""
    return int(connection.execute("select coalesce(max(n), 0) from feed").fetchone()[0])


def events(
    connection: sqlite3.Connection, epoch: str, after: int, store: str | None, type_: str | None, limit: int
) -> FeedPage:
    """Up to `limit` events behind `after` that match, and the place to go on from."""
    newest = head(connection)
    if after > newest:
        raise BadRequest("the cursor is ahead of this feed", hint="use next_cursor of an earlier reply")
    oldest = connection.execute("select min(n) from feed").fetchone()[0]
    if after and oldest is not None and after < oldest - 1:
        raise CursorExpired("events behind this cursor were pruned", hint=_START_OVER)
    by_store = "" if store is None else "store = :store and "
    by_type = "" if type_ is None else "type = :type and "
    rows = connection.execute(
        "select n, store, eid, seq, type, occurred_at, received_at, payload from feed"  # noqa: S608 - constants
        f" where {by_store}{by_type}n > :after order by n limit :limit",
        {"store": store, "type": type_, "after": after, "limit": limit},
    )
    found = [_event(epoch, row) for row in rows]
    next_n = found[-1].n if len(found) == limit else newest
    return FeedPage(found, next_n, f"{epoch}.{next_n}")


def _event(epoch: str, row: tuple[int, str, bytes, int | None, str, str, str, str]) -> FeedEvent:
    n, store, eid, seq, type_, occurred_at, received_at, payload = row
    entry = FeedEntry(eid, seq, type_, occurred_at, received_at, payload.encode())
    return FeedEvent(n, epoch, store, entry)
