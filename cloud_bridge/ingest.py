"""The sync calls by which a store's agent tells: hello, state, batch."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final, TypeVar

import msgspec
import zstandard
from aiohttp import web

from cloud_bridge import metrics
from cloud_bridge.auth import Access
from cloud_bridge.commands import Commands
from cloud_bridge.errors import BadRequest, Conflict, Forbidden, TooLarge
from cloud_bridge.liveness import Liveness
from cloud_bridge.rows import ReadyBatch, SetAside, make_ready
from cloud_bridge.store import Engine
from cloud_bridge.store.records import Applied, Want, Welcome
from edge_agent.contract.messages import (
    MAX_BATCH_BYTES,
    Batch,
    BatchReply,
    Hello,
    HelloReply,
    Position,
    State,
    Whoami,
)
from edge_agent.contract.times import parse_rfc3339, rfc3339, utc_now

log = logging.getLogger(__name__)
T = TypeVar("T")

_MAX_SEQ: Final = 2**63 - 2
_THREAD_BYTES: Final = 64 * 1024
"""A body above this is unpacked and checked beside the event loop."""
_WINDOW_BYTES: Final = 8 * 1024 * 1024
"""The most memory that a compressed body may ask its decompressor for."""
_BUSY_AT: Final = 64
_BUSY_DELAY_MS: Final = 500

_HELLO: Final = msgspec.json.Decoder(Hello)
_STATE: Final = msgspec.json.Decoder(State)
_BATCH: Final = msgspec.json.Decoder(Batch)


class Ingest:
    """Decodes and checks before the transaction, applies inside it, answers after its commit."""

    def __init__(self, engine: Engine, access: Access, liveness: Liveness, commands: Commands) -> None:
        self._engine = engine
        self._access = access
        self._liveness = liveness
        self._commands = commands
        self._heads: dict[str, tuple[str, Applied]] = {}

    def add_routes(self, app: web.Application) -> None:
        """The calls of `/v1/sync`."""
        app.router.add_get("/v1/sync/whoami", self.whoami)
        app.router.add_post("/v1/sync/hello", self.hello)
        app.router.add_post("/v1/sync/state", self.state)
        app.router.add_post("/v1/sync/batch", self.batch)

    async def whoami(self, request: web.Request) -> web.Response:
        """Whose token this is; for a gateway's self-test."""
        return _json(Whoami(store=self._access.store(request), server_time=rfc3339(utc_now())))

    async def hello(self, request: web.Request) -> web.Response:
        """Find where this agent goes on and open its session."""
        received_at = rfc3339(utc_now())
        store = self._access.store(request)
        hello = await _decode(request, _HELLO)
        if hello.store != store:
            raise Forbidden(f"this token is not store {hello.store!r}'s")
        if max(hello.last_seq, hello.base_seq, *(p.seq for p in hello.locator), 0) > _MAX_SEQ:
            raise BadRequest("seq does not fit into 64 bits")
        answer = await self._engine.hello(store, hello, received_at=received_at)
        if isinstance(answer, Want):
            return _json(HelloReply(want=(answer.first, answer.end)))
        self._liveness.hear(store, at=received_at, last_seq=hello.last_seq)
        self._heads[store] = (answer.session, Applied(answer.branch, answer.merge, 0, 0, 0))
        _report(store, answer)
        return _json(
            HelloReply(
                session=answer.session,
                branch=answer.branch,
                merge=answer.merge,
                applied=answer.merge,
                safe=await self._engine.safe(store, answer.branch, answer.merge.seq),
                received_at=received_at,
                sent_at=rfc3339(utc_now()),
            )
        )

    async def state(self, request: web.Request) -> web.Response:
        """Show a store's present before its past."""
        received_at = rfc3339(utc_now())
        store = self._access.store(request)
        state = await _decode(request, _STATE)
        if state.as_of_seq > _MAX_SEQ:
            raise BadRequest("seq does not fit into 64 bits")
        await self._engine.state(store, state, received_at=received_at)
        metrics.sync_batches.labels("state", "applied").inc()
        return web.Response(body=b"{}", content_type="application/json")

    async def batch(self, request: web.Request) -> web.Response:
        """Take rows in and acknowledge them after their commit; without rows, a heartbeat."""
        received_at, began = rfc3339(utc_now()), time.perf_counter()
        store = self._access.store(request)
        batch = await _decode(request, _BATCH)
        applied = self._heartbeat(store, batch) if not batch.rows else None
        if applied is None:
            applied = await self._apply(store, batch, received_at)
            metrics.apply_seconds.observe(time.perf_counter() - began)
        self._liveness.hear(store, at=received_at, last_seq=batch.last_seq, presence=batch.presence)
        return _json(
            BatchReply(
                branch=applied.branch,
                applied=applied.head,
                safe=await self._engine.safe(store, applied.branch, applied.head.seq),
                next_delay_ms=_BUSY_DELAY_MS if self._engine.waiting > _BUSY_AT else 0,
                server_time=rfc3339(utc_now()),
                commands_after=self._commands.newest(store),
            )
        )

    def _heartbeat(self, store: str, batch: Batch) -> Applied | None:
        """The known head when the agent stands exactly there; it costs no transaction."""
        session, applied = self._heads.get(store, (None, None))
        if applied is None or session != batch.session or batch.branch != applied.branch:
            return None
        position = Position(batch.first - 1, batch.prev_chain)
        return applied if position == applied.head and batch.last_chain == batch.prev_chain else None

    async def _apply(self, store: str, batch: Batch, received_at: str) -> Applied:
        try:
            ready = await _ready(batch)
            applied = await self._engine.batch(store, ready, received_at=received_at)
        except Conflict as conflict:
            metrics.sync_batches.labels("batch", conflict.reason).inc()
            log.info("store %s: batch refused, %s: %s", store, conflict.reason, conflict.message)
            raise
        self._heads[store] = (batch.session, applied)
        metrics.sync_batches.labels("batch", "applied").inc()
        metrics.sync_rows.inc(applied.fresh)
        if applied.fresh and not isinstance(ready.rows[-1].body, SetAside):
            lag = parse_rfc3339(received_at) - parse_rfc3339(ready.rows[-1].occurred_at)
            metrics.lag_seconds.observe(max(0.0, lag.total_seconds()))
        if applied.parked:
            metrics.sync_parked.inc(applied.parked)
            log.warning(
                "store %s: %d row(s) parked, their kind or version is new here", store, applied.parked
            )
        if applied.quarantined:
            metrics.sync_quarantined.inc(applied.quarantined)
            log.error("store %s: %d row(s) quarantined, see cloud-bridge audit", store, applied.quarantined)
        return applied


