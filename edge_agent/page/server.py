"""The camera page's own listener: on loopback, or with TLS and a token."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self

from aiohttp import web

from edge_agent.config.cameras import Camera
from edge_agent.config.store import StoreSettings
from edge_agent.health import Condition
from edge_agent.page import assets
from edge_agent.page.access import Access
from edge_agent.page.drawings import Drawings
from edge_agent.page.routes import LARGEST_BODY, Routes
from edge_agent.service import client_errors, tls
from edge_agent.service.listening import listen
from edge_agent.service.problem import problem
from edge_agent.service.settings import read_secret
from edge_agent.vision.view import Views

_log = logging.getLogger(__name__)

SHUTDOWN_S = 0.5

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class CameraPageServer:
    """Serves while the block lasts.

    `settings` are those of the file, without the patch; `redrawn` is told each camera whose drawing changed.
    ConfigError when the token, the certificate or the address cannot be used.
    """

    def __init__(
        self,
        settings: StoreSettings,
        views: Views,
        *,
        conditions: Mapping[str, Condition],
        redrawn: Callable[[Camera], None],
    ) -> None:
        self._page = page = settings.agent.camera_page
        self._access = Access(page, read_secret(page.token_file))
        self._tls = tls.shown(page.cert_file, page.key_file) if page.cert_file and page.key_file else None
        drawings = Drawings(settings, redrawn)
        self._routes = Routes(settings, self._access, drawings=drawings, views=views, conditions=conditions)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._guard], client_max_size=LARGEST_BODY)
        app.add_routes([*assets.routes(), *self._routes.routes()])
        app.on_response_prepare.append(assets.add_headers)
        app.on_shutdown.append(self._close_views)
        client_errors.quiet()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        page = self._page
        await listen(self._runner, page.host, page.port, setting="agent.camera_page", tls=self._tls)
        _log.info("camera page: http%s://%s:%d", "s" if page.is_https else "", page.host, self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def port(self) -> int:
        """Where it listens, also when any free port was asked for. RuntimeError outside the block."""
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("the camera page is not up")
        return int(self._runner.addresses[0][1])

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return self._access.refusal(request) or await handler(request)
        except web.HTTPRequestEntityTooLarge as error:
            return problem(413, str(error.text), code="E-TOO-LARGE")

    async def _close_views(self, _app: web.Application) -> None:
        await self._routes.viewing.close()
