"""Public names of places in the feed: `epoch.number`, and which of them are this feed's."""

from __future__ import annotations

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


def require_readable(after: int, *, newest: int, oldest: int | None) -> None:
    """BadRequest: the place is ahead of the feed; CursorExpired: what follows it was pruned."""
    if after > newest:
        raise BadRequest("the cursor is ahead of this feed", hint="use next_cursor of an earlier reply")
    if after and oldest is not None and after < oldest - 1:
        raise CursorExpired("events behind this cursor were pruned", hint=_START_OVER)


def page(found: list[FeedEvent], *, epoch: str, newest: int, limit: int) -> FeedPage:
    """Matching events, and where the reader goes on: behind a page that is not full lies nothing."""
    next_n = found[-1].n if len(found) == limit else newest
    return FeedPage(found, next_n, f"{epoch}.{next_n}")


def event(epoch: str, row: tuple[int, str, bytes, int | None, str, str, str, str]) -> FeedEvent:
    """Number, store, eid, seq, type, times and payload of an event, as its table has them."""
    n, store, eid, seq, type_, occurred_at, received_at, payload = row
    return FeedEvent(n, epoch, store, FeedEntry(eid, seq, type_, occurred_at, received_at, payload.encode()))
