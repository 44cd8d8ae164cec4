"""Frames out of a byte stream: found by their header, proved by their checksum, found again behind noise."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

NOISE_SHOWN = 64
"""Bytes of a noise that are kept to be shown."""
NOISE_LIMIT = 4096
"""A longer noise is told in pieces of this size."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """How one protocol's frames begin, how long they are, and what proves them whole.

    `header` matches whatever may begin a frame, looking at `header_bytes` bytes at most (DOTALL); `extent` is
    the whole length in bytes of the frame whose header begins at the given place; `sound` verifies checksum
    and structure of that many bytes.
    """

    header: re.Pattern[bytes]
    header_bytes: int
    extent: Callable[[bytes, int], int]
    sound: Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that are no frame: `length` of them, the first NOISE_SHOWN as `raw`.

    `broken` when they begin as a frame does that fails its checksum or its structure.
    """

    raw: bytes
    length: int
    broken: bool

    def __str__(self) -> str:
        return f"{'a broken frame' if self.broken else 'no frame'}: {shown(self.raw, self.length)}"


def shown(raw: bytes, length: int | None = None) -> str:
    """The first NOISE_SHOWN bytes in hex; `length` where `raw` is not all."""
    more = (len(raw) if length is None else length) > min(len(raw), NOISE_SHOWN)
    return raw[:NOISE_SHOWN].hex() + ("…" if more else "")


class FrameScanner:
    """Bytes to frames. Pure: however the bytes are cut, the result is the same; it never raises.

    What may begin a frame and fails its checksum costs its first byte only: a good frame inside or behind it
    is found. A noise is told when a frame, a broken frame or the end follows it.
    """

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._rest = b""
        self._noise, self._noise_length, self._broken = bytearray(), 0, False
        self._passed = 0
        self._broken_until = 0
        self.skipped_bytes = 0

    @property
    def waiting(self) -> bool:
        """Whether bytes wait for the rest of a frame."""
        return bool(self._rest)

    def feed(self, chunk: bytes) -> list[bytes | Noise]:
        """The frames that `chunk` completes, and noise, in order. At most one frame's beginning waits."""
        return self._scan(chunk, final=False)

    def end(self) -> list[bytes | Noise]:
        """The line has gone quiet: what waits will not be completed. Frames behind it are found now."""
        found = self._scan(b"", final=True)
        self._tell_noise(found)
        self._broken_until = self._passed
        return found

    def _scan(self, chunk: bytes, *, final: bool) -> list[bytes | Noise]:
        grammar, buffer, at = self._grammar, self._rest + chunk, 0
        search, extent, sound = grammar.header.search, grammar.extent, grammar.sound
        size, found = len(buffer), list[bytes | Noise]()
        decidable = size - grammar.header_bytes + 1
        while at < decidable:
            match = search(buffer, at)
            start = decidable if match is None else min(match.start(), decidable)
            if start > at:
                self._skip(buffer, at, start, found)
                at = start
                continue
            stop = at + extent(buffer, at)
            if stop > size and not final:
                break
            frame = buffer[at:stop]
            if stop <= size and sound(frame):
                if self._noise_length:
                    self._tell_noise(found)
                found.append(frame)
                at = stop
                continue
            self._begin_broken(self._passed + at, self._passed + stop, found)
            self._skip(buffer, at, at + 1, found)
            at += 1
        if final and at < size:
            self._skip(buffer, at, size, found)
            at = size
        self._passed += at
        self._rest = buffer[at:]
        return found

    def _begin_broken(self, start: int, stop: int, found: list[bytes | Noise]) -> None:
        """A broken frame is one noise, however many false beginnings lie in it."""
        if start >= self._broken_until:
            self._tell_noise(found)
            self._broken, self._broken_until = True, stop

    def _skip(self, buffer: bytes, start: int, stop: int, found: list[bytes | Noise]) -> None:
        self.skipped_bytes += stop - start
        while start < stop:
            taken = min(stop - start, NOISE_LIMIT - self._noise_length)
            self._noise += buffer[start : min(start + taken, start + NOISE_SHOWN - len(self._noise))]
            self._noise_length += taken
            start += taken
            if self._noise_length == NOISE_LIMIT:
                self._tell_noise(found)

    def _tell_noise(self, found: list[bytes | Noise]) -> None:
        if self._noise_length:
            found.append(Noise(bytes(self._noise), self._noise_length, self._broken))
        self._noise.clear()
        self._noise_length, self._broken = 0, False
