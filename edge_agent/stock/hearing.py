"""How loud a tag is at one place, and how much louder it must be at another to have moved there.

The rule is EdgeX's (app-rfid-llrp-inventory, tagprocessor.go and mobilityprofile.go, Apache-2.0): the last 20
strengths at each place; a tag moves when it was read twice elsewhere and is louder there than at its place
by an offset, which falls from `threshold_db` on once its place has not heard it for the holdoff: the other
place is louder, or its reads are newer. What is ours: a reader hops, and its channels differ by more (2.6 dB)
than the reads of one (0.7 dB), so strengths are averaged in each channel first and then over the channels
that both places have heard it on. And who tells no strength is as loud everywhere: only newer reads count.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

SAMPLES = 20
"""So many strengths of a tag are kept at each place."""
MOVED_READS = 2
"""So often a tag must have been read at a place before it can have moved there."""
_CHANNELS = 63
"""Channels told apart: numbers below, and frequencies on the usual grids (200 to 750 kHz), differ by it."""
_CHANNELS_MOST_DB = 6.0
"""Averages by channel and those over all reads differ by less."""
_STEPS_PER_DB = 8
_QUIETEST_DBM, _LOUDEST_DBM = -128.0, -1.0
"""What is not between them is no strength of a tag, and counts as the quietest."""


@dataclass(frozen=True, slots=True)
class Mobility:
    """How readily tags move. `slope_db_per_ms` is negative, a newer place gaining on an older one."""

    slope_db_per_ms: float
    threshold_db: float
    holdoff_ms: float

    def offset_db(self, age_ms: float) -> float:
        """By how much another place must be louder when the tag's own heard it last so long ago."""
        return min(self.threshold_db, self.slope_db_per_ms * (age_ms - self.holdoff_ms) + self.threshold_db)


RETAIL_GARMENT = Mobility(-0.0005, 6.0, 60_000.0)
"""EdgeX's profile for shops."""


@dataclass(slots=True)
class Hearing:
    """The last reads of one tag at one place: 2 bytes for each strength, so that a store's tags fit."""

    facing: str
    seen_s: float
    reads: int = 0
    """Not counted beyond MOVED_READS."""
    _samples: array[int] | None = None
    """10 bits of strength in 1/8 dB, then 6 bits of channel, 0 where none was told."""
    _next: int = 0

    def note(self, rssi_dbm: float | None, channel: int | None, mono_s: float) -> None:
        """One read. `channel` is any number that tells the channels of the reader apart."""
        self.seen_s = mono_s
        if self.reads < MOVED_READS:
            self.reads += 1
        if rssi_dbm is None:
            return
        level = (
            int((rssi_dbm - _QUIETEST_DBM) * _STEPS_PER_DB)
            if _QUIETEST_DBM <= rssi_dbm <= _LOUDEST_DBM
            else 0
        )
        sample = level << 6 | (0 if channel is None else channel % _CHANNELS + 1)
        if self._samples is None:
            self._samples = array("H", (sample,))
        elif len(self._samples) < SAMPLES:
            self._samples.append(sample)
        else:
            self._samples[self._next] = sample
            self._next = (self._next + 1) % SAMPLES

    def is_louder(self, than: Hearing, *, by_db: float) -> bool:
        """Whether the tag is that much louder here."""
        mine, other = self._samples, than._samples
        if mine and other:
            # Most reads are of a tag that is far from moving: for those the plain means do, in C.
            plain_db = (sum(mine) / len(mine) - sum(other) / len(other)) / (64 * _STEPS_PER_DB)
            if plain_db + _CHANNELS_MOST_DB <= by_db:
                return False
        return self.louder_db(than) > by_db

    def louder_db(self, than: Hearing) -> float:
        """How much louder the tag is here; 0 when one of both was never told a strength."""
        here, there = self._by_channel(), than._by_channel()
        if not here or not there:
            return 0.0
        shared = here.keys() & there.keys()
        if shared:
            return sum(here[channel] - there[channel] for channel in shared) / len(shared)
        return sum(here.values()) / len(here) - sum(there.values()) / len(there)

    def _by_channel(self) -> dict[int, float]:
        """Channel to mean strength in dBm."""
        sums: dict[int, list[int]] = {}
        for sample in self._samples or ():
            tally = sums.setdefault(sample & 63, [0, 0])
            tally[0] += sample >> 6
            tally[1] += 1
        return {
            channel: level / count / _STEPS_PER_DB + _QUIETEST_DBM for channel, (level, count) in sums.items()
        }
