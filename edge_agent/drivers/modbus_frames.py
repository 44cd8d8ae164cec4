"""Modbus frames in a stream of bytes, RTU and TCP; the messages themselves are pymodbus' own.

A framer is pure and finds the same messages however the bytes are cut. RTU has no start mark: a message
begins wherever a checksum proves it, so that noise costs nothing but itself.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
)

MEANINGS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledged, not done yet",
    6: "device busy",
    7: "negative acknowledge",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not answer",
}
"""Exception codes (Modbus Application Protocol V1.1b3, section 7)."""

READS = (3, 4)
STATIONS = range(1, 248)

_REFUSED = 0x80
_FUNCTIONS = frozenset(range(1, 0x2C))
_LONGEST_READ = 250
_LONGEST = 260
_SHOWN = 24
_CRC = 2
_REQUEST = 8
_REFUSAL = 5
_HEADER = 7

_requests, _responses = DecodePDU(True), DecodePDU(False)

# pymodbus tells of every frame; what matters of them is in our own log, in our own words.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that are no message: how many, and the first of them."""

    count: int
    first: bytes


class Framer(Protocol):
    """Bytes to messages."""

    skipped_bytes: int

    def feed(self, chunk: bytes) -> list[ModbusPDU | Noise]:
        """What `chunk` completes, in order."""
        ...

    def end(self) -> list[ModbusPDU | Noise]:
        """What still waits, now that nothing follows: a good message behind half a one is found."""
        ...

    def frame(self, request: ModbusPDU) -> bytes:
        """A message as it goes over the line."""
        ...


class _Resynchronising(ABC):
    """Takes a message where one begins, else leaves out one byte and looks again."""

    def __init__(self) -> None:
        self.skipped_bytes = 0
        self._waiting = b""
        self._noise = Noise(0, b"")

    def feed(self, chunk: bytes) -> list[ModbusPDU | Noise]:
        self._waiting += chunk
        return list(self._messages(ended=False))

    def end(self) -> list[ModbusPDU | Noise]:
        return [*self._messages(ended=True), *self._told_noise()]

    def _messages(self, *, ended: bool) -> Iterator[ModbusPDU | Noise]:
        rest, at = self._waiting, 0
        while at < len(rest):
            size, pdu = self._at(rest[at : at + _LONGEST])
            if pdu is not None:
                yield from self._told_noise()
                yield pdu
                at += size
            elif size and not ended:
                break
            else:
                self._leave_out(rest[at : at + 1])
                at += 1
        self._waiting = rest[at:]

    @abstractmethod
    def _at(self, raw: bytes) -> tuple[int, ModbusPDU | None]:
        """The message that `raw` begins with, and its size; (1, None) while it may become one, else 0."""

    def _leave_out(self, byte: bytes) -> None:
        self.skipped_bytes += 1
        self._noise = Noise(self._noise.count + 1, (self._noise.first + byte)[:_SHOWN])

    def _told_noise(self) -> Iterator[Noise]:
        if self._noise.count:
            yield self._noise
            self._noise = Noise(0, b"")


class RtuFramer(_Resynchronising):
    """Modbus RTU: station, function, data, CRC-16. The longest message waited for has 255 bytes."""

    def frame(self, request: ModbusPDU) -> bytes:
        """A message as it goes over the line."""
        return FramerRTU(_requests).buildFrame(request)

    def _at(self, raw: bytes) -> tuple[int, ModbusPDU | None]:
        if raw[0] not in STATIONS:
            return 0, None
        sizes = _rtu_sizes(raw)
        if sizes is None:
            return 1, None
        for size in sizes:
            if len(raw) < size:
                return 1, None
            body, crc = raw[: size - _CRC], int.from_bytes(raw[size - _CRC : size], "big")
            message = _message(raw[0], body[1:]) if FramerRTU.check_CRC(body, crc) else None
            if message is not None:
                return size, message
        return 0, None


class TcpFramer(_Resynchronising):
    """Modbus TCP: transaction, protocol 0, length, station, then as RTU without a checksum."""

    def frame(self, request: ModbusPDU) -> bytes:
        """A message as it goes over the line."""
        return FramerSocket(_requests).buildFrame(request)

    def _at(self, raw: bytes) -> tuple[int, ModbusPDU | None]:
        if raw[2:4] != bytes(2)[: len(raw[2:4])] or raw[4:5] not in (b"", b"\0"):
            return 0, None
        if len(raw) < _HEADER + 2:
            return 1, None
        # Its length is told twice; a header whose lengths disagree is none.
        length = raw[5] - 1
        if length not in [size - _CRC - 1 for size in _rtu_sizes(raw[_HEADER - 1 :]) or ()]:
            return 0, None
        if len(raw) < _HEADER + length:
            return 1, None
        message = _message(raw[6], raw[_HEADER : _HEADER + length])
        if message is None:
            return 0, None
        message.transaction_id = int.from_bytes(raw[:2], "big")
        return _HEADER + length, message


def read_request(station: int, function: int, address: int, count: int) -> ModbusPDU:
    """The request to read `count` registers from the wire address `address`; function 3 or 4."""
    kind = ReadHoldingRegistersRequest if function == READS[0] else ReadInputRegistersRequest
    return kind(dev_id=station, address=address, count=count)


def is_refusal(message: ModbusPDU) -> bool:
    """Whether a message is an exception; `exception_code` says which."""
    return isinstance(message, ExceptionResponse)


def is_request(message: ModbusPDU) -> bool:
    """Whether a message is a request (seen on a line that is listened to, or as the echo of an adapter)."""
    return isinstance(message, ReadHoldingRegistersRequest)


def refused(message: ModbusPDU) -> str:
    """An exception in words."""
    meaning = MEANINGS.get(message.exception_code, "not in the standard")
    return f"exception {message.exception_code}: {meaning}"


def reply_bytes(count: int) -> int:
    """The length of an RTU reply with `count` registers."""
    return 3 + 2 * count + _CRC


def _rtu_sizes(raw: bytes) -> list[int] | None:
    """How long the RTU message that begins with these bytes may be, shortest first; None: not yet known.

    A reply and a request begin alike: only the checksum tells.
    """
    if len(raw) < 2:
        return None
    function = raw[1]
    if function & _REFUSED:
        return [_REFUSAL] if function & ~_REFUSED in _FUNCTIONS else []
    if function not in READS:
        return []
    if len(raw) < 3:
        return None
    count = raw[2]
    if count % 2 or not 2 <= count <= _LONGEST_READ:
        return [_REQUEST]
    return sorted((_REQUEST, 3 + count + _CRC))


def _message(station: int, pdu: bytes) -> ModbusPDU | None:
    """The message; None for a request that no device may answer: of 0 registers, or of more than 125."""
    # Replies have an even length, a request to read has five bytes.
    decoder = _requests if len(pdu) == _REQUEST - _CRC - 1 else _responses
    message = decoder.decode(pdu)
    if message is not None:
        message.dev_id = station
    return message
