"""Bytes of Toledo 8217 and NCI SCP-01 scales to answers; no I/O here.

Protocol facts: Mettler-Toledo "DIVA Service Manual" §6.1.1 (NCI) and §6.1.3 (8217), Rice Lake "BenchPro"
manual p. 30, Weigh-Tronix "SCP-01" 8408-14788-01, Ohaus "Aviator 7000" service manual p. 47-49. Both have
7 data bits; ptys and port servers deliver the parity bit as bit 7, which is no part of the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_agent.drivers.mass import grams
from edge_agent.readings import Flag

NOISE_LIMIT = 256
"""The most bytes that are called one piece of noise."""

_STX, _ETX, _LF, _CR, _ASKS = 0x02, 0x03, 0x0A, 0x0D, 0x3F
_SEVEN_BITS = bytes(byte & 0x7F for byte in range(256))
_LONGEST_8217 = 16
_LONGEST_NCI = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply about the plate: the amounts on the display with their units, or flags that say why none.

    An 8217 does not say its unit (None). Pounds and ounces are two amounts.
    """

    flags: tuple[Flag, ...] = ()
    amounts: tuple[tuple[str, str | None], ...] = ()

    def weight_g(self, unsaid: str | None = None) -> float | None:
        """The weight in grams, in the unit `unsaid` where the scale names none; None when it is no mass."""
        parts = [grams(value, unit or unsaid or "") for value, unit in self.amounts]
        known = [part for part in parts if part is not None]
        return sum(known) if parts and len(known) == len(parts) else None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A reply that says nothing about the plate: a confidence test or an echo begins."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes (bit 7 cleared) that are no reply."""

    line: bytes


Item = Answer | Acknowledged | Noise


class _Dropped:
    """Noise as it gathers, cut into pieces in a way that does not depend on how the bytes arrived."""

    def __init__(self) -> None:
        self._gathered = bytearray()
        self.skipped_bytes = 0

    def add(self, run: bytes) -> list[Item]:
        found: list[Item] = []
        for byte in run:
            self._gathered.append(byte)
            if byte in (_CR, _LF) or len(self._gathered) == NOISE_LIMIT:
                found += self.end()
        return found

    def end(self) -> list[Item]:
        line = bytes(self._gathered).strip(b"\r\n ")
        self._gathered.clear()
        if not line:
            return []
        self.skipped_bytes += len(line)
        return [Noise(line)]


