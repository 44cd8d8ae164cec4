"""What HQ answers to a store's agent: hello, state, batch; `sync_calls` brings them over HTTP."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from cloud_bridge import metrics
from cloud_bridge.admission import FORKS, FORKS_WITHIN_S, Forks
from cloud_bridge.commands import Commands
from cloud_bridge.errors import Conflict, Forbidden
from cloud_bridge.liveness import Liveness
from cloud_bridge.rows import ReadyBatch, ReadyRow, SetAside, make_ready
from cloud_bridge.store import Engine
from cloud_bridge.store.records import Applied, Want, Welcome
from edge_agent.contract.digest import Digest
from edge_agent.contract.messages import (
    MAX_BATCH_ROWS,
    Batch,
    BatchReply,
    CommandDone,
    Hello,
    HelloReply,
    Position,
    State,
)
from edge_agent.contract.times import parse_rfc3339, rfc3339, utc_now

log = logging.getLogger(__name__)

_BUSY_AT: Final = 64
_BUSY_DELAY_MS: Final = 500


class Ingest:
    """Decodes and checks before the transaction, applies inside it, answers after its commit."""

    def __init__(
        self,
        engine: Engine,
        liveness: Liveness,
        commands: Commands,
        *,
        forks: Forks | None = None,
        max_rows: int = MAX_BATCH_ROWS,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`max_rows`: what agents are told to put into one batch."""
        self._engine = engine
        self._liveness = liveness
        self._commands = commands
        self._max_rows, self._clock = max_rows, clock
        self._forks = forks or Forks()

    async def hello(self, store: str, hello: Hello) -> HelloReply:
        """Find where this agent goes on and open its session; `store` is whose token it has."""
        received_at = self._now()
        if hello.store != store:
            raise Forbidden(f"this token is not store {hello.store!r}'s")
        self._forks.admit(store)
        answer = await self._engine.hello(store, hello, received_at=received_at)
        if isinstance(answer, Want):
            return HelloReply(want=(answer.first, answer.end))
        self._liveness.hear(store, at=received_at, last_seq=hello.last_seq)
        _report(store, answer)
        if answer.reason in ("fork", "switch") and self._forks.moved(store):
            log.error(
                "store %s moved between histories %d times within %d minutes: two gateways use its token?"
                " Each has to wait a minute now",
                store, FORKS, FORKS_WITHIN_S // 60,
            )  # fmt: skip
        if answer.reason not in ("continue", "first"):
            await self._commands.load()
        return HelloReply(
            session=answer.session,
            branch=answer.branch,
            merge=answer.merge,
            applied=answer.merge,
            safe=await self._engine.safe(store, answer.branch, answer.merge.seq),
            received_at=received_at,
            sent_at=self._now(),
            max_rows=self._max_rows,
        )

    async def state(self, store: str, state: State) -> None:
        """Show a store's present before its past."""
        await self._engine.state(store, state, received_at=self._now())
        metrics.sync_batches.labels("state", "applied").inc()

    async def batch(self, store: str, batch: Batch) -> BatchReply:
        """Take rows in and acknowledge them after their commit; without rows, a heartbeat."""
        received_at, began = self._now(), time.perf_counter()
        applied = await self._heartbeat(store, batch) if not batch.rows else None
        if applied is None:
            applied = await self._apply(store, batch, received_at)
            metrics.apply_seconds.observe(time.perf_counter() - began)
        self._liveness.hear(store, at=received_at, last_seq=batch.last_seq, presence=batch.presence)
        differing = await self._compare(store, batch.digest, applied, received_at) if batch.digest else []
        return BatchReply(
            branch=applied.branch,
            applied=applied.head,
            safe=await self._engine.safe(store, applied.branch, applied.head.seq),
            next_delay_ms=_BUSY_DELAY_MS if self._engine.waiting > _BUSY_AT else 0,
            server_time=self._now(),
            commands_after=self._commands.newest(store),
            differing=differing,
        )

    def _now(self) -> str:
        return rfc3339(self._clock())

    async def _compare(self, store: str, told: Digest, applied: Applied, received_at: str) -> list[int]:
        """The buckets in which the store's counts are not what its ledger says here; [] when all is equal.

        A difference is one of the two programs' fault, or a row that was set aside: it is never silent.
        """
        if told.at_seq != applied.head.seq:
            return []
        ours = await self._engine.digest(store)
        if ours.at_seq != told.at_seq:  # more rows have come in by now
            return []
        pairs = enumerate(zip(told.sums, ours.sums, strict=True))
        differing = [bucket for bucket, (theirs, own) in pairs if theirs != own]
        metrics.sync_digests.labels("different" if differing else "equal").inc()
        if differing:
            log.error(
                "store %s: its counts at row %d are not what its ledger says here, in %d of %d parts;"
                " it tells them again",
                store, told.at_seq, len(differing), len(ours.sums),
            )  # fmt: skip
            await self._engine.note_difference(store, at=received_at)
        return differing

    async def _heartbeat(self, store: str, batch: Batch) -> Applied | None:
        """The known head when the agent stands exactly there; it costs no transaction."""
        applied = await self._engine.standing(store, batch.session)
        if applied is None or batch.branch != applied.branch:
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
        metrics.sync_batches.labels("batch", "applied").inc()
        metrics.sync_rows.inc(applied.fresh)
        _report_refusals(store, ready.rows[len(ready.rows) - applied.fresh :])
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


def _report_refusals(store: str, fresh: Sequence[ReadyRow]) -> None:
    for row in fresh:
        if isinstance(row.body, CommandDone) and row.body.outcome == "refused":
            log.warning("store %s refuses command %s: %s", store, row.body.command, row.body.reason)
