"""The talk with one RFID reader on a serial line: greet, inventory by inventory, heartbeat, batches of reads.

What differs between makers is a `Dialect`; each is in a file of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from edge_agent.config.devices import SerialReader
from edge_agent.contract.errors import DeviceError, DeviceSilent, LinkLost
from edge_agent.drivers.frames import FrameScanner, Noise
from edge_agent.drivers.link import Link, device_link
from edge_agent.drivers.tap import Heard, Tap, deaf
from edge_agent.readings import DeviceAnswered, DeviceDegraded, Emit, Reading, TagRead

REPLY_TIMEOUT_S = 1.0
HEARTBEAT_TIMEOUT_S = 0.7
"""The heartbeat needs no radio: it is answered at once."""
SILENT_AFTER = 3
"""Questions in a row without a single frame until the reader counts as silent."""
TROUBLED_AFTER = 2
"""Inventories of one antenna in a row that fail until the reader counts as degraded."""
GAP_S = 0.3
"""A frame whose rest has not come after this long will not come: what waits may be noise."""
EMIT_WITHIN_S = 0.5
"""A round over many antennas is emitted in parts this long."""
ALIVE_EVERY_S = 1.0
"""How often a reader with empty shelves is said to be alive."""
LEAVE_TIMEOUT_S = 0.2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """One command. `frame` is what is sent; `command` is the code that its answer carries.

    The answer ends with a frame that says so; with `quiet_s` set the protocol has no such frame, and the
    answer is over when the reader has been quiet that long.
    """

    command: int
    frame: bytes
    timeout_s: float = REPLY_TIMEOUT_S
    quiet_s: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One inventory: of `antenna` (None where the reader has no choice), after `select` has been taken."""

    antenna: int | None
    ask: Question
    select: Question | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What one frame says. `trouble`: why the question was not done; `last`: nothing follows in this answer.

    `fault` tells what the frame holds that cannot be understood.
    """

    answers: int
    reads: tuple[TagRead, ...] = ()
    trouble: str | None = None
    last: bool = True
    fault: str | None = None


class Dialect(Protocol):
    """One maker's protocol around its configured reader."""

    scanner: FrameScanner

    def first(self) -> Sequence[Question]:
        """What ends anything that ran before; an answer is welcome, silence is no fault."""
        ...

    def who(self) -> Question:
        """The heartbeat: a question that the reader always answers; its answer is taken by `met`."""
        ...

    def met(self) -> tuple[str | None, Sequence[Question]]:
        """Kind and firmware (None when it did not say), and what to set before the first inventory.

        It is no identity: none of these protocols has a serial number that the maker sets.
        """
        ...

    def reset(self) -> bytes:
        """The last resort for a reader that does not answer its heartbeat; empty when there is none."""
        ...

    def round(self) -> Sequence[Look]:
        """One inventory of each configured antenna."""
        ...

    def last(self) -> Sequence[Question]:
        """What ends anything that we started."""
        ...

    def hear(self, frame: bytes) -> Said:
        """The meaning of a sound frame. Never raises."""
        ...


@dataclass(slots=True)
class _Heard:
    """What one answer brought."""

    answered: bool = False
    ended: bool = False
    frames: int = 0
    trouble: str | None = None


