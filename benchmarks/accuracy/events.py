"""What HQ is told against what people did: events, which item it was, how soon the count is true again."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from benchmarks.accuracy.frames import Told
from benchmarks.accuracy.timeline import Timeline
from device_sims.match import AFTER, BEFORE, Happening, Matched, Sighting, match
from device_sims.truth import ItemsMoved

BY_PEOPLE = ("pick", "return", "restock")
"""Causes that tell of an event; corrections and lines of a till tell of none."""
AT_OPENING = ("initial", "recount")
"""Causes that tell of a count that is known for the first time, or that somebody counted."""
NEVER = math.inf


class Key(NamedTuple):
    """Where items moved, and whether they left."""

    facing: str
    out: bool


@dataclass(slots=True)
class Events:
    """Of one store, or of several added up. Items: `hit`, `missed`, `invented`, `elsewhere` (of those invented:
    told of another facing or kind of item than the one that moved). `picks`: how many were told. `delays_s`:
    NEVER for a change whose count was not told before the next one."""

    hit: int = 0
    missed: int = 0
    invented: int = 0
    picks: int = 0
    elsewhere: int = 0
    moved: int = 0
    changes: int = 0
    messages: int = 0
    delays_s: list[float] = field(default_factory=list)

    def add(self, more: Events) -> None:
        """Another store's."""
        for name in ("hit", "missed", "invented", "picks", "elsewhere", "moved", "changes", "messages"):
            setattr(self, name, getattr(self, name) + getattr(more, name))
        self.delays_s += more.delays_s

    @property
    def f1(self) -> float | None:
        """Of picks, returns and fillings; None where no pick was told: a till tells of sales."""
        return Matched(self.hit, self.missed, self.invented).f1 if self.picks else None

    @property
    def identity(self) -> float | None:
        """Of the items told that did move, there or beside it, the share told of the right facing."""
        return self.hit / (self.hit + self.elsewhere) if self.hit and self.picks else None

    @property
    def changes_each(self) -> float:
        """Changes of a count that were told for each thing that people did."""
        return self.changes / max(1, self.moved)

    @property
    def messages_each(self) -> float:
        """The same with those that told of a confidence, a status or a reason only."""
        return self.messages / max(1, self.moved)

    def delay_s(self, share: float) -> float:
        """So soon, or sooner, such a share of the counts was true after a change; NEVER may be the answer."""
        ordered = sorted(self.delays_s)
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else NEVER

    @property
    def never(self) -> float:
        """The share of changes that was not told before the next one."""
        return sum(one == NEVER for one in self.delays_s) / max(1, len(self.delays_s))


def events_of(told: Sequence[Told], timeline: Timeline) -> Events:
    """All of one store."""
    happened = [_happening(one) for one in timeline.moved if one.cause != "misplace"]
    by_people = [one for one in told if one.cause in BY_PEOPLE and one.change]
    seen = [_sighting(one) for one in by_people]
    matched = match(happened, seen)
    return Events(
        hit=matched.hit,
        missed=matched.missed,
        invented=matched.invented,
        picks=sum(one.cause == "pick" for one in by_people),
        elsewhere=_elsewhere(happened, seen, matched, timeline),
        moved=len(timeline.moved),
        changes=sum(one.change != 0 and one.cause not in AT_OPENING for one in told),
        messages=sum(one.cause not in AT_OPENING for one in told),
        delays_s=list(delays_s(told, timeline)),
    )


def delays_s(told: Sequence[Told], timeline: Timeline) -> Iterator[float]:
    """For each change of a count: from rest until the told count is the true one."""
    known: dict[str, list[tuple[float, int | None]]] = defaultdict(list)
    for change in told:
        known[change.facing].append((timeline.at_s(change.at), change.on_hand))
    moved: dict[str, list[ItemsMoved]] = defaultdict(list)
    for one in timeline.moved:
        if one.cause != "misplace":
            moved[one.facing].append(one)
    for facing, changes in moved.items():
        nexts = [timeline.at_s(one.started_at) for one in changes[1:]] + [math.inf]
        for one, next_s in zip(changes, nexts, strict=True):
            yield _delay_s(known[facing], one.on_hand, timeline.at_s(one.at_rest_at), next_s)


def _delay_s(known: Sequence[tuple[float, int | None]], truth: int, rest_s: float, next_s: float) -> float:
    before = [n for at_s, n in known if at_s <= rest_s]
    if before and before[-1] == truth:
        return 0.0
    return next((at_s - rest_s for at_s, n in known if rest_s < at_s < next_s and n == truth), NEVER)


def _happening(one: ItemsMoved) -> Happening:
    return Happening(
        Key(one.facing, one.cause == "pick"), one.quantity, one.started_at, one.occurred_at, one.at_rest_at
    )


def _sighting(one: Told) -> Sighting:
    return Sighting(Key(one.facing, one.change < 0), abs(one.change), one.at, one.at)


def _elsewhere(
    happened: Sequence[Happening], seen: Sequence[Sighting], matched: Matched, timeline: Timeline
) -> int:
    """Items told of a facing where none of them moved, while one that nobody told of, or an item of another
    kind that was put there by mistake, moved there or beside it."""
    wanted = {id(one): one.quantity for one in happened}
    left = {id(one): one.quantity for one in seen}
    for one, sighting in matched.pairs:
        taken = min(wanted[id(one)], left[id(sighting)])
        wanted[id(one)] -= taken
        left[id(sighting)] -= taken
    strays = [_happening(one) for one in timeline.moved if one.cause == "misplace"]
    wanted |= {id(one): one.quantity for one in strays}
    untold = [one for one in (*happened, *strays) if wanted[id(one)]]
    found = 0
    for sighting in seen:
        for one in untold if left[id(sighting)] else ():
            if _near(one.key, sighting.key, timeline) and _in_time(one, sighting.occurred_at):
                taken = min(wanted[id(one)], left[id(sighting)])
                wanted[id(one)] -= taken
                left[id(sighting)] -= taken
                found += taken
    return found


def _near(happened: Hashable, seen: Hashable, timeline: Timeline) -> bool:
    assert isinstance(happened, Key)
    assert isinstance(seen, Key)
    return happened.out == seen.out and seen.facing in timeline.near[happened.facing]


def _in_time(one: Happening, at: datetime) -> bool:
    return one.started_at - BEFORE <= at <= one.ended_at + AFTER
