"""The calls of `/v1/sync` over HTTPS: what is sent, what comes back, and what each refusal means."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
import msgspec
import zstandard
from msgspec import Struct

from edge_agent.contract.errors import HqRejected, HqUnreachable
from edge_agent.contract.messages import encode

Reply = TypeVar("Reply")

REQUEST_TIMEOUT_S = 10.0
LONGEST_ASKED_S = 3600.0
"""A Retry-After beyond this is taken for a mistake of whoever answered."""


class Conflict(Exception):
    """HQ answered 409 (gap, fork, stale_session), or holds another history: say hello again."""


class BodyTooLarge(HqRejected):
    """HQ, or a proxy before it, answered 413."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call of `/v1/sync`; its token goes with it."""

    method: str
    call: str
    body: bytes | None
    query: Mapping[str, str] | None
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status."""

    status: int
    retry_after: str | None
    body: bytes


def pack(message: Struct) -> bytes:
    """A message as it goes over the line. Large ones take milliseconds: beside the event loop, then."""
    return zstandard.compress(encode(message))


class HqLine:
    """One store's way to HQ, usable inside `connected`.

    Calls raise HqUnreachable (no answer, or a temporary refusal), HqRejected, BodyTooLarge or Conflict.
    """

    def __init__(self, *, url: str, token: str, tls: ssl.SSLContext | None) -> None:
        self._url, self._token, self._tls = url.rstrip("/"), token, tls
        self._http: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Connections are kept while the block lasts."""
        connector = aiohttp.TCPConnector(ssl=self._tls or True)
        async with aiohttp.ClientSession(connector=connector) as self._http:
            yield

    async def post(
        self, call: str, message: Struct, reply: type[Reply], *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> Reply:
        """Send `message`, compressed."""
        return await self.post_packed(call, pack(message), reply, timeout_s=timeout_s)

    async def post_packed(
        self, call: str, body: bytes, reply: type[Reply], *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> Reply:
        """Send what `pack` made of a message."""
        headers = {"Content-Type": "application/json", "Content-Encoding": "zstd"}
        return await self._ask("POST", call, reply, timeout_s=timeout_s, data=body, headers=headers)

    async def get(self, call: str, query: Mapping[str, str], reply: type[Reply]) -> Reply:
        """Ask for something."""
        return await self._ask("GET", call, reply, timeout_s=REQUEST_TIMEOUT_S, query=query)

    async def _ask(
        self, method: str, call: str, reply: type[Reply], *, timeout_s: float, data: bytes | None = None,
        query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None,
    ) -> Reply:  # fmt: skip
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._exchange(Request(method, call, data, query, headers or {}))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise HqUnreachable(f"no answer from HQ: {type(error).__name__} {error}".rstrip()) from error
        if answer.status != 200:
            raise _refusal(call, answer)
        try:
            return msgspec.json.decode(answer.body, type=reply)
        except msgspec.MsgspecError as error:
            raise HqUnreachable(f"HQ's answer to {call} is not understood: {error}") from error

    async def _exchange(self, request: Request) -> Answer:
        assert self._http is not None  # noqa: S101  # the uplink is inside `connected`
        async with self._http.request(
            request.method,
            f"{self._url}/v1/sync/{request.call}",
            data=request.body,
            params=request.query,
            headers={"Authorization": f"Bearer {self._token}", **request.headers},
        ) as response:
            return Answer(response.status, response.headers.get("Retry-After"), await response.read())


def _refusal(call: str, answer: Answer) -> Exception:
    status, retry_after = answer.status, answer.retry_after
    detail = _detail(answer.body)
    if status == 409:
        return Conflict(detail)
    if status == 413:
        return BodyTooLarge(
            f"HQ finds a {call} too large", hint="is there a proxy before HQ? let it take bodies of 4 MiB"
        )
    if status in (401, 403):
        return HqRejected(
            f"HQ refuses this store's token ({status})",
            hint="put a new one (cloud-bridge store add ID) into uplink.token_file, start the agent again",
        )
    if status in (429, 500, 502, 503, 504):
        error = HqUnreachable(f"HQ answers {status}: {detail}")
        if retry_after and retry_after.isascii() and retry_after.isdecimal():
            error.retry_after_s = min(float(retry_after), LONGEST_ASKED_S)
        return error
    return HqRejected(f"HQ answers {status}: {detail}", hint="are agent and HQ of matching versions?")


class _Problem(Struct):
    """What is read of an `application/problem+json`."""

    detail: str


def _detail(answer: bytes) -> str:
    """What HQ says of a refusal; of whoever else answered, the beginning of the text."""
    try:
        return msgspec.json.decode(answer, type=_Problem).detail
    except msgspec.MsgspecError:
        return answer[:300].decode(errors="replace")
