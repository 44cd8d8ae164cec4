"""The call of the agent's API that tells HQ the whole present again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from edge_agent.contract.errors import ConfigError, JournalError
from edge_agent.local_body import DURABLE_WITHIN_S, body_of
from edge_agent.retelling import Retold
from edge_agent.service.problem import problem


class ResyncBody(BaseModel):
    """`POST /v1/resync`: nothing to say."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ResyncRoute:
    """The one call. `token` None: nobody may write."""

    def __init__(self, token: str | None, resync: Callable[[], Awaitable[Retold]]) -> None:
        """`resync` is `Retelling.resync`."""
        self._token, self._resync = token, resync

    def routes(self) -> list[web.RouteDef]:
        """For the agent's own page."""
        return [web.post("/v1/resync", self._answer)]

    async def _answer(self, request: web.Request) -> web.Response:
        body = await body_of(request, ResyncBody, self._token)
        if isinstance(body, web.Response):
            return body
        try:
            async with asyncio.timeout(DURABLE_WITHIN_S):
                told = await self._resync()
        except TimeoutError:
            return _later("the disk does not take it yet", "what was asked for goes on; see the agent's disk")
        except ConfigError as error:
            return problem(409, error.message, code=error.code, hint=error.hint)
        except JournalError as error:
            return _later(error.message, error.hint)
        return web.json_response({"rows": told.rows, "duplicate": told.duplicate})


def _later(detail: str, hint: str) -> web.Response:
    return problem(503, detail, code=JournalError.code, hint=hint, headers={"Retry-After": "1"})
