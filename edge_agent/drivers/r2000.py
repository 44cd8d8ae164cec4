"""RFID readers around an Impinj R2000 that speak the serial protocol of 0xA0 frames.

Protocol facts (UHF RFID Reader Serial Interface Protocol; captures of several makers): `A0 LEN ADDR CMD …
CS`, LEN counts the bytes behind it, CS makes the sum of all bytes 0. A tag is `FreqAnt PC EPC RSSI`:
antenna in the lower two bits, frequency index above them, EPC as long as PC says, RSSI in dBm + 129;
firmwares that report the phase put two bytes behind it. The end of an inventory has LEN 0x0A, an
acknowledgement or error LEN 4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from edge_agent.config.devices import R2000
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

RESET, FIRMWARE, SELECT_ANTENNA, POWER_UNTIL_OFF, INVENTORY = 0x70, 0x72, 0x74, 0x66, 0x89
_INVENTORIES = frozenset({0x89, 0x8A, 0x8B})
_ACKNOWLEDGED = frozenset({SELECT_ANTENNA, POWER_UNTIL_OFF})
_DONE, _NO_TAG = 0x10, 0x36
_TROUBLES = {
    0x11: "the command failed",
    0x20: "the reader's processor failed to reset",
    0x21: "no carrier: the transmitter cannot be switched on",
    0x22: "antenna is missing",
    0x25: "the output power cannot be set",
    0x31: "the inventory failed",
    0x47: "the reader has no such antenna",
    0x48: "the output power is out of range",
    0x52: "the frequency synthesiser does not lock",
    0x53: "the RF chip does not answer",
    0x54: "the output power is not reached",
    0x56: "the spectrum is out of the rules",
    0x57: "the output power is too low",
}

_AT_ONCE = 0xFF
"""Repeat count: one inventory, as fast as it goes, for changing antennas quickly."""


def _fits(frame: bytes) -> bool:
    """Whether the sum is right, and a tag as long as its PC says."""
    if sum(frame) & 0xFF:
        return False
    return len(frame) < 9 or frame[1] == 0x0A or frame[3] not in _INVENTORIES or _epc_fits(frame)


def _epc_fits(frame: bytes) -> bool:
    return len(frame) - 9 - (frame[5] >> 3) * 2 in (0, 2)


GRAMMAR = Grammar(
    # The longest tag has 62 bytes of EPC and 2 of phase.
    header=re.compile(
        rb"\xa0(?:[\x04-\x47].[\x89-\x8b]|[\x03-\xff].[\x60-\x88\x8c-\x9f\xb0-\xb4])", re.DOTALL
    ),
    header_bytes=4,
    extent=lambda stream, at: stream[at + 1] + 2,
    sound=_fits,
)


class R2000Dialect:
    """The 0xA0 protocol for one configured reader: each antenna is selected, then inventoried."""

    def __init__(self, settings: R2000) -> None:
        self._settings = settings
        self.scanner = FrameScanner(GRAMMAR)
        self._firmware: str | None = None

    def first(self) -> Sequence[Question]:
        """An inventory of before ends by itself."""
        return ()

    def last(self) -> Sequence[Question]:
        """Each inventory of ours ends by itself."""
        return ()

    def who(self) -> Question:
        """The firmware's version."""
        return self._question(FIRMWARE, timeout_s=HEARTBEAT_TIMEOUT_S)

    def met(self) -> tuple[str | None, Sequence[Question]]:
        """The firmware; the power is set until the reader is switched off, which spares its flash."""
        power_dbm = self._settings.power_dbm
        return self._firmware, () if power_dbm is None else (self._question(POWER_UNTIL_OFF, power_dbm),)

    def reset(self) -> bytes:
        """Restart of the reader; it is not answered."""
        return self._question(RESET).frame

    def round(self) -> Sequence[Look]:
        """Each configured antenna, the first one when none is."""
        return [
            Look(antenna, self._question(INVENTORY, _AT_ONCE), self._question(SELECT_ANTENNA, antenna - 1))
            for antenna in self._settings.numbers() or (1,)
        ]

    def hear(self, frame: bytes) -> Said:
        """A tag, the end of an inventory, an acknowledgement, an error, or the firmware."""
        command = frame[3]
        if command in _INVENTORIES:
            return self._inventory(command, frame)
        if command == FIRMWARE and len(frame) == 7:
            self._firmware = f"R2000 {frame[4]}.{frame[5]}"
        elif command in _ACKNOWLEDGED and len(frame) == 6:
            return Said(command, trouble=_trouble(frame[4]))
        return Said(command)

    def _inventory(self, command: int, frame: bytes) -> Said:
        if len(frame) == 6:
            return Said(command, trouble=_trouble(frame[4]))
        if len(frame) == 7:  # fast switching: antenna and error, and the inventory goes on
            return Said(command, trouble=f"antenna {frame[4] + 1}: {_trouble(frame[5])}", last=False)
        if len(frame) == 12:
            return Said(command)
        return Said(command, (self._tag(frame),) if len(frame) > 9 else (), last=False)

    def _tag(self, frame: bytes) -> TagRead:
        end = 7 + (frame[5] >> 3) * 2
        antenna, strength = (frame[4] & 0x03) + 1, frame[end]
        if self._settings.high_antenna_in_rssi:
            antenna, strength = antenna + (strength >> 7) * 4, strength & 0x7F
        rssi_dbm = float(strength - 129) if strength < 0x80 else None
        return TagRead(self._settings.id, antenna, frame[7:end].hex(), rssi_dbm, rf_channel=frame[4] >> 2)

    def _question(self, command: int, *content: int, timeout_s: float = REPLY_TIMEOUT_S) -> Question:
        body = bytes((0xA0, 3 + len(content), self._settings.address, command, *content))
        return Question(command, body + bytes((-sum(body) & 0xFF,)), timeout_s)


def _trouble(code: int) -> str | None:
    return None if code in (_DONE, _NO_TAG) else _TROUBLES.get(code, f"error 0x{code:02x}")


def r2000_driver(settings: R2000, tap: Tap = deaf) -> SerialReaderDriver:
    """The driver of one reader."""
    return SerialReaderDriver(settings, R2000Dialect(settings), tap)


class R2000Decoder(SerialReaderDecoder):
    """For `decode` and `replay`."""

    def __init__(self, settings: R2000, _options: Mapping[str, str]) -> None:
        super().__init__(R2000Dialect(settings))
