"""Tells HQ, exactly once and the present first: the uplink's state machine over HTTPS."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from msgspec.structs import replace

from edge_agent.contract.digest import BUCKETS, Digest
from edge_agent.contract.errors import HqRejected, HqUnreachable
from edge_agent.contract.messages import (
    LOCATOR_LIMIT,
    SCHEMA_VERSION,
    Batch,
    BatchReply,
    Command,
    CommandsReply,
    Hello,
    HelloReply,
    OutboxRow,
    Position,
    Presence,
    State,
    StoreProfile,
)
from edge_agent.contract.times import parse_rfc3339, rfc3339, utc_now
from edge_agent.journal import Journal
from edge_agent.service import metrics
from edge_agent.sync.comparing import Comparing
from edge_agent.sync.line import BodyTooLarge, Conflict, HqLine, pack
from edge_agent.sync.locator import evenly, sparse
from edge_agent.sync.retry import error_delay, retry_delay_s

log = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
HELLO_TIMEOUT_S = 4.0
"""A hello is small: a line that swallows bytes is noticed sooner."""
FRESHEST_FIRST_ROWS = 500
"""A larger backlog than this sends the present state before the past."""
REFUSED_DELAY_S = 30.0
LARGE_ROWS = 200
"""A batch of so many rows takes milliseconds to read and to pack."""
HELLO_ROUNDS = 200
"""A search for common history that takes more rounds does not end."""
PRESENCE_EVERY_S = 10.0


@dataclass(slots=True)
class Session:
    """What HQ said at hello."""

    session: str
    branch: str
    applied: Position
    max_rows: int
    max_bytes: int
    commands: int = 0
    """The number of HQ's newest command for this store."""
    handed: int = 0
    """The number behind which nothing was handed out yet, in this session: HQ's database may be another
    one in the next. What was handed out twice is known by its id."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A batch made ready: rows up to `last`, as they go over the line."""

    last: Position
    rows: int
    is_compared: bool
    """It carries a digest."""
    body: bytes


@dataclass(slots=True)
class SyncStatus:
    """For people: `status` and the local page."""

    online: bool = False
    problem: str | None = "not connected yet"
    since: float = field(default_factory=time.time)
    applied: int = 0
    clock_offset_s: float | None = None


