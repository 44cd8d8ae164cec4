"""Modbus lines that several devices share: one question at a time, in turn, to one of many stations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from pymodbus.pdu import ModbusPDU

from edge_agent.config.devices import ModbusScale
from edge_agent.contract.errors import ConfigError, DeviceError, LinkLost
from edge_agent.drivers.link import Link, open_link
from edge_agent.drivers.modbus_frames import (
    Framer,
    Noise,
    RtuFramer,
    TcpFramer,
    is_refusal,
    is_request,
    read_request,
    refused,
    reply_bytes,
)
from edge_agent.drivers.tap import Heard, Tap, deaf

TCP = "tcp://"

_BITS_A_BYTE = 11
_PAUSE_BYTES, _SHORTEST_PAUSE_S = 3.5, 0.00175
_REQUEST_BYTES = 8
_GATEWAY_SAYS_SILENT = (10, 11)
_QUIET_AFTER = 3
_QUIET_PATIENCE = 0.5


@dataclass(frozen=True, slots=True)
class Question:
    """Read `count` registers of `station` from the wire address `address` on.

    `patience_s` is what the station may think, beside the time on the wire.
    """

    station: int
    function: int
    address: int
    count: int
    patience_s: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """The station (or its gateway) answers with an exception."""

    code: int
    words: str


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer in time. `garbled`: bytes came, yet no message."""

    garbled: bool


class ModbusLine:
    """An open line. Questions wait for their turn in the order in which they came (the lock is fair)."""

    def __init__(self, settings: ModbusScale, silent: set[int]) -> None:
        self.lost: LinkLost | None = None
        self.gone = asyncio.Event()
        self.silent = silent
        self._settings = settings
        self._is_tcp = settings.port.startswith(TCP)
        self._turn = asyncio.Lock()
        self._clock = asyncio.get_running_loop().time
        self._tap: Tap = deaf
        self.framer = self._new_framer()
        self._transaction = 0
        self._free_s = 0.0
        self._unanswered = 0

    @property
    def is_quiet(self) -> bool:
        """Whether nobody answers any more, of those who did: then the line is at fault, not one station."""
        return self._unanswered >= _QUIET_AFTER

    def heard(self, heard: Heard) -> None:
        """The tap of the link: what passes belongs to whoever asked last, late answers included."""
        self._tap(heard)

    async def ask(self, link: Link, question: Question, tap: Tap = deaf) -> list[int] | Refusal | Silence:
        """The words of the registers. Raises LinkLost; from then on the line stays lost."""
        async with self._turn:
            await asyncio.sleep(max(0.0, self._free_s - self._clock()))
            self._tap = tap
            try:
                answer = await self._exchange(link, question)
                if not isinstance(answer, Silence):
                    self._unanswered = 0
                elif question.station not in self.silent:
                    self._unanswered += 1
                return answer
            except LinkLost as error:
                self.lost = error
                self.gone.set()
                raise
            finally:
                # 3.5 characters of rest end a message on a serial line.
                self._free_s = self._clock() + (0.0 if self._is_tcp else self._pause_s())

    async def _exchange(self, link: Link, question: Question) -> list[int] | Refusal | Silence:
        framer = self.framer = self._new_framer()
        self._transaction = self._transaction % 0xFFFF + 1
        request = read_request(question.station, question.function, question.address, question.count)
        request.transaction_id = self._transaction
        link.read_nowait()  # what waits before a question is no answer to it
        await link.write(framer.frame(request))
        heard: list[ModbusPDU | Noise] = []
        # On a long line that lost its power, each station's trouble must be seen within seconds.
        patience_s = question.patience_s * (_QUIET_PATIENCE if self.is_quiet else 1)
        try:
            async with asyncio.timeout(patience_s + self._wire_s(question.count)):
                while not (answers := self._answers(heard, question)):
                    heard = framer.feed(await link.read())
        except TimeoutError:
            # Noise that promised a long message may have hidden the answer behind it.
            answers = self._answers(framer.end(), question)
        if not answers:
            return Silence(garbled=framer.skipped_bytes > 0)
        return _answer(answers[0])

    def _answers(self, heard: list[ModbusPDU | Noise], question: Question) -> list[ModbusPDU]:
        return [item for item in heard if isinstance(item, ModbusPDU) and self._is_answer(item, question)]

    def _is_answer(self, message: ModbusPDU, question: Question) -> bool:
        if message.dev_id != question.station or is_request(message):
            return False
        if self._is_tcp and message.transaction_id != self._transaction:
            return False
        if is_refusal(message):
            return message.function_code & 0x7F == question.function
        return message.function_code == question.function and len(message.registers) == question.count

    def _new_framer(self) -> Framer:
        """One for each question: nothing of an answer before it is left."""
        return TcpFramer() if self._is_tcp else RtuFramer()

    def _wire_s(self, count: int) -> float:
        """How long request and reply take on a serial line."""
        if self._is_tcp:
            return 0.0
        return (_REQUEST_BYTES + reply_bytes(count)) * _BITS_A_BYTE / self._settings.baudrate

    def _pause_s(self) -> float:
        return max(_SHORTEST_PAUSE_S, _PAUSE_BYTES * _BITS_A_BYTE / self._settings.baudrate)


