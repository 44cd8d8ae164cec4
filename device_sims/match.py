"""Pairs what happened with what was seen, by place, kind, time and quantity."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

BEFORE = timedelta(seconds=1.5)
AFTER = timedelta(seconds=6)
"""A sighting belongs to a happening from a little before its first move until a little after its rest."""


@dataclass(frozen=True, slots=True)
class Happening:
    """`quantity` items moved at the place and in the way that `key` names, between two moments."""

    key: Hashable
    quantity: int
    started_at: datetime
    moved_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Sighting:
    """The same as HQ has it: when it is said to have occurred and when HQ got to know."""

    key: Hashable
    quantity: int
    occurred_at: datetime
    received_at: datetime


@dataclass(slots=True)
class Matched:
    """Counts in items. `pairs` holds every happening with the sighting that told of it."""

    hit: int = 0
    missed: int = 0
    invented: int = 0
    pairs: list[tuple[Happening, Sighting]] = field(default_factory=list)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where nothing happened and nothing was seen."""
        weight = 2 * self.hit + self.missed + self.invented
        return 2 * self.hit / weight if weight else None

    @property
    def precision(self) -> float | None:
        """Share of what was seen that did happen."""
        return self.hit / (self.hit + self.invented) if self.hit + self.invented else None

    @property
    def recall(self) -> float | None:
        """Share of what happened that was seen."""
        return self.hit / (self.hit + self.missed) if self.hit + self.missed else None


def match(happened: Sequence[Happening], seen: Sequence[Sighting]) -> Matched:
    """Each item of a happening meets at most one item of one sighting with the same key inside its window.

    Earliest first on both sides: one sighting may tell of several moves in one settling, and the reverse.
    """
    result = Matched()
    left = [sighting.quantity for sighting in seen]
    by_time = sorted(range(len(seen)), key=lambda index: seen[index].occurred_at)
    for happening in sorted(happened, key=lambda h: h.started_at):
        wanted = happening.quantity
        for index in by_time:
            sighting = seen[index]
            if not wanted or not left[index] or sighting.key != happening.key:
                continue
            if happening.started_at - BEFORE <= sighting.occurred_at <= happening.ended_at + AFTER:
                taken = min(wanted, left[index])
                wanted, left[index] = wanted - taken, left[index] - taken
                result.hit += taken
                result.pairs.append((happening, sighting))
        result.missed += wanted
    result.invented = sum(left)
    return result
