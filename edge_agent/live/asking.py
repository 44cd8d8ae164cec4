"""Asks the running agent at its own address: one answer, or a stream of lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from edge_agent.config.store import Http
from edge_agent.contract.errors import AgentUnreachable, ConfigError, JournalError, NotInPlanogram
from edge_agent.service.settings import read_secret

ANSWER_WITHIN_S = 6.0
"""Longer than the agent waits for its disk before it says so."""
SILENT_AFTER_S = 15.0
"""The agent gives a sign of life every 5 s; after this silence it counts as gone."""

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where the agent listens, not we
_LINE_LIMIT = 8 * 2**20


def address(http: Http) -> str:
    """The agent's address as its own machine reaches it; AgentUnreachable when nobody can know its port."""
    if http.port == 0:
        raise AgentUnreachable(
            "a running agent cannot be asked: agent.http.port is 0", hint="set agent.http.port to a number"
        )
    host = _EVERYWHERE.get(http.host, http.host)
    return f"http://[{host}]:{http.port}" if ":" in host else f"http://{host}:{http.port}"


async def ask_status(http: Http) -> dict[str, Any]:
    """What the agent says of itself (`GET /v1/status`); AgentUnreachable when none answers."""
    response, answer = await _answer(http, "/v1/status")
    if "outbox" not in answer:
        raise _stranger(response)
    return answer


async def ask_facing(http: Http, facing: str) -> dict[str, Any]:
    """What the agent says of one facing (`GET /v1/facings/{id}`).

    AgentUnreachable when none answers, ConfigError with the known ones when there is no such facing.
    """
    response, answer = await _answer(http, f"/v1/facings/{quote(facing, safe='')}")
    if answer.get("code") == NotInPlanogram.code:
        raise ConfigError(answer["detail"], hint=answer.get("hint", ""))
    if response.status != 200 or "counts" not in answer:
        raise _stranger(response)
    return answer


async def ask_reset(http: Http) -> dict[str, Any]:
    """Have the agent go back to the file's planogram (`POST /v1/planogram/reset`); raises as `_write`."""
    return await _write(http, "/v1/planogram/reset", answers="reset_of")


async def ask_resync(http: Http) -> dict[str, Any]:
    """Have the agent tell HQ the whole present again (`POST /v1/resync`); raises as `_write`."""
    return await _write(http, "/v1/resync", answers="duplicate")


async def _write(http: Http, path: str, *, answers: str) -> dict[str, Any]:
    """An object with the field `answers`. AgentUnreachable when none answers, ConfigError when the agent
    refuses or no token for its writes is configured, JournalError while its disk takes nothing.
    """
    token = read_secret(http.token_file)
    if token is None:
        raise ConfigError(
            "the agent runs, and takes no writes: agent.http.token_file is not set",
            hint="stop the agent, run this again, start it; or configure a token",
        )
    response, answer = await _answer(http, path, method="POST", token=token)
    if response.status in (401, 403, 409):
        raise ConfigError(f"the running agent says: {answer['detail']}", hint=answer.get("hint", ""))
    if response.status == 503 and answer.get("code") == JournalError.code:
        raise JournalError(f"the running agent says: {answer['detail']}", hint=answer.get("hint", ""))
    if response.status != 200 or answers not in answer:
        raise _stranger(response)
    return answer


async def _answer(
    http: Http, path: str, *, method: str = "GET", token: str = ""
) -> tuple[aiohttp.ClientResponse, dict[str, Any]]:
    """A JSON object, whatever its status; AgentUnreachable when nobody answers, or not with one."""
    url = address(http) + path
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with (
            asyncio.timeout(ANSWER_WITHIN_S),
            _session() as session,
            session.request(method, url, headers=headers) as response,
        ):
            body = await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise AgentUnreachable(
            f"no agent answers at {url}", hint="is it running? edge-agent run -c …"
        ) from error
    try:
        return response, msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise _stranger(response) from None


@asynccontextmanager
async def lines_from(http: Http, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """The lines of an endless answer, without the empty ones.

    AgentUnreachable when no agent answers, and from the iterator when it ends; ConfigError when the agent
    refuses (it knows no such device).
    """
    url = address(http) + path
    async with _session() as session:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                response = await session.get(url)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise AgentUnreachable(
                f"no agent answers at {url}", hint="is it running? edge-agent run -c …"
            ) from error
        async with response:
            if response.status != 200 or response.content_type != "application/x-ndjson":
                raise await _refused(response)
            yield _lines(response)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, sock_read=SILENT_AFTER_S), read_bufsize=_LINE_LIMIT
    )


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for line in response.content:
            if line.strip():
                yield line
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise AgentUnreachable("the agent is gone", hint="start it again: edge-agent run -c …") from error
    raise AgentUnreachable("the agent has ended", hint="start it again: edge-agent run -c …")


async def _refused(response: aiohttp.ClientResponse) -> Exception:
    try:
        answer = msgspec.json.decode(await response.read())
        return ConfigError(f"the running agent says: {answer['error']}", hint=answer["hint"])
    except (msgspec.MsgspecError, aiohttp.ClientError, KeyError, TypeError):
        return _stranger(response)


def _stranger(response: aiohttp.ClientResponse) -> AgentUnreachable:
    return AgentUnreachable(
        f"what answers at {response.url.origin()} is no agent of this version",
        hint="see agent.http.port; restart the agent after an update",
    )
