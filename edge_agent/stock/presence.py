"""Which tagged items are present, and where: first sight arrives, long silence departs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import exp, log

from edge_agent.contract.gs1 import decode_epc
from edge_agent.stock.hearing import MOVED_READS, RETAIL_GARMENT, Hearing
from edge_agent.stock.silence import still_there

BACK_ROOM = ""
"""The place of tags that lie behind the sales floor, where a facing's name stands for those on it."""
MISSED = 1e-5
"""A tag has left when it would be unseen for so long with this probability if it were there."""
SHORTEST_S, LONGEST_S = 10.0, 300.0
"""Bounds of that time: reads miss 30 to 90 % of tags a second, and the miss rate of a tag persists."""
READ_PER_S, READ_FOR_S = 0.11, 3.0
"""A tag's read rate at first: that of the worst tags, with the weight of so many seconds."""
REMEMBERED_S = 1800.0
"""How often tags leave a place is known from the departures of about so long."""
AWAY_COUNTS_S = 6.0
"""A second in which a tag was read elsewhere only says as much as so long a silence of its place."""
PLACES_ELSEWHERE = 3
"""At so many places beside its own a tag's strengths are kept: those that heard it last."""


@dataclass(slots=True)
class Tag:
    """One present tag: the reader it is believed by, how it is heard at its place and at others."""

    epc: str
    device: str
    here: Hearing
    seen_s: float
    since_s: float
    seconds: int = 0
    """In so many seconds after the first it was read."""
    elsewhere: tuple[Hearing, ...] = ()
    away: int = 0
    """Since it was last read at its place, in so many seconds it was read at others."""

    @property
    def facing(self) -> str:
        """Its place; BACK_ROOM behind the sales floor."""
        return self.here.facing

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

    def at(self, facing: str) -> Hearing:
        """What is heard of it at another place than its own; the one that heard it longest ago makes room."""
        for hearing in self.elsewhere:
            if hearing.facing == facing:
                return hearing
        known = sorted(self.elsewhere, key=lambda one: one.seen_s)[1 - PLACES_ELSEWHERE :]
        new = Hearing(facing, self.seen_s)
        self.elsewhere = (*known, new)
        return new

    def move(self, to: Hearing) -> None:
        """Its place is another now; what was heard at the old one is kept."""
        self.elsewhere = (*(one for one in self.elsewhere if one is not to), self.here)
        self.here, self.away = to, 0


@dataclass(frozen=True, slots=True)
class Moved:
    """A tag arrived at `facing` or departed from it; BACK_ROOM is the back room."""

    tag: Tag
    facing: str
    arrived: bool


class Presence:
    """The tags that are present. Reads come in, arrivals and departures come out."""

    def __init__(self) -> None:
        self.tags: dict[str, Tag] = {}
        self._at: Counter[str] = Counter()
        self._behind: Counter[str] = Counter()
        self._left: dict[str, tuple[float, float]] = {}
        self._reader_heard_s: dict[str, float] = {}
        self._troubled_s: dict[str, float] = {}

    def restore(self, *, epc: str, device: str, facing: str, mono_s: float) -> Tag:
        """Put back a tag that was present when the process stopped."""
        self.tags[epc] = tag = Tag(epc, device, Hearing(facing, mono_s), mono_s, mono_s)
        self._arrive(tag)
        return tag

    def in_back_room(self, gtin: str) -> int:
        """How many tagged items of a product lie in the back room."""
        return self._behind[gtin]

    def there(self, tag: Tag, mono_s: float) -> float:
        """The probability that a tag is still where it was read last.

        The less, the longer it is silent for its rate, and by how often tags leave this place.
        """
        left_per_s = self._left_per_s(tag.facing, mono_s) / max(1, self._at[tag.facing])
        return still_there(tag.missed_per_s, self.silent_s(tag, tag.seen_s), left_per_s)

    def silent_s(self, tag: Tag, since_s: float) -> float:
        """How long after `since_s` it was not read while its reader heard others and was well."""
        since_s = max(since_s, self._troubled_s.get(tag.device, since_s))
        return max(0.0, self._reader_heard_s.get(tag.device, since_s) - since_s)

    def seen(
        self,
        *,
        epc: str,
        device: str,
        facing: str,
        rssi_dbm: float | None,
        mono_s: float,
        channel: int | None = None,
    ) -> list[Moved]:
        """One read at `facing`. Returns an arrival, a move (departure and arrival), or nothing."""
        self._reader_heard_s[device] = mono_s
        tag = self.tags.get(epc)
        if tag is None:
            self.tags[epc] = tag = Tag(epc, device, Hearing(facing, mono_s), mono_s, mono_s)
            tag.here.note(rssi_dbm, channel, mono_s)
            return [self._arrive(tag)]
        another_second = int(mono_s - tag.since_s) > int(tag.seen_s - tag.since_s)
        tag.seconds += another_second
        tag.seen_s = mono_s
        here = tag.here
        if facing == here.facing:
            here.note(rssi_dbm, channel, mono_s)
            tag.device, tag.away = device, 0
            return []
        there = tag.at(facing)
        there.note(rssi_dbm, channel, mono_s)
        tag.away += another_second
        unheard_s = max(mono_s - here.seen_s, tag.away * AWAY_COUNTS_S)
        offset_db = RETAIL_GARMENT.offset_db(unheard_s * 1000)
        if there.reads < MOVED_READS or not there.is_louder(here, by_db=offset_db):
            return []
        left = self._depart(tag)
        tag.device = device
        tag.move(there)
        return [left, self._arrive(tag)]

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
            left = self._left_per_s(tag.facing, mono_s) * REMEMBERED_S
            self._left[tag.facing] = (left + 1.0, mono_s)
        return [self._depart(tag) for tag in gone]

    def _left_per_s(self, facing: str, mono_s: float) -> float:
        """Departures a second by what is remembered, and never none: one in that time is always thinkable."""
        left, at_s = self._left.get(facing, (1.0, mono_s))
        return max(1.0, left * exp((at_s - mono_s) / REMEMBERED_S)) / REMEMBERED_S

    def _arrive(self, tag: Tag) -> Moved:
        self._at[tag.facing] += 1
        self._behind.update(_behind(tag))
        return Moved(tag, tag.facing, arrived=True)

    def _depart(self, tag: Tag) -> Moved:
        self._at[tag.facing] -= 1
        self._behind.subtract(_behind(tag))
        return Moved(tag, tag.facing, arrived=False)


def _behind(tag: Tag) -> tuple[str, ...]:
    """The product that there is one more of in the back room with this tag."""
    item = decode_epc(tag.epc) if tag.facing == BACK_ROOM else None
    return () if item is None else (item.gtin,)
