"""What HQ asks of stores: kept until an agent says what became of it, handed out on demand.

An agent learns of a command by the answer to its heartbeat, which it sends every few seconds anyway: no
connection is held open and nothing is asked for while there is nothing.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from aiohttp import web
from msgspec import Struct
from pydantic import Field

from cloud_bridge.auth import Access
from cloud_bridge.queries import Query, parse
from cloud_bridge.replies import reply
from cloud_bridge.store import Engine
from cloud_bridge.store.records import CommandRecord, Published
from edge_agent.contract.messages import CommandsReply, encode
from edge_agent.contract.times import rfc3339, utc_now

log = logging.getLogger(__name__)

LIFE: Final = timedelta(hours=1)
"""A command that no agent has done by then is too old: what was counted is true no longer."""


class After(Query):
    """`GET /v1/sync/commands`."""

    after: Annotated[int, Field(ge=0, lt=2**53)] = 0


def new_id() -> bytes:
    """The identity of one command for ever: 16 bytes that nobody has given before."""
    return secrets.token_bytes(16)


class Commands:
    """Issues commands and hands them out."""

    def __init__(
        self,
        engine: Engine,
        access: Access,
        *,
        clock: Callable[[], datetime] = utc_now,
        new_id: Callable[[], bytes] = new_id,
    ) -> None:
        self._engine, self._access, self._clock, self._new_id = engine, access, clock, new_id
        self._newest: dict[str, int] = {}

    async def load(self, _: web.Application | None = None) -> None:
        """Take in what the database has: before the first heartbeat is answered, and when a store goes on
        with another memory and is to be asked again."""
        for store, number in (await self._engine.newest_commands()).items():
            self._newest[store] = max(number, self.newest(store))

    def add_routes(self, app: web.Application) -> None:
        """The agents' call."""
        app.on_startup.append(self.load)
        app.router.add_get("/v1/sync/commands", self.hand_out)

    def newest(self, store: str) -> int:
        """The number of a store's newest command, 0 when there is none."""
        return self._newest.get(store, 0)

    async def issue(self, store: str, kind: str, body: Struct, *, by: str) -> CommandRecord:
        """Keep one command for a store's agent; it is durable then."""
        now = self._clock()
        command = CommandRecord(
            self._new_id().hex(), store, kind, encode(body).decode(), by, rfc3339(now), rfc3339(now + LIFE)
        )
        number = await self._engine.add_command(command)
        self._newest[store] = max(number, self.newest(store))
        return command

    async def publish(
        self, store: str, kind: Published, body: dict[str, Any], *, expected: int, by: str
    ) -> None:
        """Have a store use another document of a kind; it is durable then, and wanted until it is in use.

        PreconditionFailed when `expected` is not the newest revision of that kind.
        """
        number = await self._engine.publish(
            store, kind, body, expected=expected, by=by, at=rfc3339(utc_now())
        )
        self._newest[store] = max(number, self.newest(store))

    async def hand_out(self, request: web.Request) -> web.Response:
        """`behind`, for the agent of this token."""
        query = parse(request, After)
        return reply(request, await self.behind(query.after, store=self._access.store(request)))

    async def behind(self, after: int, *, store: str) -> CommandsReply:
        """What a store is asked for behind the number `after`: not done yet and not too old."""
        newest = self.newest(store)  # before the question: what is issued meanwhile is told of by itself
        handed = await self._engine.hand_out_commands(
            store, after=after, newest=newest, now=rfc3339(self._clock())
        )
        if handed.expired:
            log.warning(
                "store %s: %d command(s) were not done within %s and are too old now",
                store, handed.expired, LIFE,
            )  # fmt: skip
        return CommandsReply(commands=handed.commands, after=handed.after)
