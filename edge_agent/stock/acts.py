"""What people may have done at a plate, and how usual it is: counts before, counts after, log priors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import log

from edge_agent.stock.habits import Habits
from edge_agent.stock.hypothesis import ITEMS, Counts, Hypothesis, Item

_PAIRED = (-3, -2, -1, 1, 2, 3)
_FITS = 5.0
"""A sum that misses a weight by more standard deviations does not explain it."""
_BESIDE = 3
"""So many items at most move while another kind does, or while something foreign comes."""


@dataclass(frozen=True, slots=True)
class Acts:
    """The acts at one plate. `unseen`: nobody looked, so that anything may have happened."""

    items: Sequence[Item]
    variances: Sequence[float]
    """Of one piece of each item, g²."""
    habits: Habits
    unseen: bool
    bias_sds_g: Sequence[float]
    """How far the unit weight of each item may be off."""

    def moves(self, one: Hypothesis, residual_g: float) -> Iterator[tuple[Counts, float]]:
        """One kind of item moves, or none: counts that come near the weight.

        That is `residual_g` more than if nothing were moved.
        """
        yield one.counts, self._log_act(0, 0, one.counts)
        for index in range(len(self.items)):
            for counts, change in self._near(one, index, one.counts, residual_g):
                yield counts, self._log_act(change, index, one.counts) - log(len(self.items))

    def pairs(
        self, one: Hypothesis, residual_g: float, variance: float, least: float
    ) -> Iterator[tuple[Counts, float]]:
        """Two kinds of item move at once, with a prior of `least` or more.

        `variance`: of the weight if nothing were moved. They are many, so what misses the weight is left out.
        """
        rare = log(self.habits.two_items)
        if rare < least:
            return
        kinds = range(len(self.items))
        units_g = [self._unit_g(one, index) for index in kinds]
        # What a piece, and the error of its unit weight, add at most to the variance.
        piece = [2 * variance for variance in self.variances]
        bias = [2 * one.state.cov[ITEMS + 1 + 2 * index][ITEMS + 1 + 2 * index] for index in kinds]
        for first, second in combinations(kinds, 2):
            for change in _PAIRED:
                n = one.counts[first] + change
                prior = rare + self._log_act(change, first, one.counts)
                if not 0 <= n <= self.items[first].most or prior < least:
                    continue
                left_g = residual_g - change * units_g[first]
                other = round(left_g / units_g[second])
                spread = variance + abs(change) * piece[first] + change * change * bias[first]
                spread += abs(other) * piece[second] + other * other * bias[second]
                if (left_g - other * units_g[second]) ** 2 > _FITS**2 * spread:
                    continue
                counts = (*one.counts[:first], n, *one.counts[first + 1 :])
                for both, moved in self._near(one, second, counts, left_g):
                    yield both, prior + self._log_act(moved, second, one.counts)

    def beside(self, one: Hypothesis, alone: float, least: float) -> Iterator[tuple[Counts, float]]:
        """What is moved in the moment in which something foreign comes, whose weight nobody knows.

        Nothing where no prior can reach `least`.
        """
        if max(log(alone), log((1 - alone) / len(self.items))) < least:
            return
        yield one.counts, log(alone)
        for index, item in enumerate(self.items):
            n = one.counts[index]
            for change in range(max(-_BESIDE, -n), min(_BESIDE, item.most - n) + 1):
                if change:
                    counts = (*one.counts[:index], n + change, *one.counts[index + 1 :])
                    share = (1 - alone) / len(self.items)
                    yield counts, log(share) + _log_seen(self.habits, change, n, item.capacity)

    def _near(
        self, one: Hypothesis, index: int, counts: Counts, residual_g: float
    ) -> Iterator[tuple[Counts, int]]:
        """Changes of one item that explain about so many grams, none left out that could; never 0."""
        item, n = self.items[index], counts[index]
        unit_g = self._unit_g(one, index)
        exact = residual_g / unit_g
        reach = 0.5 + 2.0 * (self.variances[index] * max(1.0, abs(exact))) ** 0.5 / unit_g
        for change in range(round(exact - reach), round(exact + reach) + 1):
            if change and 0 <= n + change <= item.most:
                yield (*counts[:index], n + change, *counts[index + 1 :]), change

    def _unit_g(self, one: Hypothesis, index: int) -> float:
        printed_g = self.items[index].unit_weight_g
        return max(0.5 * printed_g, printed_g + one.state.mean[ITEMS + 1 + 2 * index])

    def _log_act(self, change: int, index: int, before: Counts) -> float:
        how = _log_unseen if self.unseen else _log_seen
        return how(self.habits, change, before[index], self.items[index].capacity)


@lru_cache(maxsize=16_384)
def _log_seen(usual: Habits, change: int, before: int, capacity: int) -> float:
    """How usual a change is when somebody touched the plate."""
    if change == 0:
        return log(usual.untouched)
    if change < 0:
        return log(usual.taken * (1 - usual.more_taken)) + (-change - 1) * log(usual.more_taken)
    # Staff fill what is empty: the more room, the more usual.
    room = max(0, capacity - before)
    filled = usual.filled * 2 * max(room, 0.5) / max(1, capacity) / max(1, room)
    brought = usual.brought * (1 - usual.more_brought) * usual.more_brought ** (change - 1)
    return log(filled + brought) + _log_over(usual, before + change - capacity)


@lru_cache(maxsize=16_384)
def _log_unseen(usual: Habits, change: int, before: int, capacity: int) -> float:
    """How usual a change is when nobody looked: anything may have happened."""
    if change == 0:
        return log(usual.unseen_same)
    return log((1 - usual.unseen_same) / (capacity + 1)) + _log_over(usual, before + change - capacity)


def _log_over(usual: Habits, over: int) -> float:
    return log(usual.over) + (over - 1) * log(usual.more_over) if over > 0 else 0.0
