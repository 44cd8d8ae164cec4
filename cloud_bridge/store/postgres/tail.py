"""One process's view of the feed: numbers what waits, reads on, delivers each event once and in order."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

from cloud_bridge.errors import Unavailable
from cloud_bridge.store import OnPublished
from cloud_bridge.store.postgres import feed
from cloud_bridge.store.postgres.database import Connection, Database
from cloud_bridge.store.records import FeedEvent, FeedPage

log = logging.getLogger(__name__)
T = TypeVar("T")

_PAGE: Final = 1_000


class Tail:
    """`epoch` is the feed's name as this process knows it; a new name ends what follows the old one."""

    def __init__(self, database: Database, on_published: OnPublished, on_renamed: Callable[[], None]) -> None:
        self._database = database
        self._on_published, self._on_renamed = on_published, on_renamed
        self.epoch, self.past = "", dict[str, int]()
        self._delivered = 0

    async def begin(self) -> None:
        """Deliver what is committed from now on."""
        await self._database.write(lambda tx: feed.number(tx.connection))
        self.epoch, self.past = await self._database.read(feed.epochs)
        self._delivered = await self._database.ask(feed.head)

    async def events(self, after: int, *, store: str | None, type_: str | None, limit: int) -> FeedPage:
        """Events behind a place, with all that was committed before the call."""
        await self._number()
        question = partial(feed.events, after=after, store=store, type_=type_, limit=limit)
        return await self._database.read(partial(self._of_this_feed, question))

    async def head(self) -> int:
        """The number of the newest event."""
        await self._number()
        return await self._database.ask(feed.head)

    async def follow(self) -> None:
        """Number what waits and deliver what is new here, whichever process published it."""
        await self._number()
        epoch, past = await self._database.read(feed.epochs)
        if epoch != self.epoch:
            log.warning("the database was restored or a standby took over: the feed has a new name")
            self._delivered = await self._database.ask(feed.head)
            self.epoch, self.past = epoch, past
            self._on_renamed()
        while found := await self._database.read(partial(self._of_this_feed, self._behind_delivered)):
            self._delivered = found[-1].n
            self._on_published(found)

    async def _number(self) -> None:
        """Costs a look where nothing waits."""
        if await self._database.ask(feed.is_waiting):
            await self._database.write(lambda tx: feed.number(tx.connection))

    async def _behind_delivered(self, connection: Connection, epoch: str) -> list[FeedEvent]:
        return await feed.read_on(connection, epoch, self._delivered, limit=_PAGE)

    async def _of_this_feed(
        self, question: Callable[[Connection, str], Awaitable[T]], connection: Connection
    ) -> T:
        """A cursor was read under the name that is known here; under another one it may mean other events."""
        epoch, _ = await feed.epochs(connection)
        if epoch != self.epoch:
            raise Unavailable("the feed has got a new name", hint="ask again")
        return await question(connection, epoch)
