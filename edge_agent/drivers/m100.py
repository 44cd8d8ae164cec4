"""RFID modules that speak the 0xBB protocol: M100, QM100, YRM100, R200 and their copies.

Protocol facts (M100 firmware manual): `BB TYPE CMD LEN LEN … CS 7E`, CS the sum of the bytes from TYPE; 7E
may occur anywhere inside, so LEN decides. A tag is a notice (type 2) `RSSI PC EPC CRC`: RSSI as a signed
byte in dBm, the CRC the tag's own (Gen2, CRC-16 over PC and EPC). An inventory has no closing frame; a poll
without a tag answers with error 15.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping, Sequence

from edge_agent.config.devices import M100
from edge_agent.drivers.frames import FrameScanner, Grammar
from edge_agent.drivers.rfid_serial import (
    HEARTBEAT_TIMEOUT_S,
    REPLY_TIMEOUT_S,
    Look,
    Question,
    Said,
    SerialReaderDecoder,
    SerialReaderDriver,
)
from edge_agent.drivers.tap import Tap, deaf
from edge_agent.readings import TagRead

WHO, TAG, POLLS, STOP, POWER, ERROR = 0x03, 0x22, 0x27, 0x28, 0xB6, 0xFF
_QUESTION, _NOTICE = 0, 2
_NO_TAG = 0x15
_TROUBLES = {0x17: "the reader does not know the command", 0x20: "no free channel: it cannot transmit"}

_POLLS_A_LOOK = 10
_QUIET_S = 0.1
"""Longer than one poll takes: then the last one is over."""
_STOP_TIMEOUT_S = 0.2


def _sound(frame: bytes) -> bool:
    """Whether end mark and sum are right, and a tag is whole: its length as PC says, its own CRC right."""
    if frame[-1] != 0x7E or sum(frame[1:-2]) & 0xFF != frame[-2]:
        return False
    return not _is_tag(frame) or _tag_fits(frame)


def _is_tag(frame: bytes) -> bool:
    return frame[1] == _NOTICE and frame[2] == TAG


def _tag_fits(frame: bytes) -> bool:
    if len(frame) < 10:
        return False
    end = 8 + (frame[6] >> 3) * 2
    crc = frame[end:-2]
    return end == len(frame) - 2 or (
        len(crc) == 2 and binascii.crc_hqx(frame[6:end], 0xFFFF) ^ 0xFFFF == int.from_bytes(crc)
    )


GRAMMAR = Grammar(
    header=re.compile(rb"\xbb[\0-\x02].[\0\x01].", re.DOTALL),
    header_bytes=5,
    extent=lambda stream, at: 7 + stream[at + 3] * 256 + stream[at + 4],
    sound=_sound,
)


class M100Dialect:
    """What the 0xBB protocol makes of one configured module, which has one antenna."""

    def __init__(self, settings: M100) -> None:
        self._settings = settings
        self.scanner = FrameScanner(GRAMMAR)
        self._version: str | None = None

    def first(self) -> Sequence[Question]:
        """A multiple poll of before may run for hours."""
        return (self._stop(),)

    def last(self) -> Sequence[Question]:
        """Our own poll may still run."""
        return (self._stop(),)

    def reset(self) -> bytes:
        """There is no such command."""
        return b""

    def who(self) -> Question:
        """The hardware's version."""
        return _question(WHO, b"\0", timeout_s=HEARTBEAT_TIMEOUT_S)

    def met(self) -> tuple[str | None, Sequence[Question]]:
        """The version, and the power in 1/100 dBm."""
        power_dbm = self._settings.power_dbm
        return self._version, () if power_dbm is None else (_question(POWER, (power_dbm * 100).to_bytes(2)),)

    def round(self) -> Sequence[Look]:
        """A few polls; each answers with its tags or with error 15."""
        polls = _question(POLLS, b"\x22" + _POLLS_A_LOOK.to_bytes(2))
        return (Look(None, Question(TAG, polls.frame, quiet_s=_QUIET_S)),)

    def hear(self, frame: bytes) -> Said:
        """A tag, an error, the version, or an acknowledgement."""
        kind, command, content = frame[1], frame[2], frame[5:-2]
        if kind == _QUESTION:  # an echo
            return Said(ERROR)
        if command == ERROR and content:
            trouble = None if content[0] == _NO_TAG else _trouble(content[0])
            return Said(TAG, trouble=trouble, last=False)
        if command == WHO and content:
            self._version = content[1:].decode("ascii", "replace").strip("\0 ") or None
        return Said(command, (self._tag(frame),) if _is_tag(frame) else (), last=command != TAG)

    def _tag(self, frame: bytes) -> TagRead:
        rssi_dbm = float((frame[5] ^ 0x80) - 0x80)
        epc = frame[8 : 8 + (frame[6] >> 3) * 2].hex()
        return TagRead(self._settings.id, self._settings.only_antenna, epc, rssi_dbm)

    def _stop(self) -> Question:
        return _question(STOP, timeout_s=_STOP_TIMEOUT_S)


def _trouble(code: int) -> str:
    return _TROUBLES.get(code, f"error 0x{code:02x}")


def _question(command: int, content: bytes = b"", *, timeout_s: float = REPLY_TIMEOUT_S) -> Question:
    body = bytes((_QUESTION, command)) + len(content).to_bytes(2) + content
    return Question(command, b"\xbb" + body + bytes((sum(body) & 0xFF, 0x7E)), timeout_s)


def m100_driver(settings: M100, tap: Tap = deaf) -> SerialReaderDriver:
    """The driver of one module."""
    return SerialReaderDriver(settings, M100Dialect(settings), tap)


class M100Decoder(SerialReaderDecoder):
    """For `decode` and `replay`."""

    def __init__(self, settings: M100, _options: Mapping[str, str]) -> None:
        super().__init__(M100Dialect(settings))
