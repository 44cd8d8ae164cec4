"""RFID readers of the UHFReader18 and UHFReader288 families (Chafon and others) on a serial line.

Protocol facts (UHFReader18 manual V2.0, UHFReader288MP manual V1.14): `LEN ADR CMD STATUS … CRC`, LEN
counts the bytes behind it, CRC-16/MCRF4XX little-endian. There is no start byte, so a frame is found by its
CRC alone. Inventory (01) of the 18: `N {LEN EPC}…`; of the 288: `ANTENNA N {LEN EPC RSSI}…`, the antenna as
a bit mask and RSSI in the maker's own steps, whose dBm no manual gives. In scan mode a reader pushes tags
by itself (EE).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from edge_agent.config.devices import UhfReader18
from edge_agent.drivers.frames import FrameScanner, Grammar, shown
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

Layout = Literal[18, 288]
Tags = tuple[tuple[int | None, bytes], ...]
"""Antenna number (None where the frame names several, _ITS_ONLY where readers have one) and EPC."""
_ITS_ONLY = 0
Parse = Callable[[bytes, Layout], Tags | None]
"""The tags in a reply's content; None when it does not have that layout."""

INVENTORY, ONE_TAG, WHO, POWER, PUSHED = 0x01, 0x0F, 0x21, 0x2F, 0xEE
_MORE_FOLLOWS = 0x03
_TAGS_WITH = (0x01, 0x02, _MORE_FOLLOWS, 0x04)
"""Done, out of time, more follows, out of memory: what has been inventoried comes with each of them."""
_HEARTBEAT = b"V\0\0\0\0\0"
_EVERYONE = 0xFF
_TROUBLES = {
    0xF8: "antenna is missing",
    0xF9: "the command failed",
    0xFD: "the reader takes the command's length for wrong: set `model`",
    0xFE: "the reader does not know the command",
    0xFF: "the reader refuses a parameter: set `model`",
}
_NAMES = {0x09: "UHFReader18", 0x0C: "UHFReader288M", 0x20: "UHFReader288MP"}
_LAYOUT_18 = frozenset({0x03, 0x08, 0x09})
"""Type bytes of readers with the 18's layout: the 18 itself, and the RRU9803M desktop readers."""
_SCAN_100MS = 3
_LAYOUTS: tuple[Layout, ...] = (18, 288)
_TID_BYTES = 12
_EPC_BYTES = range(2, 63, 2)
"""What a Gen2 tag can hold: 1 to 31 words."""

_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _sound(frame: bytes) -> bool:
    """CRC-16/MCRF4XX is the mirror image of the CRC that binascii knows; over a whole frame it leaves 0."""
    return frame == _HEARTBEAT or binascii.crc_hqx(frame.translate(_MIRRORED), 0xFFFF) == 0


def _extent(stream: bytes, at: int) -> int:
    # 0x56 is a length, too; but no frame of that length has command 0 with status 0.
    return len(_HEARTBEAT) if stream.startswith(_HEARTBEAT, at) else stream[at] + 1


GRAMMAR = Grammar(
    header=re.compile(
        rb"V\0{5}"
        rb"|[\x05-\xff].(?:[\x01-\x1b\x21-\x7f\x92\x93\xee][\x00-\x28\xf8-\xff]|\0\xfe)"
        rb"|\x04.[\x01\x0f\x21-\x7f\x92\x93]",  # a question without parameters, echoed
        re.DOTALL,
    ),
    header_bytes=6,
    extent=_extent,
    sound=_sound,
)


