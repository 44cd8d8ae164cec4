"""One account of what lies on a plate: the counts, something foreign or not, and a Gaussian for the rest.

The Gaussian's entries: the plate's drift, the foreign mass, and for each item how far the pieces there
deviate in sum from their unit weights and how far the unit weight is off. A weight at rest is a sum of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul

from edge_agent.stock.gauss import Gauss
from edge_agent.stock.habits import USUAL, Habits

OTHER = "?"
"""The foreign mass is nothing that the planogram knows."""
ACROSS = "/"
"""It is part of an item that lies across the seam to a neighbouring plate; below 0 where that bears it."""
DRIFT, FOREIGN, ITEMS = 0, 1, 2

Counts = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One kind of item that belongs on the plate."""

    facing: str
    gtin: str
    unit_weight_g: float
    unit_sd_g: float
    capacity: int
    spread_guessed: bool = False
    """The planogram tells no spread of the unit weight."""

    @property
    def most(self) -> int:
        """More than this cannot lie there."""
        return 2 * self.capacity

    def bias_sd_g(self, habits: Habits = USUAL) -> float:
        """How far the unit weight itself may be off."""
        of_spread = 1.0 if self.spread_guessed else habits.bias_of_spread
        return max(habits.unit_bias * self.unit_weight_g, of_spread * self.unit_sd_g)


@dataclass(slots=True)
class Hypothesis:
    """`counts` in the order of the items; `foreign` is None, OTHER, or the GTIN of a misplaced item."""

    counts: Counts
    foreign: str | None
    log_weight: float
    state: Gauss
    since: Counts
    """The counts when the tags last spoke of them for good."""

    def weights(self) -> list[float]:
        """How the entries add up in the plate's weight."""
        weights = [1.0, 0.0 if self.foreign is None else 1.0]
        for n in self.counts:
            weights += [1.0, float(n)]
        return weights


@dataclass(frozen=True, slots=True)
class Way:
    """From a hypothesis to the next: whether what was foreign there stays, and what more of it came."""

    parent: Hypothesis
    stays: bool = True
    mass_g: float = 0.0
    mass_sd_g: float = 0.0


def nominal_g(counts: Counts, items: Sequence[Item]) -> float:
    """What so many pieces weigh by the planogram."""
    total_g: float = sum(map(mul, counts, [item.unit_weight_g for item in items]))
    return total_g


def pieces(before: int, n: int) -> tuple[float, float]:
    """What is left of the summed deviations of `before` pieces when there are n, and how much is new in them.

    In variances of one piece; pieces that are taken at random leave with their own share.
    """
    if n >= before:
        return 1.0, float(n - before)
    return n / before, (before - n) * n / before


class Forecast:
    """What a plate would weigh after its counts have changed, from one hypothesis before.

    `stays`: what is foreign there stays. Made once for each hypothesis, then a change costs a few products.
    """

    __slots__ = ("_counts", "_cov", "_items", "_mean", "_mean_g", "_spread", "_variance", "_variances")

    def __init__(
        self, one: Hypothesis, items: Sequence[Item], variances: Sequence[float], *, stays: bool
    ) -> None:
        weights = one.weights()
        if not stays:
            weights[FOREIGN] = 0.0
        self._items, self._counts, self._variances = items, one.counts, variances
        self._mean, self._cov = one.state.mean, one.state.cov
        self._spread = one.state.spread(weights)
        self._mean_g: float = nominal_g(one.counts, items) + sum(map(mul, weights, self._mean))
        self._variance: float = sum(map(mul, weights, self._spread))

    @property
    def mean_g(self) -> float:
        """The plate's weight if nothing is moved."""
        return self._mean_g

    @property
    def variance(self) -> float:
        """Of the same, without the plate's own noise."""
        return self._variance

    def expect(self, counts: Counts) -> tuple[float, float]:
        """Mean and variance of the plate's weight with these counts."""
        mean_g, total = self._mean_g, self._variance
        moved: list[tuple[int, float, float]] = []
        for index, (before, n) in enumerate(zip(self._counts, counts, strict=True)):
            if n == before:
                continue
            at = ITEMS + 2 * index
            left, fresh = pieces(before, n)
            leaves, more = left - 1.0, float(n - before)
            mean_g += more * self._items[index].unit_weight_g
            mean_g += leaves * self._mean[at] + more * self._mean[at + 1]
            row, below = self._cov[at], self._cov[at + 1]
            total += fresh * self._variances[index]
            total += 2.0 * (leaves * self._spread[at] + more * self._spread[at + 1])
            total += (
                leaves * leaves * row[at] + 2.0 * leaves * more * row[at + 1] + more * more * below[at + 1]
            )
            for other, others_leave, others_more in moved:
                total += 2.0 * leaves * (others_leave * row[other] + others_more * row[other + 1])
                total += 2.0 * more * (others_leave * below[other] + others_more * below[other + 1])
            moved.append((at, leaves, more))
        return mean_g, total
