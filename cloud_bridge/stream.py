"""The feed as Server-Sent Events: every reader is a cursor, so none has a queue that could overflow."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from itertools import islice
from typing import Final

from aiohttp import web

from cloud_bridge import metrics
from cloud_bridge.auth import Caller
from cloud_bridge.store import Engine
from cloud_bridge.store.records import FeedEvent
from edge_agent.contract.errors import ShelfEdgeError

log = logging.getLogger(__name__)

RECENT: Final = 8_192
"""Events kept in memory for readers that keep up; who is further behind reads from the database."""
KEEP_ALIVE_S: Final = 15.0
STALLED_AFTER_S: Final = 30.0
_CHUNK: Final = 500


class Hub:
    """Wakes the streams after each commit and keeps the newest events at hand."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._recent: deque[FeedEvent] = deque(maxlen=RECENT)
        self._news = asyncio.Event()
        self.is_closing = False
        self.feeds = 0
        """How often the feed has become another one: streams of an older one end."""

    def publish(self, events: list[FeedEvent]) -> None:
        """Events that were just committed, in feed order."""
        self._recent.extend(events)
        self.wake()

    def wake(self) -> None:
        """Let every stream look again: at the feed, at its caller, at whether to end."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def begin_again(self) -> None:
        """The feed is another one: forget what is at hand and end the streams; readers have their cursor."""
        self._recent.clear()
        self.feeds += 1
        self.wake()

    def close(self) -> None:
        """End all streams."""
        self.is_closing = True
        self.wake()

    async def wait(self, news: asyncio.Event) -> bool:
        """Until something happens; False when nothing did for the time of a keep-alive."""
        try:
            async with asyncio.timeout(KEEP_ALIVE_S):
                await news.wait()
        except TimeoutError:
            return False
        return True

    @property
    def news(self) -> asyncio.Event:
        """Set at the next wake; take it before looking, so that nothing falls between."""
        return self._news

    async def after(self, n: int, store: str | None, type_: str | None) -> tuple[list[FeedEvent], int]:
        """Matching events behind `n`, at most a chunk, and the place to go on from."""
        recent = self._since(n)
        if recent is None:
            page = await self._engine.events(n, store=store, type_=type_, limit=_CHUNK)
            return page.events, page.next_n
        found = [
            e
            for e in recent
            if (store is None or e.store == store) and (type_ is None or e.entry.type == type_)
        ]
        return found, recent[-1].n if recent else n

    def _since(self, n: int) -> list[FeedEvent] | None:
        """What memory holds behind `n`; None when it does not reach there: too old, or ahead of the feed."""
        if not self._recent or not self._recent[0].n - 1 <= n <= self._recent[-1].n:
            return None
        start = max(0, n + 1 - self._recent[0].n)
        return list(islice(self._recent, start, start + _CHUNK))


async def stream(
    request: web.Request,
    hub: Hub,
    caller: Caller,
    *,
    after: int,
    cursor: str,
    store: str | None,
    type_: str | None,
) -> web.StreamResponse:
    """Send events behind `after` until the client leaves, stalls or may no longer, the feed cannot be read,
    or the service stops."""
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
            "Feed-Cursor": cursor,
        }
    )
    await response.prepare(request)
    with metrics.stream_readers.track_inprogress():
        try:
            await _write(response, b": follows\n\n")
            await _follow(response, hub, caller, after, store, type_)
        except TimeoutError:
            metrics.stream_dropped.inc()
            log.info("stream of %s closed: it does not read", caller.name)
        except ConnectionError:
            log.debug("stream of %s left", caller.name)
        except ShelfEdgeError as error:  # its head is sent: it can only end, and its reader has a cursor
            log.info("stream of %s ended: %s", caller.name, error.message)
    return response


async def _follow(
    response: web.StreamResponse, hub: Hub, caller: Caller, n: int, store: str | None, type_: str | None
) -> None:
    feed = hub.feeds
    while not (hub.is_closing or caller.is_over() or hub.feeds != feed):
        news = hub.news
        events, reached = await hub.after(n, store, type_)
        if events:
            await _write(response, b"".join(_frame(event) for event in events))
        elif reached == n and not await hub.wait(news):
            await _write(response, b": still here\n\n")
        n = reached


async def _write(response: web.StreamResponse, text: bytes) -> None:
    async with asyncio.timeout(STALLED_AFTER_S):
        await response.write(text)


def _frame(event: FeedEvent) -> bytes:
    return b"id: %s\ndata: %s\n\n" % (event.cursor.encode(), event.json())
