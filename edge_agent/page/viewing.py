"""Shows a camera to a browser, live: of each frame what is seen in it, then its picture; views are logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Any, Final

import msgspec
from aiohttp import WSCloseCode, web

from edge_agent.contract.times import rfc3339
from edge_agent.health import Condition
from edge_agent.page.access import Access, Session
from edge_agent.service import metrics
from edge_agent.vision.view import CameraView, Look, Views

_log = logging.getLogger(__name__)

MOST_WATCHERS: Final = 4
SHORTEST_STEP_S: Final = 0.2
"""At most five frames a second to each who looks."""
LOOK_AROUND_S: Final = 1.0
"""So often the camera's state, and whether the session lasts, is looked at while no frame comes."""
STALLED_S: Final = 10.0
"""Who does not take a frame within this time looks no longer."""
GOODBYE_S: Final = 0.5
"""How long a browser may take to say goodbye too."""
LEFT_OUT, LOGGED_OUT = 4429, 4401
"""Close codes: too many look already, the session has ended."""


class Viewing:
    """WebSocket views of all cameras, MOST_WATCHERS together. A slow one gets the newest frame only."""

    def __init__(self, views: Views, access: Access, conditions: Mapping[str, Condition]) -> None:
        self._views, self._access, self._conditions = views, access, conditions
        self._open: set[web.WebSocketResponse] = set()

    async def view(self, request: web.Request, camera: str, session: Session) -> web.WebSocketResponse:
        """Until the browser leaves, its session ends, or it does not take what is sent."""
        socket = web.WebSocketResponse(timeout=GOODBYE_S, heartbeat=20, compress=False, max_msg_size=1024)
        await socket.prepare(request)
        if self._views.watchers >= MOST_WATCHERS:
            await socket.close(code=LEFT_OUT)
            return socket
        who = f"{request.remote} (session {session.name})"
        view, started_s = self._views.of(camera), monotonic()
        view.watchers += 1
        self._open.add(socket)
        metrics.camera_views.labels(camera).inc()
        _log.info("camera page: %s is shown to %s", camera, who)
        try:
            await self._until_left(socket, view, camera, session)
        finally:
            view.watchers -= 1
            self._open.discard(socket)
            _log.info("camera page: %s was shown to %s for %.0f s", camera, who, monotonic() - started_s)
        return socket

    async def close(self) -> None:
        """End all views: the agent stops."""
        await asyncio.gather(*(socket.close(code=WSCloseCode.GOING_AWAY) for socket in self._open))

    async def _until_left(
        self, socket: web.WebSocketResponse, view: CameraView, camera: str, session: Session
    ) -> None:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._send(socket, view, camera, session), name=f"view:{camera}")
            async for _ in socket:  # a browser has nothing to say here; the loop ends when it leaves
                pass
            sending.cancel()

    async def _send(
        self, socket: web.WebSocketResponse, view: CameraView, camera: str, session: Session
    ) -> None:
        number, told = 0, None
        with suppress(ConnectionError):  # left, as browsers do
            while self._access.lasts(session):
                state = self._state(camera)
                if state != told:
                    await socket.send_str(_text(state))
                    told = state
                look = await _next(view, number)
                if look is None:
                    continue
                number, started_s = look.number, monotonic()
                try:
                    async with asyncio.timeout(STALLED_S):
                        picture = await view.jpeg(look)
                        if picture is None:
                            continue
                        await socket.send_str(_text(_seen(look, view)))
                        await socket.send_bytes(picture)
                except TimeoutError:
                    break
                await asyncio.sleep(max(0.0, SHORTEST_STEP_S - (monotonic() - started_s)))
            code = WSCloseCode.TRY_AGAIN_LATER if self._access.lasts(session) else LOGGED_OUT
            await socket.close(code=code)

    def _state(self, camera: str) -> dict[str, Any]:
        condition = self._conditions[camera]
        return {"kind": "state", "status": condition.status, "reason": condition.reason}


async def _next(view: CameraView, number: int) -> Look | None:
    """The next look; None after a while without one."""
    try:
        async with asyncio.timeout(LOOK_AROUND_S):
            return await view.after(number)
    except TimeoutError:
        return None


def _seen(look: Look, view: CameraView) -> dict[str, Any]:
    return {
        "kind": "frame",
        "number": look.number,
        "captured_at": rfc3339(look.captured_at),
        "size": look.size,
        "boxes": look.boxes,
        "tracks": [{"id": id_, "box": box, "confirmed": confirmed} for id_, box, confirmed in look.tracks],
        "crossed": {line: [c.entered, c.exited] for line, c in view.crossed.items()},
        "places": {f: {"gap": seen.gap, "fill": seen.fill} for f, seen in view.places.items()},
    }


def _text(message: dict[str, Any]) -> str:
    return msgspec.json.encode(message).decode()