def _answer(message: ModbusPDU) -> list[int] | Refusal | Silence:
    if not is_refusal(message):
        return list(message.registers)
    if message.exception_code in _GATEWAY_SAYS_SILENT:
        return Silence(garbled=False)
    return Refusal(message.exception_code, refused(message))


@dataclass(slots=True)
class Station:
    """One device's place on a line."""

    line: ModbusLine
    link: Link
    tap: Tap
    skipped_bytes: int = 0
    """What came after this device's questions and was no part of a message."""

    async def ask(self, question: Question) -> list[int] | Refusal | Silence:
        """As `ModbusLine.ask`."""
        answer = await self.line.ask(self.link, question, self.tap)
        self.skipped_bytes += self.line.framer.skipped_bytes
        return answer

    async def rest(self, seconds: float) -> None:
        """Ask nothing for so long. Raises LinkLost as soon as somebody else finds the line lost."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self.line.gone.wait()
        except TimeoutError:
            return
        if self.line.lost is not None:
            raise self.line.lost


@dataclass(slots=True)
class ModbusPort:
    """One port of the store: its line is open while somebody uses it, and opened once for all who share it.

    `silent` are the stations that did not answer at their last try; it outlives the line.
    """

    silent: set[int] = field(default_factory=set)
    _used_by: list[ModbusScale] = field(default_factory=list)
    _gate: asyncio.Lock = field(default_factory=asyncio.Lock)
    _open: tuple[ModbusLine, Link, AsyncExitStack] | None = None
    _tries: int = 0
    _failure: DeviceError | None = None

    @asynccontextmanager
    async def station(self, settings: ModbusScale, tap: Tap = deaf) -> AsyncIterator[Station]:
        """A place on the line.

        Raises LinkLost or LinkDenied when the port cannot be opened, ConfigError when those who share it
        disagree about it.
        """
        for other in self._used_by:
            _agree(other, settings)
        self._used_by.append(settings)
        try:
            line, link = await self._opened(settings)
            yield Station(line, link, tap)
        finally:
            self._used_by.remove(settings)
            if not self._used_by:
                await self._close()

    async def _opened(self, settings: ModbusScale) -> tuple[ModbusLine, Link]:
        tries_before = self._tries
        async with self._gate:
            if self._open is None or self._open[0].lost is not None:
                if self._failure is not None and self._tries > tries_before:
                    raise self._failure  # somebody else has just tried
                await self._close()
                self._open = await self._try(settings)
            line, link, _ = self._open
            return line, link

    async def _try(self, settings: ModbusScale) -> tuple[ModbusLine, Link, AsyncExitStack]:
        line = ModbusLine(settings, self.silent)
        address = settings.port.replace(TCP, "socket://", 1)
        link = open_link(address, settings.baudrate, serial_format=settings.serial_format, tap=line.heard)
        self._failure = None
        try:
            async with AsyncExitStack() as stack:
                return line, await stack.enter_async_context(link), stack.pop_all()
        except DeviceError as error:
            self._failure = error
            raise
        finally:
            self._tries += 1

    async def _close(self) -> None:
        if self._open is not None:
            _, _, stack = self._open
            self._open = None
            await stack.aclose()


def _agree(first: ModbusScale, second: ModbusScale) -> None:
    for key in ("baudrate", "serial_format"):
        one, other = getattr(first, key), getattr(second, key)
        if one != other:
            raise ConfigError(
                f"{first.id} and {second.id} share {first.port} with {key} {one} and {other}",
                hint="all modules of a line have the same baudrate and serial_format",
            )
