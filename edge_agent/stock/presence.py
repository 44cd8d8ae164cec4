"""Which tagged items are present, and on which facing: first sight arrives, long silence departs."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

MISSED = 1e-5
"""A tag has left when it would be unseen for so long with this probability if it were there."""
SHORTEST_S, LONGEST_S = 10.0, 300.0
"""Bounds of that time: reads miss 30 to 90 % of tags a second, and the miss rate of a tag persists."""
READ_PER_S, READ_FOR_S = 0.11, 3.0
"""A tag's read rate at first: that of the worst tags, with the weight of so many seconds."""
MOVE_MARGIN_DB = 6.0
"""A tag moves to another facing only when it is heard this much louder there (averaged)."""
SMOOTHING = 0.2


@dataclass(slots=True)
class Tag:
    """One present tag: its facing and the smoothed RSSI (dBm) at each facing that hears it."""

    epc: str
    device: str
    facing: str
    seen_s: float
    rssi_dbm: dict[str, float]
    since_s: float = 0.0
    seconds: int = 0
    """In so many seconds after the first it was read."""

    @property
    def missed_per_s(self) -> float:
        """The share of seconds in which it is not read though it is there, as far as it is known."""
        lived_s = self.seen_s - self.since_s
        rate = (self.seconds + READ_PER_S * READ_FOR_S) / (lived_s + READ_FOR_S)
        return 1.0 - min(rate, 0.999)

    @property
    def window_s(self) -> float:
        """Unseen this long it has left: SMURF (Jeffery et al., VLDB 2006), with a rate for each."""
        return min(LONGEST_S, max(SHORTEST_S, log(MISSED) / log(self.missed_per_s)))


@dataclass(frozen=True, slots=True)
class Moved:
    """A tag arrived at `facing` or departed from it."""

    tag: Tag
    facing: str
    arrived: bool


class Presence:
    """The tags that are present. Reads come in, arrivals and departures come out."""

    def __init__(self) -> None:
        self.tags: dict[str, Tag] = {}
        self._reader_heard_s: dict[str, float] = {}
        self._troubled_s: dict[str, float] = {}

    def restore(self, *, epc: str, device: str, facing: str, mono_s: float) -> Tag:
        """Put back a tag that was present when the process stopped."""
        self.tags[epc] = tag = Tag(epc, device, facing, mono_s, {}, mono_s)
        return tag

    def seen(
        self, *, epc: str, device: str, facing: str, rssi_dbm: float | None, mono_s: float
    ) -> list[Moved]:
        """One read at `facing`. Returns an arrival, a move (departure and arrival), or nothing."""
        self._reader_heard_s[device] = mono_s
        tag = self.tags.get(epc)
        if tag is None:
            heard = {} if rssi_dbm is None else {facing: rssi_dbm}
            self.tags[epc] = tag = Tag(epc, device, facing, mono_s, heard, mono_s)
            return [Moved(tag, facing, arrived=True)]
        tag.seconds += int(mono_s - tag.since_s) > int(tag.seen_s - tag.since_s)
        tag.seen_s = mono_s
        if rssi_dbm is None:
            return []
        before = tag.rssi_dbm.get(facing)
        tag.rssi_dbm[facing] = rssi_dbm if before is None else before + SMOOTHING * (rssi_dbm - before)
        if facing == tag.facing or before is None:
            return []
        if tag.rssi_dbm[facing] <= tag.rssi_dbm.get(tag.facing, -200.0) + MOVE_MARGIN_DB:
            return []
        left = Moved(tag, tag.facing, arrived=False)
        tag.device, tag.facing = device, facing
        return [left, Moved(tag, facing, arrived=True)]

    def troubled(self, device: str, mono_s: float) -> None:
        """The reader is lost or has lost an antenna: whom it does not see now may well be there."""
        self._troubled_s[device] = mono_s

    def departures(self, mono_s: float) -> list[Moved]:
        """Tags unseen for their window by a reader that hears others and was well all that time."""
        gone = [
            tag
            for tag in self.tags.values()
            if (unseen_s := mono_s - tag.seen_s) > SHORTEST_S
            and unseen_s > (window_s := tag.window_s)
            and mono_s - self._reader_heard_s.get(tag.device, float("-inf")) < window_s / 2
            and mono_s - self._troubled_s.get(tag.device, float("-inf")) > window_s
        ]
        for tag in gone:
            del self.tags[tag.epc]
        return [Moved(tag, tag.facing, arrived=False) for tag in gone]
