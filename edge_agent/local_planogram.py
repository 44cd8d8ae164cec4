"""The call of the agent's API that goes back from HQ's planogram to the file's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from edge_agent.config.published import Published
from edge_agent.contract.errors import DoesNotFit, JournalError
from edge_agent.local_body import body_of
from edge_agent.service.problem import problem


class ResetBody(BaseModel):
    """`POST /v1/planogram/reset`: nothing to say."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PlanogramReset:
    """The one call. `token` None: nobody may write."""

    def __init__(self, token: str | None, reset: Callable[[], Awaitable[bool]], published: Published) -> None:
        """`reset` is `Pipeline.reset_planogram`, `published` what is in use until then."""
        self._token, self._reset, self._published = token, reset, published

    def routes(self) -> list[web.RouteDef]:
        """For the agent's own page."""
        return [web.post("/v1/planogram/reset", self._answer)]

    async def _answer(self, request: web.Request) -> web.Response:
        body = await body_of(request, ResetBody, self._token)
        if isinstance(body, web.Response):
            return body
        try:
            is_new = await self._reset()
        except DoesNotFit as error:
            return problem(409, error.message, code=error.code, hint=error.hint)
        except JournalError as error:
            return problem(503, error.message, code=error.code, hint=error.hint, headers={"Retry-After": "1"})
        return web.json_response({"revision": 0, "reset_of": self._published.revision if is_new else 0})
