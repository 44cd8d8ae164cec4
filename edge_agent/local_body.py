"""The body of a writing call to the agent's API: from whom it may come, and what it says."""

from __future__ import annotations

import hmac
from typing import Final, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from edge_agent.service.problem import problem

LARGEST_BODY: Final = 16 * 1024
DURABLE_WITHIN_S: Final = 5.0
"""Whoever tells something is told after this that it is not durable yet."""

_Body = TypeVar("_Body", bound=BaseModel)


async def body_of(request: web.Request, model: type[_Body], token: str | None) -> _Body | web.Response:
    """The body as `model`, or the answer to whoever may not write or sent something else.

    `token` None: nobody may write. An empty body is an object without fields.
    """
    if (refused := _refusal(request, token)) is not None:
        return refused
    try:
        return model.model_validate_json(await _read(request) or b"{}")
    except ValidationError as error:
        return _unfit(error, model)
    except web.HTTPRequestEntityTooLarge:
        return problem(413, f"a body has at most {LARGEST_BODY} bytes", code="E-TOO-LARGE")
    except web.RequestPayloadError:
        return problem(
            400,
            "the body is not what its headers say",
            code="E-BAD-REQUEST",
            hint="see Content-Encoding and Transfer-Encoding",
        )


def _refusal(request: web.Request, token: str | None) -> web.Response | None:
    if token is None:
        return problem(
            403,
            "this agent takes no writes: no token is configured",
            code="E-FORBIDDEN",
            hint="put a long random text into a file, name it in agent.http.token_file, start again",
        )
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    known, given_bytes = token.encode(), given.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() == "bearer" and hmac.compare_digest(given_bytes, known):
        return None
    return problem(
        401,
        "the token is missing or wrong",
        code="E-UNAUTHORIZED",
        hint="send Authorization: Bearer with the text of agent.http.token_file",
        headers={"WWW-Authenticate": 'Bearer realm="edge-agent"'},
    )


async def _read(request: web.Request) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise web.HTTPRequestEntityTooLarge(LARGEST_BODY, len(body))
    return bytes(body)


def _unfit(error: ValidationError, model: type[BaseModel]) -> web.Response:
    """What does not fit: the first field, and which there are."""
    item = error.errors(include_url=False, include_input=False)[0]
    name = ".".join(map(str, item["loc"]))
    what = item["msg"].removeprefix("Value error, ")
    fields = ", ".join(
        key if field.is_required() else f"{key} (optional)" for key, field in model.model_fields.items()
    )
    detail = f"{name}: {what}" if name else f"the body must be one JSON object: {what}"
    return problem(400, detail, code="E-BAD-REQUEST", hint=f"fields: {fields}")
