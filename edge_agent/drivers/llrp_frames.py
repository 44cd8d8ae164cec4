"""Messages in a stream of LLRP bytes, by their header and the parameters that fill them exactly.

Protocol facts (EPCglobal LLRP 1.0.1, binary encoding): a message is `rsvd:3 version:3 type:10`, `length:32`,
`id:32`, all big-endian, the length counting the header; behind some fixed bytes of its type follow
parameters, `rsvd:6 type:10`, `length:16`. The reserved bits are 0, so no message's header passes for a
parameter: a length that reaches into the next message is found out there.
"""

from __future__ import annotations

import re

from edge_agent.drivers.frames import FrameScanner, Grammar

HEADER_BYTES = 10
MESSAGE_LIMIT = 256 * 1024
"""Longer messages are none: a reader's capabilities take a few KiB, a tag in a report about 40 bytes."""

_CUSTOM = 1023
_PARAMETER_BYTES = 4
_BARE = dict.fromkeys((14, 26, 44, 60, 62, 64, 72, 46), 0)
"""Types that are nothing but their header."""
_SPEC_ID = dict.fromkeys((21, 22, 23, 24, 25, 41, 42, 43), 4)
"""Types that are a header and the number of a spec."""
_EXACT = {**_BARE, **_SPEC_ID, 47: 1}
_FIXED = {1: 1, 2: 7, 3: 1, 45: 8, 56: 2, _CUSTOM: 5} | dict.fromkeys(
    (4, 11, 12, 13, 20, 30, 31, 32, 33, 34, 35, 36, 40, 50, 51, 52, 53, 54, 55, 57, 61, 63, 100), 0
)
"""The other types: how many fixed bytes come before the parameters."""

_TAG_REPORT = 240
_TV_BYTES = dict(enumerate((3, 9, 9, 9, 9, 2, 3, 3, 5, 3, 3, 3, 13, 3, 3, 5, 3, 5, 3, 3), start=1))
"""Parameters without a length of their own (first byte 0x80 + type), with their size, to LLRP 1.1."""

_LOW_TYPES = b"".join(re.escape(bytes([number])) for number in sorted({**_EXACT, **_FIXED}) if number < 256)
_HEADER = re.compile(
    b"(?:[\\x04\\x08\\x0c][" + _LOW_TYPES + b"]|[\\x07\\x0b\\x0f]\\xff)\\x00[\\x00-\\x03]..", re.DOTALL
)
"""Versions 1 to 3 (LLRP 1.0.1, 1.1 and 2.0), a known type, a length below MESSAGE_LIMIT."""


def header(message_type: int, body: bytes, *, message_id: int = 0) -> bytes:
    """The header (version 1) that belongs before a bare body."""
    fields = ((1 << 10 | message_type, 2), (HEADER_BYTES + len(body), 4), (message_id, 4))
    return b"".join(value.to_bytes(size, "big") for value, size in fields)


def message_framer() -> FrameScanner:
    """A pure framer of LLRP messages."""
    return FrameScanner(Grammar(_HEADER, HEADER_BYTES, _extent, _is_sound))


def _extent(buffer: bytes, at: int) -> int:
    """The length in the header; only the header's where the bytes at hand already disprove that."""
    length = int.from_bytes(buffer[at + 2 : at + 6], "big")
    return length if _fits(buffer[at : at + length], length) else HEADER_BYTES


def _is_sound(message: bytes) -> bool:
    length = int.from_bytes(message[2:6], "big")
    # `_extent` has looked at every byte, unless it gave the length of a header because nothing fits.
    return len(message) == length and (length > HEADER_BYTES or _fits(message, length))


def _fits(message: bytes, length: int) -> bool:
    """Whether a message of this length may begin with these bytes, or be them."""
    if length < HEADER_BYTES:
        return False
    message_type = int.from_bytes(message[:2], "big") & 0x3FF
    exact = _EXACT.get(message_type)
    if exact is not None:
        return length == HEADER_BYTES + exact
    start = HEADER_BYTES + _FIXED[message_type]
    if message_type == _CUSTOM:
        return length >= start  # what fills it is its vendor's own
    return start <= length and _filled(message, start, length, deep=True)


def _filled(message: bytes, at: int, end: int, *, deep: bool) -> bool:
    """Whether parameters fill the message from `at` to `end` exactly, as far as its bytes are at hand."""
    known = min(end, len(message))
    while at < known:
        first = message[at]
        if first & 0x80:
            size = _TV_BYTES.get(first & 0x7F, 0)
        elif first > 0x03:
            return False
        elif at + _PARAMETER_BYTES > known:
            return end - at >= _PARAMETER_BYTES
        else:
            size = message[at + 2] << 8 | message[at + 3]
            if size < _PARAMETER_BYTES:
                return False
            is_report = deep and message[at + 1] == _TAG_REPORT and not first
            if is_report and not _filled(message, at + _PARAMETER_BYTES, at + size, deep=False):
                return False
        if not size:
            return False
        at += size
    return at == end or (at < end and known < end)
