"""What `watch` and `record` ask of the running agent: a device's readings and its bytes, as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web

from edge_agent.config.devices import Device
from edge_agent.contract.errors import ConfigError
from edge_agent.drivers.tap import Taps
from edge_agent.health import Condition
from edge_agent.live.audience import Audience, status_json
from edge_agent.live.follower import Follower, as_lines
from edge_agent.live.recording import hearing, recordable

LISTENERS = 16
"""The most listeners at once; the next one is asked to come later."""
SIGN_OF_LIFE_S = 5.0
"""An empty line after this silence: so both sides notice when the other one is gone."""


class LiveRoutes:
    """`GET /v1/devices/{id}/readings` and `…/bytes`, each an endless stream of JSON Lines.

    A slow reader loses the oldest lines, and is told how many; it never holds up a device.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        audience: Audience,
        taps: Taps,
        conditions: Callable[[], Sequence[Condition]],
    ) -> None:
        self._devices = {device.id: device for device in devices}
        self._audience, self._taps, self._conditions = audience, taps, conditions
        self._listeners = 0

    def routes(self) -> list[web.RouteDef]:
        """For the agent's own page."""
        return [
            web.get("/v1/devices/{device}/readings", self._readings),
            web.get("/v1/devices/{device}/bytes", self._bytes),
        ]

    async def _readings(self, request: web.Request) -> web.StreamResponse:
        device = self._device(request)
        known = [c for c in self._conditions() if c.device == device.id]
        first = as_lines([status_json(c.device, c.status, c.reason, c.identity) for c in known])
        with self._audience.follow(device.id) as follower:
            return await self._stream(request, first, follower)

    async def _bytes(self, request: web.Request) -> web.StreamResponse:
        device = self._device(request)
        try:
            recordable(device)
        except ConfigError as error:
            raise _refusal(web.HTTPForbidden, error.message, error.hint) from error
        with hearing(device, self._taps) as (header, follower):
            return await self._stream(request, header, follower)

    def _device(self, request: web.Request) -> Device:
        name = request.match_info["device"]
        device = self._devices.get(name)
        if device is None:
            known = ", ".join(self._devices)
            raise _refusal(web.HTTPNotFound, f"there is no device {name!r}", f"known: {known}")
        return device

    async def _stream(
        self, request: web.Request, first: bytes, follower: Follower[Any]
    ) -> web.StreamResponse:
        if self._listeners >= LISTENERS:
            raise _refusal(
                web.HTTPServiceUnavailable, f"{LISTENERS} listeners are here already", "end one of them"
            )
        headers = {"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        self._listeners += 1
        try:
            with suppress(ConnectionError):  # the listener is gone, as listeners are
                await response.prepare(request)
                await response.write(first)
                while True:
                    await response.write(await _next(follower))
        finally:
            self._listeners -= 1
        return response


async def _next(follower: Follower[Any]) -> bytes:
    try:
        async with asyncio.timeout(SIGN_OF_LIFE_S):
            return await follower.lines() or b"\n"
    except TimeoutError:
        return b"\n"


def _refusal(kind: type[web.HTTPException], error: str, hint: str) -> web.HTTPException:
    body = msgspec.json.encode({"error": error, "hint": hint}).decode()
    return kind(text=body, content_type="application/json")
