"""What a simulated serial RFID reader sees, and what may be wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TagInView:
    """One tag that an antenna hears now: its EPC (2 to 62 bytes, an even number) and its strength in dBm."""

    epc: bytes
    rssi_dbm: int = -60

    @property
    def pc(self) -> bytes:
        """The protocol control word that announces the EPC's length in words (EPC Gen2, 6.3.2.1.2.2)."""
        return (len(self.epc) // 2 << 11).to_bytes(2)


Field = Callable[[int], Sequence[TagInView]]
"""Antenna number, from 1, to the tags that one inventory over it finds."""


@dataclass(slots=True)
class ReaderFaults:
    """Faults of a reader and its line; all of them may change at any time."""

    mute: bool = False
    bad_checksum: bool = False
    half_frame: bool = False
    echo: bool = False
    noise: bytes = b""
    missing_antennas: set[int] = field(default_factory=set)

    def spoil(self, asked: bytes, frames: Sequence[bytes]) -> bytes:
        """What arrives at the other end of the line of a question and the frames that answer it."""
        said = b"".join(self.noise + self._spoiled(frame) for frame in frames)
        if self.half_frame:
            said = said[: len(said) // 2]
        return (asked if self.echo else b"") + (b"" if self.mute else said)

    def _spoiled(self, frame: bytes) -> bytes:
        return frame[:-1] + bytes((frame[-1] ^ 0x55,)) if self.bad_checksum else frame