async def _ready(batch: Batch) -> ReadyBatch:
    return await asyncio.to_thread(make_ready, batch) if len(batch.rows) > 200 else make_ready(batch)


async def _decode(request: web.Request, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise TooLarge(f"a body has at most {MAX_BATCH_BYTES} bytes", hint="send fewer rows") from error
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "zstd"):
        raise BadRequest(f"content encoding {encoding!r} is not known", hint="use zstd or none")
    if len(body) > _THREAD_BYTES:
        return await asyncio.to_thread(_unpack, body, encoding, decoder)
    return _unpack(body, encoding, decoder)


def _unpack(body: bytes, encoding: str, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(_inflate(body) if encoding == "zstd" else body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body does not fit: {error}") from error


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


def _report(store: str, answer: Welcome) -> None:
    metrics.sync_batches.labels("hello", answer.reason).inc()
    if answer.reason == "continue":
        log.debug("store %s goes on at %d", store, answer.merge.seq)
        return
    if answer.reason == "first":
        log.info("store %s says hello for the first time", store)
        return
    metrics.sync_forks.labels(answer.reason).inc()
    metrics.feed_corrections.inc(answer.corrections)
    if answer.reason == "unknown_base":
        log.error(
            "store %s: its oldest row %d is not known here; new root %s, %d correction(s)",
            store, answer.merge.seq, answer.branch, answer.corrections,
        )  # fmt: skip
        return
    log.warning(
        "store %s: history parts at %d, now on branch %s (%s), %d correction(s)",
        store, answer.merge.seq, answer.branch, answer.reason, answer.corrections,
    )  # fmt: skip


def _json(message: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(message), content_type="application/json")
