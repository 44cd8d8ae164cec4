"""REST's documents that HQ publishes for a store, whole and with a revision: planogram and settings."""

from __future__ import annotations

import re
from typing import Any, Final

from aiohttp import web

from cloud_bridge import queries, replies
from cloud_bridge.auth import Caller
from cloud_bridge.bodies import PlanogramPut, SettingsPut
from cloud_bridge.commands import Commands
from cloud_bridge.errors import BadRequest, PreconditionRequired
from cloud_bridge.replies import reply
from cloud_bridge.route import Route
from cloud_bridge.store import Engine
from cloud_bridge.store.records import Published, PublishedRecord

_REFUSED_PUTS: Final = {412: "If-Match is not the newest revision", 428: "If-Match is missing"}
_REVISION: Final = re.compile(r'"?(\d{1,10})"?', re.ASCII)


class Documents:
    """GET and PUT of each. A PUT replaces what `If-Match` names, and nothing that came between."""

    def __init__(self, engine: Engine, commands: Commands) -> None:
        self._engine, self._commands = engine, commands

    def routes(self, one: str) -> list[Route]:
        """The calls below the path of one store."""
        q, r = queries, replies
        plan, settings = f"{one}/planogram", f"{one}/settings"
        return [
            Route("GET", plan, self.planogram, "The planogram", q.Nothing, r.Planogram),
            Route("PUT", plan, self.publish_planogram, "Publish a planogram", q.Nothing, r.Planogram,
                  role="ops", body=PlanogramPut, header="If-Match", refusals=_REFUSED_PUTS),
            Route("GET", settings, self.settings, "HQ's settings of a store", q.Nothing, r.Settings),
            Route("PUT", settings, self.publish_settings, "Publish settings", q.Nothing, r.Settings,
                  role="ops", body=SettingsPut, header="If-Match", refusals=_REFUSED_PUTS),
        ]  # fmt: skip

    async def planogram(self, request: web.Request, _: queries.Nothing, __: Caller) -> web.Response:
        """What HQ published last, else what the store's agent works with (revision 0: its own file)."""
        return await self._planogram(request, await self._store(request))

    async def settings(self, request: web.Request, _: queries.Nothing, __: Caller) -> web.Response:
        """What HQ published last; revision 0: nothing yet."""
        return await self._settings(request, await self._store(request))

    async def publish_planogram(
        self, request: web.Request, body: PlanogramPut, caller: Caller
    ) -> web.Response:
        """Have the store work with another planogram; its agent takes it over whole, or refuses it.

        It stays wanted until then, however long the store is away.
        """
        plan = body.model_dump(mode="json", exclude_none=True)
        return await self._planogram(request, await self._publish(request, "planogram", plan, caller))

    async def publish_settings(self, request: web.Request, body: SettingsPut, caller: Caller) -> web.Response:
        """Set some of the agent's tunables, in the place of all that HQ has set before.

        The agent knows what may be set and takes it over whole, or refuses it.
        """
        return await self._settings(
            request, await self._publish(request, "settings", body.model_dump(), caller)
        )

    # --- small steps ---

    async def _store(self, request: web.Request) -> str:
        return (await self._engine.store(request.match_info["store"])).store

    async def _publish(
        self, request: web.Request, kind: Published, body: dict[str, Any], caller: Caller
    ) -> str:
        store = await self._store(request)
        expected = _expected(request)
        await self._commands.publish(store, kind, body, expected=expected, by=caller.name)
        return store

    async def _planogram(self, request: web.Request, store: str) -> web.Response:
        found = await self._engine.published(store, "planogram")
        told = await self._engine.planogram(store)
        plan = found.body
        if found.revision < found.newest or not plan:  # a restored HQ, or one that has published none
            plan = {"products": told.products, "facings": told.facings} if told is not None else {}
        answer = replies.Planogram(
            found.newest,
            found.applied_revision,
            plan.get("products", []),
            plan.get("facings", []),
            _refusal(found),
        )
        return _with_etag(reply(request, answer), found)

    async def _settings(self, request: web.Request, store: str) -> web.Response:
        found = await self._engine.published(store, "settings")
        settings = found.body.get("settings", {})
        answer = replies.Settings(found.newest, found.applied_revision, settings, _refusal(found))
        return _with_etag(reply(request, answer), found)


def _expected(request: web.Request) -> int:
    """The revision that a PUT is to replace."""
    given = request.headers.get("If-Match")
    if given is None:
        raise PreconditionRequired(
            "the header If-Match is missing", hint="GET it, and send the revision that is to be replaced"
        )
    found = _REVISION.fullmatch(given.strip())
    if found is None:
        raise BadRequest(f"If-Match {given[:40]!r} is no revision", hint='send a number, such as "3"')
    return int(found[1])


def _refusal(found: PublishedRecord) -> replies.Refusal | None:
    return None if found.reason is None else replies.Refusal(found.revision, found.reason)


def _with_etag(answer: web.Response, found: PublishedRecord) -> web.Response:
    answer.headers["ETag"] = f'"{found.newest}"'
    return answer
