"""What truly lay on each facing at each moment, and when somebody was busy there."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from device_sims.scenario import Scenario
from device_sims.truth import AnyRecord, BagChanged, ItemsMoved

AFTER_S, BEFORE_S = 1.5, 1.0
"""A count is asked for when the plate has been at rest so long, and nobody is about to touch it."""


@dataclass(slots=True)
class Timeline:
    """Of one store. Seconds since it was opened."""

    world: Scenario
    truth: Sequence[AnyRecord]
    opened_s: float
    mates: dict[str, set[str]] = field(init=False)
    """Facing to those whose weight lies on the same plates, or on plates that share a facing with them; with
    itself."""
    near: dict[str, set[str]] = field(init=False)
    """Facing to its mates and to those beside it on the shelf; with itself."""
    _counts: dict[str, list[tuple[float, int]]] = field(init=False)
    _busy: dict[str, list[tuple[float, float]]] = field(init=False)

    def __post_init__(self) -> None:
        self.mates = _mates(self.world)
        self.near = _near(self.world, self.mates)
        self._counts = {f.id: [(0.0, f.on_hand)] for f in self.world.facings}
        self._busy = defaultdict(list)
        for one in self.moved:
            self._counts[one.facing].append((self.at_s(one.occurred_at), one.on_hand))
        for facing, from_s, until_s in self._touches():
            self._busy[facing].append((from_s - BEFORE_S, until_s + AFTER_S))

    @property
    def moved(self) -> list[ItemsMoved]:
        """Every act that moved something, in order."""
        return [one for one in self.truth if isinstance(one, ItemsMoved)]

    def at_s(self, moment: datetime) -> float:
        """A moment of the truth as seconds since the store was opened."""
        return moment.timestamp() - self.opened_s

    def on_hand(self, facing: str, at_s: float) -> int:
        """How many lay there."""
        counts = self._counts[facing]
        return counts[bisect_right(counts, at_s, key=lambda one: one[0]) - 1][1]

    def at_rest(self, facing: str, at_s: float) -> bool:
        """Whether nobody touched what bears the facing."""
        return not any(low <= at_s <= high for low, high in self._busy.get(facing, ()))

    def _touches(self) -> Iterator[tuple[str, float, float]]:
        """(facing, from, until): its own plates, those of mates, and those that an item reaches across to."""
        across: dict[str, dict[str, float]] = {}
        longest_s = self.world.noise.settling_s[1]
        for one in self.truth:
            if isinstance(one, BagChanged):
                at_s = self.at_s(one.occurred_at)
                for name in self.mates[one.facing]:
                    yield name, at_s, at_s + longest_s
            if isinstance(one, ItemsMoved):
                before = across.get(one.facing, {})
                across[one.facing] = one.across
                reached = {n for n in before | one.across if before.get(n) != one.across.get(n)}
                for name in self.mates[one.facing] | reached:
                    yield name, self.at_s(one.started_at), self.at_s(one.at_rest_at)


def _mates(world: Scenario) -> dict[str, set[str]]:
    found = {facing.id: {facing.id} for facing in world.facings}
    for group in world.plates():
        together = set[str]().union(*(found[name] for name in group))
        for name in together:
            found[name] = together
    return found


def _near(world: Scenario, mates: dict[str, set[str]]) -> dict[str, set[str]]:
    found = {name: set(names) for name, names in mates.items()}
    placed = sorted((f.shelf or "", f.x_mm or 0.0, f.id) for f in world.facings)
    for (shelf, _, left), (same, _, right) in pairwise(placed):
        if shelf == same:
            found[left].add(right)
            found[right].add(left)
    return found
