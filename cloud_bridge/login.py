"""People at the pages: in by a one-time link, out by a button."""

from __future__ import annotations

from aiohttp import web

from cloud_bridge.auth import COOKIE, SESSION_LIFE, Access
from cloud_bridge.errors import NotKnown
from cloud_bridge.replies import Me, reply

_USED_UP = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Shelf Edge</title>'
    "<p>This login link was used or has expired. Ask for a new one:"
    " <code>cloud-bridge user add NAME</code></p>"
    '<p lang="zh-CN">此登录链接已使用或已过期，请索取新的链接。</p></html>'
)


class Login:
    """`/login`, `/v1/me` and `/v1/logout`."""

    def __init__(self, access: Access, *, is_https: bool) -> None:
        self._access = access
        self._is_https = is_https

    def add_routes(self, app: web.Application) -> None:
        """The three routes."""
        app.router.add_get("/login", self.log_in, allow_head=False)  # a preview must not use the link up
        app.router.add_get("/v1/me", self.me)
        app.router.add_post("/v1/logout", self.log_out)

    async def log_in(self, request: web.Request) -> web.Response:
        """Use a one-time code up, set the cookie, go to the page."""
        code = request.query.get("code")
        if not code:
            raise web.HTTPSeeOther("/")
        try:
            cookie = await self._access.log_in(code)
        except NotKnown:
            return web.Response(status=403, text=_USED_UP, content_type="text/html")
        response = web.Response(status=303, headers={"Location": "/", "Cache-Control": "no-store"})
        response.set_cookie(
            COOKIE,
            cookie,
            max_age=int(SESSION_LIFE.total_seconds()),
            httponly=True,
            samesite="Strict",
            secure=self._is_https,
            path="/",
        )
        return response

    async def me(self, request: web.Request) -> web.Response:
        """Who is calling, and the CSRF token of a logged-in person."""
        caller = self._access.require(request, "viewer")
        assert caller.role is not None  # noqa: S101 - `require` saw to it
        response = reply(request, Me(caller.name, caller.role, caller.csrf))
        response.headers["Cache-Control"] = "no-store"
        return response

    async def log_out(self, request: web.Request) -> web.Response:
        """End this browser's session; a token has none to end."""
        caller = self._access.require(request, "viewer")
        if caller.kind == "person":
            await self._access.log_out(caller)
        response = web.Response(status=204)
        response.del_cookie(COOKIE, path="/")
        return response
