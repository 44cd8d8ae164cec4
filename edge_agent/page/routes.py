"""What the camera page asks of the agent: who it is, its cameras, and their drawings to look at and keep."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web
from pydantic import ValidationError

from edge_agent.config.drawn import DrawnCamera, DrawnFile
from edge_agent.config.store import StoreSettings
from edge_agent.contract.errors import ConfigError
from edge_agent.health import Condition
from edge_agent.page.access import COOKIE, SESSION_S, WRONG_WINDOW_S, Access, Session
from edge_agent.page.drawings import Drawings
from edge_agent.page.viewing import Viewing
from edge_agent.service.problem import problem
from edge_agent.vision.view import Views

_log = logging.getLogger(__name__)

LARGEST_BODY: Final = 64 * 1024

Handler = Callable[[web.Request, Session], Awaitable[web.StreamResponse]]


class Routes:
    """Everything under `/v1`. All but logging in needs a session."""

    def __init__(
        self,
        settings: StoreSettings,
        access: Access,
        *,
        drawings: Drawings,
        views: Views,
        conditions: Mapping[str, Condition],
    ) -> None:
        self._settings, self._access, self._drawings = settings, access, drawings
        self._views, self._conditions = views, conditions
        self.viewing = Viewing(views, access, conditions)

    def routes(self) -> list[web.RouteDef]:
        """For the page's own listener."""
        return [
            web.post("/v1/login", self._log_in),
            web.post("/v1/logout", self._for_known(self._log_out)),
            web.get("/v1/cameras", self._for_known(self._list)),
            web.get("/v1/cameras/{camera}", self._for_known(self._one)),
            web.get("/v1/cameras/{camera}/view", self._for_known(self._view), allow_head=False),
            web.put("/v1/cameras/{camera}/drawing", self._for_known(self._save)),
            web.delete("/v1/cameras/{camera}/drawing", self._for_known(self._discard)),
        ]

    def _for_known(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            session = self._access.session(request)
            if session is None:
                return problem(401, "please log in", code="E-UNAUTHORIZED")
            name = request.match_info.get("camera")
            if name is not None and name not in self._drawings.cameras:
                return problem(404, "there is no such camera", code="E-NOT-FOUND")
            return await handler(request, session)

        return handle

    async def _log_in(self, request: web.Request) -> web.Response:
        address = str(request.remote)
        given = await _json(request)
        token = given.get("token") if isinstance(given, dict) else None
        opened = self._access.log_in(token, address) if isinstance(token, str) else None
        if opened is None and self._access.is_held_off(address):
            _log.warning("camera page: too many wrong tokens from %s", address)
            headers = {"Retry-After": f"{WRONG_WINDOW_S:.0f}"}
            return problem(429, "too many wrong tokens", code="E-FORBIDDEN", headers=headers)
        if opened is None:
            return problem(401, "the token is wrong", code="E-UNAUTHORIZED")
        cookie, session = opened
        _log.info("camera page: %s logged in as session %s", address, session.name)
        response = web.Response(status=204)
        is_https = self._settings.agent.camera_page.is_https
        response.set_cookie(
            COOKIE, cookie, max_age=int(SESSION_S), httponly=True, samesite="Strict", secure=is_https
        )
        return response

    async def _log_out(self, request: web.Request, _session: Session) -> web.Response:
        self._access.log_out(request)
        response = web.Response(status=204)
        response.del_cookie(COOKIE)
        return response

    async def _list(self, _request: web.Request, _session: Session) -> web.Response:
        names = {product.gtin: product.name for product in self._settings.products}
        return _answer(
            {
                "store": self._settings.store.name or self._settings.store.id,
                "logs_in": self._access.needs_token,
                "cameras": [self._row(camera) for camera in self._drawings.cameras],
                "facings": [
                    {"id": facing.id, "name": names.get(facing.gtin, "")} for facing in self._settings.facings
                ],
            }
        )

    async def _one(self, request: web.Request, _session: Session) -> web.Response:
        return _answer(self._drawing(request.match_info["camera"]))

    async def _view(self, request: web.Request, session: Session) -> web.StreamResponse:
        return await self.viewing.view(request, request.match_info["camera"], session)

    async def _save(self, request: web.Request, session: Session) -> web.Response:
        camera = request.match_info["camera"]
        revision = request.headers.get("If-Match", "")
        if revision != self._drawings.revision(camera):
            return _drawn_meanwhile()
        shapes = await _json(request)
        facings = {facing.id for facing in self._settings.facings}
        try:
            named = {**shapes, "id": camera} if isinstance(shapes, dict) else shapes
            checked = DrawnFile.model_validate({"devices": [named]}, context={"facings": facings})
            (drawn,) = checked.devices
            self._drawings.check(drawn)
        except ValidationError as error:
            return problem(422, _sentences(error), code="E-CONFIG")
        newest = self._views.of(camera).newest
        if newest is not None and (why := _misfit(drawn, newest.size)):
            return problem(422, why, code="E-CONFIG")
        return await self._change(
            self._drawings.save(drawn, revision), camera, f"drawn by {_who(request, session)}"
        )

    async def _discard(self, request: web.Request, session: Session) -> web.Response:
        camera = request.match_info["camera"]
        what = f"drawing discarded by {_who(request, session)}"
        return await self._change(self._drawings.discard(camera), camera, what)

    async def _change(self, change: Awaitable[bool], camera: str, what: str) -> web.Response:
        try:
            # Who leaves meanwhile stops nothing half-way.
            if not await asyncio.shield(asyncio.ensure_future(change)):
                return _drawn_meanwhile()
        except ConfigError as error:
            return problem(503, error.message, code=error.code, hint=error.hint)
        _log.info("camera page: %s %s, patch %s", camera, what, self._drawings.path)
        return _answer(self._drawing(camera))

    def _row(self, camera: str) -> dict[str, Any]:
        condition = self._conditions[camera]
        return {"id": camera, "status": condition.status, "reason": condition.reason}

    def _drawing(self, camera: str) -> dict[str, Any]:
        settings = self._drawings.camera(camera)
        return {
            "id": camera,
            "model": settings.model.name or (settings.model.path.name if settings.model.path else None),
            "shapes": self._drawings.shapes(camera),
            "drawn_on": settings.drawn_on,
            "revision": self._drawings.revision(camera),
            "is_drawn": self._drawings.is_drawn(camera),
            "patch": {"path": str(self._drawings.path), "text": self._drawings.text()},
        }


def _drawn_meanwhile() -> web.Response:
    return problem(412, "somebody else has drawn meanwhile", code="E-EXISTS", hint="load it again")


async def _json(request: web.Request) -> Any:
    """The body; None when it is no JSON. HTTPRequestEntityTooLarge: see `LARGEST_BODY`."""
    try:
        return msgspec.json.decode(await request.read())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, web.RequestPayloadError):
        return None


