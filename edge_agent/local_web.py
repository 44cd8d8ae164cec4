"""The agent's own page and API on the store's network: health, metrics, status, facings, and more routes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from edge_agent.config.store import Http
from edge_agent.service import client_errors
from edge_agent.service.listening import listen
from edge_agent.service.metrics import REGISTRY

SHUTDOWN_S = 0.5
"""How long a client that does not read its answer may hold up the stop."""


class LocalWeb:
    """Serves while the block lasts. ConfigError when the address is taken."""

    def __init__(
        self,
        http: Http,
        status: Callable[[], dict[str, object]],
        facings: Callable[[], list[dict[str, object]]],
        more: Sequence[web.RouteDef] = (),
    ) -> None:
        self._http = http
        self._status, self._facings, self._more = status, facings, more
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> LocalWeb:
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/metrics", self._metrics),
                web.get("/v1/status", self._get_status),
                web.get("/v1/facings", self._get_facings),
                *self._more,
            ]
        )
        client_errors.quiet()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await listen(self._runner, self._http.host, self._http.port, setting="agent.http")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _get_status(self, _request: web.Request) -> web.Response:
        return _json(self._status())

    async def _get_facings(self, _request: web.Request) -> web.Response:
        return _json({"items": self._facings()})


def _json(answer: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")
