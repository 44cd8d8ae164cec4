"""What machines that watch HQ ask: is it alive, is it ready, how is it doing."""

from __future__ import annotations

import math
import time
from typing import Final, get_args

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from cloud_bridge import metrics
from cloud_bridge.auth import Access
from cloud_bridge.errors import Unavailable
from cloud_bridge.liveness import Liveness, StoreStatus
from cloud_bridge.problems import Handler
from cloud_bridge.replies import Health, reply
from cloud_bridge.store import Engine
from cloud_bridge.store.records import Figures
from edge_agent.contract.times import parse_rfc3339, utc_now
from edge_agent.service.settings import is_loopback

_FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


class HealthChecks:
    """`/healthz`, `/readyz` and `/metrics`."""

    def __init__(self, engine: Engine, access: Access, liveness: Liveness) -> None:
        self._engine = engine
        self._access = access
        self._liveness = liveness

    def add_routes(self, app: web.Application) -> None:
        """The three routes."""
        app.router.add_get("/healthz", self.alive)
        app.router.add_get("/readyz", self.ready)
        app.router.add_get("/metrics", self.metrics)

    async def alive(self, request: web.Request) -> web.Response:
        """The process answers."""
        return reply(request, Health("ok", ""))

    async def ready(self, request: web.Request) -> web.Response:
        """Commits and reads work."""
        detail = "" if self._engine.is_writable else "the database writer has ended"
        if not detail:
            try:
                await self._engine.feed_head()
            except Unavailable as error:
                detail = error.message
        response = reply(request, Health("unavailable" if detail else "ok", detail))
        response.set_status(503 if detail else 200)
        return response

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text; without a token only to a caller on this machine, not to one behind a proxy."""
        is_local = is_loopback(request.remote or "") and not any(h in request.headers for h in _FORWARDED)
        if not is_local or "Authorization" in request.headers:
            self._access.require(request, "viewer")
        metrics.writes_waiting.set(self._engine.waiting)
        self._measure(await self._engine.figures())
        return web.Response(
            body=generate_latest(metrics.REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    def _measure(self, figures: Figures) -> None:
        now = utc_now()
        statuses = [self._liveness.status(store, now) for store in figures.stores]
        for status in get_args(StoreStatus):
            metrics.stores.labels(status).set(statuses.count(status))
        metrics.rows_pending.set(sum(self._liveness.pending(store) for store in figures.stores))
        metrics.set_aside_rows.labels("parked").set(figures.parked)
        metrics.set_aside_rows.labels("quarantined").set(figures.quarantined)
        age_s = math.nan
        if figures.backup is not None:
            age_s = (now - parse_rfc3339(figures.backup.at)).total_seconds()
        metrics.backup_age_seconds.set(age_s)


@web.middleware
async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Time of every answer by route; a stream counts when it ends, so it is left out."""
    began = time.perf_counter()
    response = await handler(request)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unknown"
    if route != "/v1/stream":
        seconds = time.perf_counter() - began
        metrics.http_seconds.labels(request.method, route, response.status).observe(seconds)
    return response
