"""What staff tell the cameras before shelves over the agent's API: that places were filled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from edge_agent.contract.errors import NotInPlanogram
from edge_agent.contract.planogram import Identifier
from edge_agent.local_body import body_of
from edge_agent.service.problem import problem

if TYPE_CHECKING:
    from edge_agent.vision.shelf_watch import ShelfWatch


class RestockedBody(BaseModel):
    """`POST /v1/cameras/{device}/restocked`; without facings all that the camera watches were filled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    facings: Annotated[list[Identifier], Field(min_length=1)] | None = None


class Shelves:
    """`watches` by camera, as the drivers fill it. `token` None: nobody may write."""

    def __init__(self, token: str | None, watches: Mapping[str, ShelfWatch]) -> None:
        self._token, self._watches = token, watches

    def routes(self) -> list[web.RouteDef]:
        """For the agent's own page."""
        return [web.post("/v1/cameras/{device}/restocked", self._restocked)]

    async def _restocked(self, request: web.Request) -> web.Response:
        body = await body_of(request, RestockedBody, self._token)
        if isinstance(body, web.Response):
            return body
        device = request.match_info["device"]
        if (watch := self._watches.get(device)) is None:
            hint = f"cameras with shelf_gap: {', '.join(self._watches) or 'none'}"
            return problem(404, f"no camera {device} watches a shelf", code="E-NOT-FOUND", hint=hint)
        try:
            facings = watch.restocked(body.facings)
        except NotInPlanogram as error:
            return problem(404, error.message, code=error.code, hint=error.hint)
        return web.json_response({"device": device, "facings": facings}, status=202)