class UhfReader18Dialect:
    """What the protocol makes of one configured reader; with `model: auto` the reader's type byte decides.

    Where it is not known yet, the one layout that a reply fits does; a reply that fits both is not read.
    """

    def __init__(self, settings: UhfReader18) -> None:
        self._settings = settings
        self.scanner = FrameScanner(GRAMMAR)
        self._layout: Layout | None = None if settings.model == "auto" else settings.model
        self._kind: str | None = None
        self._power_dbm: int | None = None
        self._scan_s = 1.0

    def first(self) -> Sequence[Question]:
        """An inventory of before ends by itself."""
        return ()

    def last(self) -> Sequence[Question]:
        """Each inventory of ours ends by itself."""
        return ()

    def reset(self) -> bytes:
        """There is no such command."""
        return b""

    def who(self) -> Question:
        """Type, firmware, power and longest inventory; answered in every mode of work."""
        return self._question(WHO, timeout_s=HEARTBEAT_TIMEOUT_S)

    def met(self) -> tuple[str | None, Sequence[Question]]:
        """The type and firmware; the reader keeps its power in flash, so it is written only to change it."""
        power_dbm = self._settings.power_dbm
        if power_dbm is None or power_dbm == self._power_dbm:
            return self._kind, ()
        return self._kind, (self._question(POWER, power_dbm),)

    def round(self) -> Sequence[Look]:
        """The 288 inventories antenna by antenna; the 18 has one."""
        if self._layout != 288:
            return (Look(None, self._question(INVENTORY, timeout_s=self._scan_s + REPLY_TIMEOUT_S / 2)),)
        antennas = self._settings.numbers() or (1,)
        return [Look(antenna, self._inventory_of(antenna)) for antenna in antennas]

    def hear(self, frame: bytes) -> Said:
        """Tags of an inventory or pushed ones, an error, or who the reader is."""
        if frame == _HEARTBEAT or len(frame) < 6:
            return Said(PUSHED)
        command, status = frame[2], frame[3]
        if status >= 0xF8:
            return Said(command or INVENTORY, trouble=_TROUBLES.get(status))
        if command in (INVENTORY, ONE_TAG):
            return self._tags(frame, _inventoried) if status in _TAGS_WITH else Said(command)
        if command == PUSHED:
            return self._tags(frame, _pushed) if status == 0 else Said(PUSHED)
        if command == WHO and status == 0 and len(frame) >= 14:
            self._met(frame)
        return Said(command)

    def _tags(self, frame: bytes, parse: Parse) -> Said:
        last = frame[3] != _MORE_FOLLOWS
        known = None if self._layout is None else parse(frame[4:-2], self._layout)
        tags = self._unknown_layout(frame, parse) if known is None else known
        if isinstance(tags, str):
            # An echoed question may look like a reply; only a question is sent to everyone's address.
            return Said(frame[2], last=last, fault=None if frame[1] == _EVERYONE else tags)
        return Said(frame[2], tuple(self._read(antenna, epc) for antenna, epc in tags), last=last)

    def _unknown_layout(self, frame: bytes, parse: Parse) -> Tags | str:
        """The tags in the one layout that fits, or why there are none."""
        layouts = _LAYOUTS if self._settings.model == "auto" else (self._settings.model,)
        parsed = {layout: parse(frame[4:-2], layout) for layout in layouts}
        fitting = {layout: tags for layout, tags in parsed.items() if tags is not None}
        if not fitting:
            return f"a reply that holds no tags: {shown(frame)}"
        if len(set(fitting.values())) > 1:
            return f"reads as a reply of the 18 and of the 288, set `model`: {shown(frame)}"
        if len(fitting) == 1:
            self._layout = self._layout or next(iter(fitting))
        return next(iter(fitting.values()))

    def _read(self, antenna: int | None, epc: bytes) -> TagRead:
        number = self._settings.only_antenna if antenna == _ITS_ONLY else antenna
        return TagRead(self._settings.id, number, epc.hex(), None)

    def _met(self, frame: bytes) -> None:
        major, minor, kind = frame[4], frame[5], frame[6]
        self._kind = f"{_NAMES.get(kind, f'type 0x{kind:02x}')} {major}.{minor}"
        self._power_dbm = frame[10]
        if self._settings.model == "auto":
            self._layout = 18 if kind in _LAYOUT_18 else 288
        if self._layout == 18:
            self._scan_s = frame[11] / 10

    def _inventory_of(self, antenna: int) -> Question:
        # Q 4, session 0, no mask, target A, one antenna, at most 0.3 s.
        content = (4, 0, 1, 0, 0, 0, 0, 0x80 | antenna - 1, _SCAN_100MS)
        return self._question(INVENTORY, *content)

    def _question(self, command: int, *content: int, timeout_s: float = REPLY_TIMEOUT_S) -> Question:
        body = bytes((4 + len(content), self._settings.address, command, *content))
        crc = binascii.crc_hqx(body.translate(_MIRRORED), 0xFFFF)
        return Question(command, body + crc.to_bytes(2).translate(_MIRRORED), timeout_s)


def _inventoried(content: bytes, layout: Layout) -> Tags | None:
    """The content of an inventory's reply; the whole of it must be used up."""
    if not content:
        return ()
    if layout == 18:
        return _listed(content, 0, _ITS_ONLY, strength_bytes=0)
    return _listed(content, 1, _antenna(content[0]), strength_bytes=1) if len(content) > 1 else None


def _listed(content: bytes, at: int, antenna: int | None, *, strength_bytes: int) -> Tags | None:
    tags = list[tuple[int | None, bytes]]()
    count, at = content[at], at + 1
    for _ in range(count):
        if at >= len(content):
            return None
        size, start = content[at], at + 1
        at = start + (size & 0x7F) + strength_bytes
        # The 288 may send a tag's TID behind its EPC and says so in the length's bit 7 (FastID).
        epc_bytes = (size & 0x7F) - _TID_BYTES if size & 0x80 and strength_bytes else size
        if epc_bytes not in _EPC_BYTES:
            return None
        tags.append((antenna, content[start : start + epc_bytes]))
    return tuple(tags) if at == len(content) else None


def _pushed(content: bytes, layout: Layout) -> Tags | None:
    """The content of a pushed tag: the 18 sends whole words, the 288 antenna, length, EPC and RSSI."""
    if layout == 18:
        return ((_ITS_ONLY, content),) if len(content) in _EPC_BYTES else None
    if len(content) - 3 not in _EPC_BYTES or content[1] != len(content) - 3:
        return None
    return ((_antenna(content[0]), content[2:-1]),)


def _antenna(mask: int) -> int | None:
    """The number of the one antenna in a bit mask; None for none and for several."""
    return mask.bit_length() if mask.bit_count() == 1 else None


def uhfreader18_driver(settings: UhfReader18, tap: Tap = deaf) -> SerialReaderDriver:
    """The driver of one reader."""
    return SerialReaderDriver(settings, UhfReader18Dialect(settings), tap)


class UhfReader18Decoder(SerialReaderDecoder):
    """For `decode` and `replay`."""

    def __init__(self, settings: UhfReader18, _options: Mapping[str, str]) -> None:
        super().__init__(UhfReader18Dialect(settings))
