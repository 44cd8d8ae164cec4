"""What people may have done at a plate, and how usual it is: counts before, counts after, log priors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import log

from edge_agent.stock.habits import Habits
from edge_agent.stock.hypothesis import ITEMS, Counts, Hypothesis, Item

_PAIRED = (-3, -2, -1, 1, 2, 3)
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

    def moves(self, one: Hypothesis, residual_g: float) -> Iterator[tuple[Counts, float]]:
        """Counts that come near the weight, which is `residual_g` more than if nothing were moved."""
        yield one.counts, self._log_act(0, 0, one.counts)
        kinds = len(self.items)
        for index in range(kinds):
            for counts, change in self._near(one, index, one.counts, residual_g):
                yield counts, self._log_act(change, index, one.counts) - log(kinds)
        for first, second in combinations(range(kinds), 2):
            for change in _PAIRED:
                n = one.counts[first] + change
                if not 0 <= n <= self.items[first].most:
                    continue
                counts = (*one.counts[:first], n, *one.counts[first + 1 :])
                left_g = residual_g - change * self._unit_g(one, first)
                prior = log(self.habits.two_items) + self._log_act(change, first, one.counts)
                for both, other in self._near(one, second, counts, left_g):
                    yield both, prior + self._log_act(other, second, one.counts)

    def beside(self, one: Hypothesis, alone: float) -> Iterator[tuple[Counts, float]]:
        """What is moved in the moment in which something foreign comes, whose weight nobody knows."""
        yield one.counts, log(alone)
        for index, item in enumerate(self.items):
            n = one.counts[index]
            for change in range(max(-_BESIDE, -n), min(_BESIDE, item.most - n) + 1):
                if change:
                    counts = (*one.counts[:index], n + change, *one.counts[index + 1 :])
                    share = (1 - alone) / len(self.items)
                    yield counts, log(share) + self._log_seen(change, index, n)

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
        if self.unseen:
            return self._log_unseen(change, index, before[index])
        return self._log_seen(change, index, before[index])

    def _log_seen(self, change: int, index: int, before: int) -> float:
        """How usual a change is when somebody touched the plate."""
        usual, capacity = self.habits, self.items[index].capacity
        if change == 0:
            return log(usual.untouched)
        if change < 0:
            return log(usual.taken * (1 - usual.more_taken)) + (-change - 1) * log(usual.more_taken)
        # Staff fill what is empty: the more room, the more usual.
        room = max(0, capacity - before)
        filled = usual.filled * 2 * max(room, 0.5) / max(1, capacity) / max(1, room)
        brought = usual.brought * (1 - usual.more_brought) * usual.more_brought ** (change - 1)
        return log(filled + brought) + self._log_over(before + change - capacity)

    def _log_unseen(self, change: int, index: int, before: int) -> float:
        """How usual a change is when nobody looked: anything may have happened."""
        capacity = self.items[index].capacity
        if change == 0:
            return log(self.habits.unseen_same)
        return log((1 - self.habits.unseen_same) / (capacity + 1)) + self._log_over(
            before + change - capacity
        )

    def _log_over(self, over: int) -> float:
        return log(self.habits.over) + (over - 1) * log(self.habits.more_over) if over > 0 else 0.0
