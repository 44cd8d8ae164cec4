"""The page's own files, read once: what is not among them cannot be asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

WEB: Final = Path(__file__).parent.parent / "web"
_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every answer: no script but ours, in nobody's frame, kept by no cache."""


def routes() -> list[web.RouteDef]:
    """`/` and `/static/…`. They hold no fact of the store and need no token."""
    files = [path for path in sorted(WEB.rglob("*")) if path.suffix in _TYPES]
    return [_route(path) for path in files]


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`."""
    response.headers.update(HEADERS)


def _route(path: Path) -> web.RouteDef:
    body, content_type = path.read_bytes(), _TYPES[path.suffix]

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type, charset="utf-8")

    name = path.relative_to(WEB).as_posix()
    return web.get("/" if name == "index.html" else f"/static/{name}", answer)
