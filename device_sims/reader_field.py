"""What a simulated serial RFID reader sees, and what may be wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TagInView:
    """One tag that an antenna hears now: its EPC (2 to 62 bytes, an even number) and its strength in dBm, on
    a hop channel (from 0)."""

    epc: bytes
    rssi_dbm: int = -60
    channel: int = 0

    @property
    def pc(self) -> bytes:
        """The protocol control word that announces the EPC's length in words (EPC Gen2, 6.3.2.1.2.2)."""
        return (len(self.epc) // 2 << 11).to_bytes(2)


Field = Callable[[int], Sequence[TagInView]]
"""Antenna number, from 1, to the tags that one inventory over it finds."""


@dataclass(slots=True)
class ReaderFaults:
    """What is wrong with a reader itself: its line's faults are `wire.py`'s. All may change at any time."""

    echo: bool = False
    noise: bytes = b""
    missing_antennas: set[int] = field(default_factory=set)

    def spoil(self, asked: bytes, frames: Sequence[bytes]) -> bytes:
        """What a reader that echoes, or sends `noise` before each frame, says to a question."""
        return (asked if self.echo else b"") + b"".join(self.noise + frame for frame in frames)


def spoiled_checks(said: bytes, *, size: Callable[[bytes], int], check: int) -> bytes:
    """`said` with the check byte of every frame wrong; `size` tells a frame's from its beginning, `check` is
    where its check byte is, counted from its end."""
    spoilt = b""
    while said:
        frame, said = said[: size(said)], said[size(said) :]
        spoilt += frame[:check] + bytes([frame[check] ^ 0x55]) + frame[len(frame) + check + 1 :]
    return spoilt