class SerialReaderDriver:
    """One reader, asked for an inventory `poll_hz` times a second, its antennas in turn.

    Reads are emitted by the round, not one by one. An antenna whose inventory fails degrades the reader
    while the others go on. The reader counts as silent when neither inventory nor heartbeat is answered. A
    line that echoes what is sent (half-duplex adapters) does no harm: the echo of a question is no answer
    to it.
    """

    def __init__(
        self,
        settings: SerialReader,
        dialect: Dialect,
        tap: Tap = deaf,
        *,
        reply_timeout_s: float | None = None,
    ) -> None:
        self._settings, self._dialect, self._tap = settings, dialect, tap
        self._timeout_s = reply_timeout_s
        self._sent = b""
        self._missed = 0
        self._reads: list[Reading] = []
        self._troubles: dict[int | None, tuple[str, int]] = {}

    async def run(self, emit: Emit) -> None:
        """Inventory until cancelled. Raises LinkLost, LinkDenied, or DeviceSilent after 3 questions."""
        async with device_link(self._settings, self._tap) as link:
            try:
                await self._greet(link, emit)
                await self._inventory(link, emit)
            finally:
                await self._leave(link)

    @property
    def skipped_bytes(self) -> int:
        """Bytes that were no part of a frame, since this driver was made."""
        return self._dialect.scanner.skipped_bytes

    async def _greet(self, link: Link, emit: Emit) -> None:
        """Stop what ran before, hear who it is, set it up."""
        for question in self._dialect.first():
            await self._ask(link, question)
        self._missed = 0
        if not await self._meet(link):
            await link.write(self._dialect.reset())
            await asyncio.sleep(LEAVE_TIMEOUT_S)  # closing the port at once would take the bytes back
            raise self._silence()
        kind, settings = self._dialect.met()
        _log.debug("%s: %s", self._settings.id, kind or "the reader does not say what it is")
        for question in settings:
            trouble = (await self._ask(link, question)).trouble
            if trouble:
                _log.warning("%s: a setting was refused: %s", self._settings.id, trouble)
        await emit([DeviceAnswered(self._settings.id)])

    async def _meet(self, link: Link) -> bool:
        try:
            for _ in range(SILENT_AFTER):
                if (await self._ask(link, self._dialect.who())).answered:
                    return True
        except DeviceSilent:
            return False
        return False

    async def _inventory(self, link: Link, emit: Emit) -> None:
        clock = asyncio.get_running_loop().time
        due = emitted = clock()
        self._reads.clear()  # seen by an inventory that somebody else had started
        while True:
            looks = self._dialect.round()
            for look in looks:
                try:
                    await self._look(link, look)
                except DeviceError:
                    if self._reads:  # what it said last is true all the same
                        await self._emit(emit, emitted)
                    raise
                late_s = clock() - emitted
                if late_s >= EMIT_WITHIN_S or look is looks[-1]:
                    emitted = await self._emit(emit, emitted)
                due = max(due + 1 / self._settings.poll_hz, clock())
                await asyncio.sleep(due - clock())

    async def _emit(self, emit: Emit, emitted: float) -> float:
        """Hand over what there is; returns when something was last emitted."""
        now = asyncio.get_running_loop().time()
        reads, self._reads = self._reads, []
        if not reads and now - emitted < ALIVE_EVERY_S:
            return emitted
        device = self._settings.id
        lasting = [text for text, count in self._troubles.values() if count >= TROUBLED_AFTER]
        if lasting:
            reads.append(DeviceDegraded(device, "; ".join(dict.fromkeys(lasting))))
        await emit(reads or [DeviceAnswered(device)])
        return now

    async def _look(self, link: Link, look: Look) -> None:
        """One inventory; what is wrong with it is noted for its antenna."""
        before = len(self._reads)
        for question in (look.select, look.ask) if look.select else (look.ask,):
            heard = await self._ask(link, question)
            trouble = heard.trouble
            if not heard.answered:
                await self._prove_alive(link)
                trouble = None if len(self._reads) > before else "answers, yet gives no inventory"
            if trouble or not heard.answered:
                break
        self._note(look.antenna, trouble)

    async def _prove_alive(self, link: Link) -> None:
        """The heartbeat behind an unanswered question. DeviceSilent without any."""
        for _ in range(SILENT_AFTER - 1):
            if (await self._ask(link, self._dialect.who())).answered:
                break

    def _note(self, antenna: int | None, trouble: str | None) -> None:
        if trouble is None:
            self._troubles.pop(antenna, None)
            return
        text = trouble if antenna is None else f"antenna {antenna}: {trouble}"
        count = self._troubles.get(antenna, ("", 0))[1] + 1
        self._troubles[antenna] = (text, count)

    async def _ask(self, link: Link, question: Question) -> _Heard:
        """Everything heard up to the end of the answer. Raises DeviceSilent when the line stays empty."""
        heard = _Heard()
        self._take(link.read_nowait(), None, heard)
        heard.frames = 0
        self._sent = question.frame
        await link.write(question.frame)
        await self._listen(link, question, heard)
        self._missed = 0 if heard.frames else self._missed + 1
        if self._missed >= SILENT_AFTER:
            raise self._silence()
        return heard

    def _silence(self) -> DeviceSilent:
        return DeviceSilent(
            f"{self._settings.port} is open, yet no reader answers",
            hint="is it switched on, and are driver, baud rate and address those of the reader?",
        )

    async def _listen(self, link: Link, question: Question, heard: _Heard) -> None:
        clock = asyncio.get_running_loop().time
        timeout_s = self._timeout_s or question.timeout_s
        until, latest = clock() + timeout_s, clock() + 2 * timeout_s
        while not heard.ended and (left_s := min(until, latest) - clock()) > 0:
            gap_s = min(GAP_S, timeout_s / 2)
            wait_s = min(left_s, gap_s) if self._dialect.scanner.waiting else left_s
            try:
                async with asyncio.timeout(wait_s):
                    chunk = await link.read()
            except TimeoutError:
                progress = self._hear(self._dialect.scanner.end(), question, heard)
            else:
                progress = self._take(chunk, question, heard)
            if progress:
                until = clock() + (timeout_s if question.quiet_s is None else question.quiet_s)

    def _take(self, chunk: bytes, question: Question | None, heard: _Heard) -> bool:
        return self._hear(self._dialect.scanner.feed(chunk), question, heard)

    def _hear(self, found: list[bytes | Noise], question: Question | None, heard: _Heard) -> bool:
        """Note what the frames say; whether one of them belongs to the answer."""
        progress = False
        for frame in found:
            if isinstance(frame, Noise):
                _log.debug("%s: %s", self._settings.id, frame)
            elif frame == self._sent:
                self._sent = b""
            else:
                progress |= self._hear_frame(self._dialect.hear(frame), question, heard)
        return progress

    def _hear_frame(self, said: Said, question: Question | None, heard: _Heard) -> bool:
        heard.frames += 1
        self._reads += said.reads
        if said.fault:
            _log.debug("%s: %s", self._settings.id, said.fault)
        if question is None or said.answers != question.command:
            return False
        heard.answered = True
        heard.trouble = said.trouble or heard.trouble
        heard.ended = said.last
        return True

    async def _leave(self, link: Link) -> None:
        with suppress(LinkLost, TimeoutError):
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                for question in self._dialect.last():
                    await link.write(question.frame)
                    await self._listen(link, question, _Heard())


class SerialReaderDecoder:
    """For `decode` and `replay`: what a reader said. What was sent to it is not decoded."""

    options = frozenset[str]()

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def feed(self, heard: Heard) -> Iterator[Reading | str]:
        """The reads that these bytes complete, and what is no frame or not understood."""
        if heard.direction == "in":
            yield from self._told(self._dialect.scanner.feed(heard.chunk))

    def end(self) -> Iterator[Reading | str]:
        """The last frame may be cut short."""
        yield from self._told(self._dialect.scanner.end())

    def _told(self, found: list[bytes | Noise]) -> Iterator[Reading | str]:
        for frame in found:
            if isinstance(frame, Noise):
                yield str(frame)
                continue
            said = self._dialect.hear(frame)
            yield from said.reads
            if said.fault:
                yield said.fault
