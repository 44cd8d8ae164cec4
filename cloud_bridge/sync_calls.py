"""The calls of `/v1/sync` over HTTP: whose token it is, the body's encoding, and the answer."""

from __future__ import annotations

import asyncio
from typing import Final, TypeVar

import msgspec
import zstandard
from aiohttp import web

from cloud_bridge.auth import Access
from cloud_bridge.errors import BadRequest, TooLarge
from cloud_bridge.ingest import Ingest
from edge_agent.contract.messages import MAX_BATCH_BYTES, Batch, Hello, State, Whoami, encode
from edge_agent.contract.times import rfc3339, utc_now

T = TypeVar("T")

HELLO: Final = msgspec.json.Decoder(Hello)
STATE: Final = msgspec.json.Decoder(State)
BATCH: Final = msgspec.json.Decoder(Batch)

_THREAD_BYTES: Final = 64 * 1024
"""A body above this is unpacked and checked beside the event loop."""
_WINDOW_BYTES: Final = 8 * 1024 * 1024
"""The most memory that a compressed body may ask its decompressor for."""


class SyncCalls:
    """What a store's agent tells, each call with the token of its store."""

    def __init__(self, ingest: Ingest, access: Access) -> None:
        self._ingest, self._access = ingest, access

    def add_routes(self, app: web.Application) -> None:
        """All of `/v1/sync` but the commands."""
        app.router.add_get("/v1/sync/whoami", self.whoami)
        app.router.add_post("/v1/sync/hello", self.hello)
        app.router.add_post("/v1/sync/state", self.state)
        app.router.add_post("/v1/sync/batch", self.batch)

    async def whoami(self, request: web.Request) -> web.Response:
        """Whose token this is; for a gateway's self-test."""
        return _json(Whoami(store=self._access.store(request), server_time=rfc3339(utc_now())))

    async def hello(self, request: web.Request) -> web.Response:
        """`Ingest.hello`."""
        store = self._access.store(request)
        return _json(await self._ingest.hello(store, await _decode(request, HELLO)))

    async def state(self, request: web.Request) -> web.Response:
        """`Ingest.state`."""
        store = self._access.store(request)
        await self._ingest.state(store, await _decode(request, STATE))
        return web.Response(body=b"{}", content_type="application/json")

    async def batch(self, request: web.Request) -> web.Response:
        """`Ingest.batch`."""
        store = self._access.store(request)
        return _json(await self._ingest.batch(store, await _decode(request, BATCH)))


def unpack(body: bytes, encoding: str, decoder: msgspec.json.Decoder[T]) -> T:
    """The message in `body`; `encoding` is identity or zstd. BadRequest or TooLarge says what is wrong."""
    if encoding not in ("identity", "zstd"):
        raise BadRequest(f"content encoding {encoding!r} is not known", hint="use zstd or none")
    try:
        return decoder.decode(_inflate(body) if encoding == "zstd" else body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body does not fit: {error}") from error


async def _decode(request: web.Request, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise TooLarge(f"a body has at most {MAX_BATCH_BYTES} bytes", hint="send fewer rows") from error
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if len(body) > _THREAD_BYTES:
        return await asyncio.to_thread(unpack, body, encoding, decoder)
    return unpack(body, encoding, decoder)


def _inflate(body: bytes) -> bytes:
    """At most MAX_BATCH_BYTES come out, whatever the frame promises."""
    try:
        reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).stream_reader(body)
        text = reader.read(MAX_BATCH_BYTES + 1)
    except zstandard.ZstdError as error:
        raise BadRequest(f"the body is not valid zstd: {error}") from error
    if len(text) > MAX_BATCH_BYTES:
        raise TooLarge(f"a body has at most {MAX_BATCH_BYTES} bytes unpacked", hint="send fewer rows")
    return text


def _json(message: msgspec.Struct) -> web.Response:
    return web.Response(body=encode(message), content_type="application/json")
