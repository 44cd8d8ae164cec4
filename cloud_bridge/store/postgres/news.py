"""What any process has committed: heard of at once over a connection that listens, and asked for as well."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import asyncpg

from cloud_bridge.errors import Unavailable
from cloud_bridge.store.postgres.database import LOST, Address, Connection, Database
from cloud_bridge.store.postgres.feed import CHANNEL
from edge_agent.contract.errors import ConfigError

log = logging.getLogger(__name__)

Subject = Literal["access", "commands"]

ASK_S: Final = 1.0
"""How long news may be late when a notification was lost."""
_AGAIN_S: Final = 0.5


async def note(connection: Connection, subject: Subject) -> None:
    """Let every process know, at the commit, that something of this subject has changed.

    Holds the subject's row until then, so that changes of one subject come one after another.
    """
    await connection.execute("update change set n = n + 1 where subject = $1", subject)
    await connection.execute(f"notify hq_{subject}")


class News:
    """Listens, and asks now and then; `on_feed` runs whenever there may be new steps of the feed."""

    def __init__(self, database: Database, on_feed: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._on_feed = on_feed
        self._steps = asyncio.Event()
        self._stirred = asyncio.Event()
        self._seen: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; `close` ends it."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="postgres-listen"),
            asyncio.create_task(self._follow_feed(), name="postgres-feed"),
        ]

    async def close(self) -> None:
        """End the connection and the tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stir(self) -> None:
        """This process has published something."""
        self._steps.set()

    async def changed(self) -> set[str]:
        """Wait until a subject has changed, here or elsewhere, since the last call; which ones.

        Unavailable: it cannot be known now. An error that ended one of the tasks here.
        """
        while True:
            for task in self._tasks:
                if task.done():
                    task.result()
            counts = dict(await self._database.ask(_counts))
            changed = {subject for subject, n in counts.items() if self._seen.get(subject) != n}
            self._seen = counts
            if changed:
                return changed
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_S):
                    await self._stirred.wait()
            self._stirred.clear()

    async def _follow_feed(self) -> None:
        while True:
            self._steps.clear()
            try:
                await self._on_feed()
            except Unavailable as error:
                log.debug("the feed cannot be followed now: %s", error.message)
                await asyncio.sleep(_AGAIN_S)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_S):
                    await self._steps.wait()

    async def _listen(self) -> None:
        is_away = False
        while True:
            try:
                async with _listening(self._database.address, self._heard) as lost:
                    if is_away:
                        log.info("the database is there again")
                    is_away = False
                    self._heard()
                    await lost.wait()
            except (*LOST, ConfigError) as error:
                log.debug("no connection to listen on: %s", error)
            if not is_away:
                log.error("the database is away; calls are answered 503 until it is there again")
            is_away = True
            await asyncio.sleep(_AGAIN_S)

    def _heard(self, *_: Any) -> None:
        self._steps.set()
        self._stirred.set()


@contextlib.asynccontextmanager
async def _listening(address: Address, heard: Callable[..., None]) -> Any:
    connection = await asyncpg.connect(**address.options)
    lost = asyncio.Event()
    try:
        connection.add_termination_listener(lambda _: lost.set())
        for channel in (CHANNEL, "hq_access", "hq_commands"):
            await connection.add_listener(channel, heard)
        yield lost
    finally:
        connection.terminate()


async def _counts(connection: Connection) -> list[tuple[Any, ...]]:
    return await connection.fetch("select subject, n from change")