def _answer(answer: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


def _who(request: web.Request, session: Session) -> str:
    return f"{request.remote} (session {session.name})"


def _sentences(error: ValidationError) -> str:
    """What is wrong, without what the models are called here."""
    lines = []
    for item in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in item["loc"][2:])
        lines.append(f"{place}: {item['msg'].removeprefix('Value error, ')}".removeprefix(": "))
    return "; ".join(lines)


def _misfit(drawn: DrawnCamera, size: tuple[int, int]) -> str | None:
    """Why the drawing is none of a picture of this size."""
    if drawn.drawn_on is not None and tuple(drawn.drawn_on) != size:
        return f"the picture is {size[0]}x{size[1]} now, not as large as the one that was drawn on"
    return None if _all_within(drawn, size) else "a point lies outside the picture"


def _all_within(drawn: DrawnCamera, size: tuple[int, int]) -> bool:
    lines = drawn.footfall.lines if drawn.footfall else ()
    outlines = [*(drawn.masks or ()), *(drawn.shelf_gap.facings.values() if drawn.shelf_gap else ())]
    points: Sequence[Sequence[float]] = [p for line in lines for p in (line.start, line.end)]
    return all(
        0 <= x <= size[0] and 0 <= y <= size[1] for x, y in [*points, *(p for o in outlines for p in o)]
    )
