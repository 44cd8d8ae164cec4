"""Which tags the antennas of one reader hear, and how strongly: the same air for every protocol.

A tag keeps its read rate for life (most are read poorly); its strength at an antenna is a draw that stays, as
is the offset of each channel: hopping and asking again are no independent noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from device_sims.noise import Noise
from device_sims.world import Tag, World

CHANNELS = 6
_MEAN_DBM = -52.0
_CHANNEL_SD_DB = 0.7
_READ_SD_DB = 0.7


@dataclass(frozen=True, slots=True)
class Heard:
    """One read: the tag, the antenna (from 1), the strength, the hop channel (from 0)."""

    epc: str
    antenna: int
    rssi_dbm: float
    channel: int


class Radio:
    """Antenna `n` hangs over the n-th of `facings`; its neighbours are in earshot."""

    def __init__(self, world: World, facings: Sequence[str], noise: Noise, *, seed: str) -> None:
        self._world, self._facings, self._noise = world, list(facings), noise
        self._seed = seed
        self._rng = Random(f"{seed}/radio")
        self._strength: dict[tuple[str, int], float] = {}
        self.off: set[int] = set()
        """Antennas that hear nothing."""

    @property
    def facings(self) -> Sequence[str]:
        """What the antennas hang over, in their order."""
        return self._facings

    def hears(self, elapsed_s: float, antennas: Sequence[int] | None = None) -> Iterator[Heard]:
        """The reads of `elapsed_s` seconds of inventory, over all antennas or over some."""
        rng = self._rng
        for antenna in antennas or range(1, len(self._facings) + 1):
            if antenna in self.off:
                continue
            for place in (antenna - 1, antenna - 2, antenna):
                if not 0 <= place < len(self._facings):
                    continue
                own = place == antenna - 1
                for tag in self._world.tags(self._facings[place]):
                    chance = 1.0 - (1.0 - tag.read_per_s) ** elapsed_s
                    if rng.random() < chance * (1.0 if own else self._noise.cross_read_share / 2):
                        yield self._heard(tag, antenna, 0.0 if own else self._noise.neighbour_loss_db)

    def _heard(self, tag: Tag, antenna: int, loss_db: float) -> Heard:
        channel = self._rng.randrange(CHANNELS)
        channel_db = self._kept(tag, antenna, f"{channel}", _CHANNEL_SD_DB, key=channel + 1)
        place_db = self._kept(tag, antenna, "place", self._noise.shadowing_db, key=0) if loss_db else 0.0
        rssi_dbm = _MEAN_DBM + tag.rssi_offset_db - loss_db + place_db + channel_db
        return Heard(tag.epc, antenna, rssi_dbm + self._rng.gauss(0.0, _READ_SD_DB), channel)

    def _kept(self, tag: Tag, antenna: int, what: str, sd_db: float, *, key: int) -> float:
        """A draw that stays with tag and antenna."""
        place = (tag.epc, antenna * (CHANNELS + 1) + key)
        found = self._strength.get(place)
        if found is None:
            if len(self._strength) > 100_000:
                self._strength.clear()  # they are drawn again from the same seeds
            draw = Random(f"{self._seed}/{tag.epc}/{antenna}/{what}").gauss(0.0, sd_db)
            found = self._strength[place] = draw
        return found
