"""A refusal as people's and systems' clients get it: RFC 9457 `application/problem+json`."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from aiohttp import web


def problem(
    status: int, detail: str, *, code: str, hint: str = "", headers: dict[str, str] | None = None
) -> web.Response:
    """One problem document; `code` is stable, `hint` says what to do next."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    } | ({"hint": hint} if hint else {})
    return web.Response(
        status=status,
        body=msgspec.json.encode(document),
        content_type="application/problem+json",
        headers=headers,
    )