class Uplink:
    """One store's line to HQ. `run` lasts until cancelled; it never gives up and never loses a row."""

    def __init__(
        self,
        journal: Journal,
        *,
        hq: HqLine,
        store: str,
        profile: StoreProfile,
        presence: Callable[[], Presence],
        version: str,
        retell: Callable[[Collection[int]], Awaitable[None]] | None = None,
        obey: Callable[[Command], Awaitable[None]] | None = None,
    ) -> None:
        """`retell` journals the present of the facings in some buckets (`contract.digest`) once more: of all
        where HQ begins after rows that are forgotten here, of some where its counts are others.

        `obey` does what HQ asks, at most once whatever happens, and returns when its fate is durable.
        """
        self.status = SyncStatus(applied=journal.position.applied)
        self._journal, self._presence = journal, presence
        self._hq = hq
        self._store, self._profile, self._version = store, profile, version
        self._retell, self._obey = retell, obey
        self._news = asyncio.Event()
        self._max_rows_now = 5_000
        self._told_presence_s = -PRESENCE_EVERY_S
        self._comparing = Comparing()
        self._is_over = False

    def wake(self) -> None:
        """There are new durable rows."""
        self._news.set()

    def greet_again(self) -> None:
        """Begin a new session with a hello, and compare the counts however often they differed."""
        self._is_over = True
        self._news.set()

    async def run(self) -> None:
        """Sessions one after the other, with full jitter between failures."""
        loop = asyncio.get_running_loop()
        async with self._hq.connected():
            failing_since: float | None = None
            while True:
                try:
                    await self._session()
                except Conflict as conflict:
                    log.info("HQ asks for a new hello: %s", conflict)
                    await asyncio.sleep(random.uniform(0, 0.5))
                except HqRejected as error:
                    self._offline(error)
                    await asyncio.sleep(random.uniform(0.5, 1) * REFUSED_DELAY_S)
                except HqUnreachable as error:
                    if self.status.online or failing_since is None:
                        failing_since = loop.time()
                    self._offline(error)
                    await asyncio.sleep(max(error_delay(error), retry_delay_s(loop.time() - failing_since)))

    async def last_words(self, limit_s: float) -> None:
        """At stop: send what is left, for at most `limit_s`."""
        try:
            async with asyncio.timeout(limit_s), self._hq.connected():
                session = await self._hello()
                while self._journal.durable_seq > session.applied.seq:
                    await self._send(session, await self._outgoing(session, session.applied))
        except (TimeoutError, HqUnreachable, HqRejected, Conflict) as error:
            log.info("HQ gets the rest at the next start: %s", error or "no time left")

    # --- one session ---------------------------------------------------------------------------

    async def _session(self) -> None:
        """Until `greet_again`, or an error."""
        if self._is_over:
            self._comparing, self._is_over = Comparing(), False
        session = await self._hello()
        if self._journal.durable_seq - session.applied.seq > FRESHEST_FIRST_ROWS:
            try:
                await self._hq.post("state", self._state(session), dict)
            except BodyTooLarge as error:
                log.warning("%s: HQ shows the past before the present", error)
        ready: Outgoing | None = None
        while not self._is_over:
            self._news.clear()
            ready = await self._send(session, ready or await self._outgoing(session, session.applied))
            await self._heed(session)
            if self._journal.durable_seq > session.applied.seq:
                continue
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _heed(self, session: Session) -> None:
        """Do what HQ asks for, in its order; a heartbeat's answer told that there is something."""
        while self._obey is not None and session.handed < session.commands:
            reply = await self._hq.get("commands", {"after": str(session.handed)}, CommandsReply)
            for command in reply.commands:
                await self._obey(command)
            behind = session.handed + 1 if reply.commands else session.commands
            session.handed = max(reply.after, behind)

    def _state(self, session: Session) -> State:
        as_of_seq, present = self._journal.present()
        return State(
            session=session.session,
            as_of_seq=as_of_seq,
            facings=[belief.state() for belief in present.beliefs],
            devices=[condition.state() for condition in present.conditions],
            gaps=[],
        )

    async def _outgoing(self, session: Session, behind: Position) -> Outgoing:
        """The batch that follows `behind`; a large one is packed beside the event loop."""
        presence, is_due = self._presence_if_due(), self._comparing.is_due(_now_s())
        work = partial(self._packed, session, behind, presence, is_compared=is_due)
        return (
            work() if self._journal.durable_seq - behind.seq < LARGE_ROWS else await asyncio.to_thread(work)
        )

    async def _ahead(self, session: Session, sent: Outgoing) -> Outgoing | None:
        """While HQ takes in what is sent, the batch behind it, where many rows wait."""
        if self._journal.durable_seq - sent.last.seq < LARGE_ROWS:
            return None
        return await self._outgoing(session, sent.last)

    def _packed(
        self, session: Session, behind: Position, presence: Presence | None, *, is_compared: bool
    ) -> Outgoing:
        rows = self._next_rows(session, behind.seq)
        last_chain = self._journal.chain_at(rows[-1].seq) if rows else None
        last = Position(rows[-1].seq, last_chain.hex()) if rows and last_chain else behind
        digest = self._digest_at(last.seq) if is_compared else None
        batch = Batch(
            session=session.session,
            branch=session.branch,
            first=behind.seq + 1,
            prev_chain=behind.chain,
            last_chain=last.chain,
            last_seq=self._journal.durable_seq,
            rows=rows,
            presence=presence,
            digest=digest,
        )
        return Outgoing(last, len(rows), digest is not None, pack(batch))

    def _next_rows(self, session: Session, behind_seq: int) -> list[OutboxRow]:
        limit = max(1, min(session.max_rows, self._max_rows_now))
        rows = self._journal.rows_after(behind_seq, limit=limit)
        size = 0
        for index, row in enumerate(rows):
            size += len(row.body) + 256
            if size > session.max_bytes and index:
                return rows[:index]
        return rows

    async def _hello(self) -> Session:
        journal = self._journal
        seqs = sparse(journal.position.base_seq, journal.durable_seq)
        for _ in range(HELLO_ROUNDS):
            sent_at = utc_now()
            reply = await self._hq.post(
                "hello", self._hello_message(seqs), HelloReply, timeout_s=HELLO_TIMEOUT_S
            )
            if reply.want is None:
                break
            seqs = [*evenly(*reply.want), *seqs][:LOCATOR_LIMIT]  # what HQ asked for before counts on
        if reply.merge is None or reply.applied is None:
            raise HqRejected("HQ's answer to hello names no merge point", hint="is HQ the right version?")
        self._note_clock(sent_at, reply.received_at)
        self._check_own_chain(reply.applied)
        if self._retell is not None and self._begins_at_our_base(reply):
            # Before the branch is stored: a crash in between only repeats it.
            await self._retell(range(BUCKETS))
        await asyncio.wrap_future(
            journal.acknowledged(reply.branch, applied=reply.applied.seq, safe=reply.safe)
        )
        metrics.sync_hellos.inc()
        self._comparing.greeted()
        self._online(reply.applied.seq)
        self._max_rows_now = max(self._max_rows_now, reply.max_rows)
        return Session(reply.session, reply.branch, reply.applied, reply.max_rows, reply.max_bytes)

    def _begins_at_our_base(self, reply: HelloReply) -> bool:
        """HQ opened a branch where our rows begin: what was before is forgotten here and maybe lost there."""
        at = self._journal.position
        return (
            reply.branch != at.branch
            and reply.applied == Position(at.base_seq, at.base_chain.hex())
            and (at.base_seq > 0)
        )

    def _note_clock(self, sent_at: datetime, hq_at: str) -> None:
        round_trip = (utc_now() - sent_at).total_seconds()
        try:
            ahead = (parse_rfc3339(hq_at) - sent_at).total_seconds()
        except ValueError as error:
            raise HqUnreachable(f"HQ's answer to hello is not understood: {error}") from error
        self.status.clock_offset_s = ahead - round_trip / 2
        metrics.clock_offset_seconds.set(self.status.clock_offset_s)

    def _hello_message(self, seqs: list[int]) -> Hello:
        journal = self._journal
        position = journal.position
        return Hello(
            store=self._store,
            agent_id=journal.agent_id,
            boot_id=journal.boot_id,
            last_seq=journal.durable_seq,
            base_seq=position.base_seq,
            base_chain=position.base_chain.hex(),
            locator=[
                Position(s, chain.hex()) for s, chain in journal.chains_at(sorted({*seqs}, reverse=True))
            ],
            versions={"agent": self._version, "schema": str(SCHEMA_VERSION)},
            sent_at=rfc3339(utc_now()),
            profile=self._profile,
        )

    async def _send(self, session: Session, batch: Outgoing) -> Outgoing | None:
        """One batch (or heartbeat), acknowledged and stored. Returns the next one if it is ready by now."""
        try:
            reply, ahead = await asyncio.gather(
                self._hq.post_packed("batch", batch.body, BatchReply), self._ahead(session, batch)
            )
        except BodyTooLarge:
            if batch.rows <= 1:
                raise
            self._max_rows_now = max(1, batch.rows // 2)
            return None
        metrics.sync_batches.labels("applied").inc()
        self._check_own_chain(reply.applied)
        if batch.rows and reply.applied.seq == session.applied.seq and not reply.next_delay_ms:
            raise HqUnreachable(f"HQ has taken none of {batch.rows} rows")
        if (reply.applied.seq, reply.safe) != (self._journal.position.applied, self._journal.position.safe):
            await asyncio.wrap_future(
                self._journal.acknowledged(session.branch, applied=reply.applied.seq, safe=reply.safe)
            )
        session.applied, session.commands = reply.applied, reply.commands_after
        self._online(reply.applied.seq)
        if batch.is_compared:
            await self._compared(reply.differing)
        if reply.next_delay_ms:
            await asyncio.sleep(reply.next_delay_ms / 1000)
        return ahead if reply.applied == batch.last else None

    def _digest_at(self, seq: int) -> Digest | None:
        """What the counts add up to behind row `seq`, when that is the newest one."""
        if seq != self._journal.durable_seq:
            return None
        digest = self._journal.digest()
        return digest if digest.at_seq == seq else None

    async def _compared(self, differing: list[int]) -> None:
        self._comparing.compared(_now_s(), differs=bool(differing))
        if differing and self._retell is not None:
            metrics.sync_differences.inc()
            log.warning("HQ's counts are not this store's, telling %d of 16 parts again", len(differing))
            await self._retell(differing)

    def _check_own_chain(self, applied: Position) -> None:
        own = self._journal.chain_at(applied.seq)
        if own is None or own.hex() != applied.chain:
            raise Conflict(f"our row {applied.seq} is not the one that HQ has")

    def _presence_if_due(self) -> Presence | None:
        now_s = _now_s()
        if now_s - self._told_presence_s < PRESENCE_EVERY_S:
            return None
        self._told_presence_s = now_s
        offset_s = self.status.clock_offset_s
        presence = self._presence()
        return presence if offset_s is None else replace(presence, clock_offset_ms=round(offset_s * 1000))

    def _online(self, applied: int) -> None:
        status = self.status
        status.applied = applied
        if not status.online:
            status.online, status.problem, status.since = True, None, time.time()
            metrics.sync_online.set(1)
            log.info("HQ is online, %d rows to send", self._journal.durable_seq - applied)

    def _offline(self, error: HqUnreachable | HqRejected) -> None:
        status = self.status
        if status.online or status.problem != error.message:
            level = logging.WARNING if status.online or isinstance(error, HqRejected) else logging.DEBUG
            log.log(level, "%s%s", error, f"; {error.hint}" if error.hint else "")
        if status.online:
            status.online, status.since = False, time.time()
        status.problem = error.message
        metrics.sync_online.set(0)
        metrics.sync_batches.labels("failed").inc()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
