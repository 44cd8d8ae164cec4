"""A refusal as people's and systems' clients get it: RFC 9457 `application/problem+json`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web


def problem(
    status: int,
    detail: str,
    *,
    code: str,
    hint: str = "",
    headers: dict[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> web.Response:
    """One problem document; `code` is stable, `hint` says what to do next, `more` is of this kind alone."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    } | ({"hint": hint} if hint else {})
    document.update(more or {})
    return web.Response(
        status=status,
        body=msgspec.json.encode(document),
        content_type="application/problem+json",
        headers=headers,
    )
