"""Every refusal as RFC 9457 `application/problem+json`."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from math import ceil
from typing import Final

from aiohttp import web

from cloud_bridge.errors import (
    AlreadyThere,
    BadRequest,
    Conflict,
    Forbidden,
    KeyReused,
    NotAvailable,
    NotKnown,
    PreconditionFailed,
    PreconditionRequired,
    ReservationOver,
    TooLarge,
    TooOften,
    Unauthorized,
    Unavailable,
)
from edge_agent.contract.errors import ShelfEdgeError
from edge_agent.service.problem import problem

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATUS: Final[dict[type[ShelfEdgeError], int]] = {
    BadRequest: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotKnown: 404,
    Conflict: 409,
    AlreadyThere: 409,
    NotAvailable: 409,
    ReservationOver: 409,
    PreconditionFailed: 412,
    TooLarge: 413,
    KeyReused: 422,
    TooOften: 429,
    PreconditionRequired: 428,
    Unavailable: 503,
}


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler raises into a problem; what nobody foresaw is logged with its traceback."""
    try:
        return await handler(request)
    except ShelfEdgeError as error:
        return of_error(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return problem(
            error.status,
            error.reason,
            code=f"E-HTTP-{error.status}",
            hint="GET /openapi.json lists the calls" if error.status in (404, 405) else "",
            headers=allowed,
        )
    except web.RequestPayloadError:
        return of_error(
            BadRequest(
                "the body is not what its headers say", hint="see Content-Encoding and Transfer-Encoding"
            )
        )
    except ConnectionError:
        raise
    except Exception as error:
        log.exception("%s %s failed", request.method, request.path)
        raise _unexpected() from error


def _unexpected() -> web.HTTPInternalServerError:
    document = {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "code": "E-UNEXPECTED",
    }
    text = json.dumps(document | {"detail": "unexpected error, see the log of cloud-bridge"})
    return web.HTTPInternalServerError(text=text, content_type="application/problem+json")


def of_error(error: ShelfEdgeError) -> web.Response:
    """What a refusal looks like to who asked."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    headers = {}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="shelf-edge"'
    if isinstance(error, Unavailable):
        headers["Retry-After"] = "1"
    if isinstance(error, TooOften):
        headers["Retry-After"] = str(ceil(error.retry_after_s))
    code = error.reason if isinstance(error, Conflict) else error.code
    more = {}
    if isinstance(error, NotAvailable):
        more["alternatives"] = [{"store": store, "available": n} for store, n in error.alternatives]
    return problem(status, error.message, code=code, hint=error.hint, headers=headers, more=more)