class Toledo8217Framer:
    """`STX weight [N] CR` and `STX ? status CR`. Pure: any split gives the same; it never raises.

    Behind `STX ?` exactly one byte follows, whatever it is: STX and CR are legal status bytes.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._dropped = _Dropped()

    @property
    def skipped_bytes(self) -> int:
        """Bytes that were no part of a reply, blanks and line ends apart."""
        return self._dropped.skipped_bytes

    def feed(self, chunk: bytes) -> list[Item]:
        """What `chunk` completes, in order. At most the beginning of one reply waits."""
        waiting = self._rest + chunk.translate(_SEVEN_BITS)
        found: list[Item] = []
        at = 0
        while at < len(waiting):
            start = waiting.find(_STX, at)
            found += self._dropped.add(waiting[at : start if start >= 0 else len(waiting)])
            if start < 0:
                at = len(waiting)
                break
            length = _length_8217(waiting, start)
            if length is None:
                at = start
                break
            if length:
                found += self._dropped.end()
                found.append(_read_8217(waiting[start + 1 : start + length - 1]))
            else:
                length = 1
                found += self._dropped.add(waiting[start : start + 1])
            at = start + length
        self._rest = waiting[at:]
        return found

    def abandon(self) -> list[Item]:
        """Give up what waits for its end."""
        rest, self._rest = self._rest, b""
        return [*self._dropped.add(rest), *self._dropped.end()]


_WEIGHT_8217 = re.compile(rb" *(\d{1,4}\.\d{1,4})(N?)")


def _length_8217(waiting: bytes, start: int) -> int | None:
    """The length of the reply that begins at `start`; 0 when none does, None when more bytes must tell."""
    if len(waiting) - start < 2:
        return None
    if waiting[start + 1] == _ASKS:
        if len(waiting) - start < 4:
            return None
        return 4 if waiting[start + 3] == _CR else 0
    limit = start + _LONGEST_8217
    end = waiting.find(_CR, start, limit)
    if waiting.find(_STX, start + 1, end if end >= 0 else limit) >= 0:
        return 0
    if end < 0:
        return None if len(waiting) < limit else 0
    body = waiting[start + 1 : end]
    return end + 1 - start if body in (b"", b"E") or _WEIGHT_8217.fullmatch(body) else 0


def _read_8217(body: bytes) -> Item:
    if body[:1] == b"?":
        return Answer(_status_8217(body[1]))
    match = _WEIGHT_8217.fullmatch(body)
    if match is None:
        return Acknowledged()
    return Answer(("net",) if match[2] else (), ((match[1].decode(), None),))


def _status_8217(status: int) -> tuple[Flag, ...]:
    """Flags of a status byte.

    Only bits 0-2 mean the same everywhere. Bit 6 is "bad command" in the 8217's table, always 1 in its
    sister's (DIVA §6.1.4), and bits 5 and 6 are always 1 at Rice Lake: net is believed only where bit 6 is
    clear, a bad command only where nothing else explains the missing weight.
    """
    moving, over, under = status & 1, status & 2, status & 4
    net, refused = status & 0x60 == 0x20, status & 0x67 == 0x40
    present: dict[Flag, object] = {
        "over": over,
        "under": under,
        "motion": moving,
        "net": net,
        "zero": status & 0x10,
        "error": refused,
    }
    return tuple(flag for flag, is_set in present.items() if is_set)


class NciFramer:
    """`LF weight CR LF [S] status CR ETX`, or the status alone. Pure, as the other framer."""

    def __init__(self) -> None:
        self._rest = b""
        self._dropped = _Dropped()
        self._cut_bytes = 0

    @property
    def skipped_bytes(self) -> int:
        """Bytes that were no part of a reply, blanks and line ends apart."""
        return self._dropped.skipped_bytes + self._cut_bytes

    def feed(self, chunk: bytes) -> list[Item]:
        """What `chunk` completes, in order. At most the longest reply's bytes wait for an ETX."""
        *messages, rest = (self._rest + chunk.translate(_SEVEN_BITS)).split(bytes([_ETX]))
        found: list[Item] = []
        for message in messages:
            found += self._read(self._end_of(message))
        self._rest = self._end_of(rest)
        return found

    def abandon(self) -> list[Item]:
        """Give up what waits for its end."""
        rest, self._rest = self._rest, b""
        return [*self._dropped.add(rest), *self._dropped.end()]

    def _end_of(self, message: bytes) -> bytes:
        self._cut_bytes += max(0, len(message) - _LONGEST_NCI)
        return message[-_LONGEST_NCI:]

    def _read(self, message: bytes) -> list[Item]:
        match = _NCI.search(message)
        before = message if match is None else message[: match.start()]
        found = [*self._dropped.add(before), *self._dropped.end()]
        return found if match is None else [*found, _read_nci(match)]


# In every status byte bits 4 and 5 are 1; bit 6 says that another byte follows, in all but the first.
_NCI = re.compile(
    rb"(?:\n(?P<shown>[ -~]{1,24})\r)?"
    rb"\n(?:(?P<refused>\?)|S?(?P<status>[0-?](?:[0-?]|[p-\x7f][0-?]|[p-\x7f][p-\x7f][0-?])))\r\Z"
)
_POUNDS_OUNCES = re.compile(rb" *(-? *\d+) *(LB) +(\d+(?:\.\d*)?) *(OZ) *", re.IGNORECASE)
_AMOUNT = re.compile(rb" *(-? *(?:\d+\.?\d*|\.\d+)) *([A-Z]+) *", re.IGNORECASE)


def _read_nci(match: re.Match[bytes]) -> Answer:
    status = match["status"]
    if status is None:
        return Answer(("error",))
    flags = _status_nci(status)
    if match["shown"] is None or {"over", "under", "motion"} & set(flags):
        # Such a scale sends its status alone: a weight before it is the torso of an earlier reply.
        return Answer(flags)
    amounts = _amounts(match["shown"])
    return Answer(flags if amounts else (*flags, "error"), amounts)


def _amounts(shown: bytes) -> tuple[tuple[str, str], ...]:
    match = _POUNDS_OUNCES.fullmatch(shown) or _AMOUNT.fullmatch(shown)
    if match is None:
        return ()
    parts = [part.decode().replace(" ", "") for part in match.groups()]
    if len(parts) == 4 and parts[0].startswith("-"):
        parts[2] = f"-{parts[2]}"
    return tuple(zip(parts[::2], parts[1::2], strict=True))


def _status_nci(status: bytes) -> tuple[Flag, ...]:
    first, second, third = status[0], status[1], status[2] if len(status) > 2 else 0
    present: dict[Flag, object] = {
        "over": second & 2,
        "under": second & 1,
        "motion": first & 1,
        "net": third & 4,
        "zero": first & 2,
        "error": first & 12 or second & 12 or third & 8,
    }
    return tuple(flag for flag, is_set in present.items() if is_set)
