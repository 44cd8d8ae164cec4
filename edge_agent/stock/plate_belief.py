"""What lies on one plate, as weighted hypotheses: how many of each item, something foreign or not.

Each hypothesis has its own linear-Gaussian account of the rest: the plate's drift, the foreign mass, and for
each item the error of its unit weight and how far the pieces there deviate from it in sum. A weight at rest
is one measurement of all of it. So what a change says (it is exact) and what the whole weight says (it does
not forget) are used together, and each counted change teaches the unit weight. Pure.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import exp, inf, log

from edge_agent.stock.gauss import Gauss, log_density

PLATE_SD_G = 4.0
"""Error of a plate's zero when it is first seen."""
DRIFT_G_PER_SQRT_H = 5.0
"""Random walk of the zero: creep, temperature (1 to 2.5 g per 10 °C, OIML R60 creep), dirt."""
REST_SD_G = 0.8
"""What a plate at rest says differs so much from what lies on it: noise, and settling that is not over."""
UNIT_CV = 0.01
"""Spread of the unit weight where the planogram gives none (0.5 to 2 % for packaged goods)."""
UNIT_BIAS, BIAS_OF_SPREAD = 0.01, 0.5
"""Relative error of the planogram's own unit weight, and at least this share of the spread."""
FOREIGN_MEAN_G, FOREIGN_SD_G = 800.0, 800.0
"""A bag, a basket, a leaflet."""

P_FOREIGN_AT_START = 0.01
P_FOREIGN_COMES, P_FOREIGN_GOES, P_FOREIGN_CHANGES = 0.015, 0.25, 0.01
P_FOREIGN_ALONE = 0.25
"""Whoever lays something foreign onto the plate moves nothing else."""
P_MISPLACED = 0.004
"""An event brings an item that belongs elsewhere on the shelf."""
P_UNTOUCHED, P_TAKEN, P_BROUGHT, P_FILLED = 0.15, 0.63, 0.14, 0.08
"""What people do at a plate that was touched: nothing, take, bring back, fill."""
MORE_TAKEN, MORE_BROUGHT = 0.35, 0.12
"""Each further item is taken, or brought back, with this probability."""
P_TWO_ITEMS = 0.03
"""Two kinds of item change in one event."""
P_UNSEEN_SAME = 0.5
"""Nothing was moved while nobody looked."""

KEPT, LEAST = 16, 1e-4
"""So many hypotheses at most are kept, and none of less weight than this."""
LEAST_AT_FIRST = 1e-3
"""The same for the first weight: in a store of thousands of plates all of them begin at once."""
OTHER = "?"
"""The foreign mass is nothing that the planogram knows."""

DRIFT, FOREIGN = 0, 1


@dataclass(frozen=True, slots=True)
class Item:
    """One kind of item that belongs on the plate."""

    facing: str
    gtin: str
    unit_weight_g: float
    unit_sd_g: float
    capacity: int

    @property
    def bias_sd_g(self) -> float:
        """How far the unit weight itself may be off."""
        return max(UNIT_BIAS * self.unit_weight_g, BIAS_OF_SPREAD * self.unit_sd_g)

    @property
    def most(self) -> int:
        """More than this cannot lie there."""
        return 2 * self.capacity


@dataclass(slots=True)
class Hypothesis:
    """`counts` in the order of the items; `foreign` is None, OTHER, or the GTIN of a misplaced item."""

    counts: tuple[int, ...]
    foreign: str | None
    log_weight: float
    state: Gauss


_Key = tuple[tuple[int, ...], str | None]


@dataclass(slots=True)
class _Turn:
    """Ways to one hypothesis: the log of their probability together, and the best one."""

    total: float
    best: float
    parent: Hypothesis

    def add(self, gain: float, parent: Hypothesis) -> None:
        self.total = _log_sum(self.total, gain)
        if gain > self.best:
            self.best, self.parent = gain, parent


@dataclass(slots=True)
class PlateBelief:
    """The mixture. `neighbours`, items of the same shelf, may be put here: GTIN to weight and spread."""

    items: Sequence[Item]
    neighbours: dict[str, tuple[float, float]] = field(default_factory=dict)
    hypotheses: list[Hypothesis] = field(default_factory=list)
    at_s: float = 0.0

    def weigh(self, weight_g: float, at_s: float, *, unseen: bool = False) -> None:
        """The plate came to rest at `weight_g` after it was touched, or (`unseen`) after nobody looked."""
        if not self.hypotheses:
            self.at_s = at_s
            self._begin(weight_g)
            return
        self._drift(at_s)
        found: dict[_Key, _Turn] = {}
        for parent in self.hypotheses:
            for counts, foreign, prior in self._turns(parent, weight_g, unseen=unseen):
                gain = parent.log_weight + prior + self._turn_likelihood(parent, counts, foreign, weight_g)
                known = found.get((counts, foreign))
                if known is None:
                    found[(counts, foreign)] = _Turn(gain, gain, parent)
                else:
                    known.add(gain, parent)
        least = max(turn.total for turn in found.values()) + log(LEAST)
        best = heapq.nlargest(KEPT, ((turn.total, key) for key, turn in found.items() if turn.total > least))
        self.hypotheses = [self._child(found[key].parent, *key, total) for total, key in best]
        self._normalise()
        self._learn(weight_g)

    def rest(self, weight_g: float, at_s: float) -> None:
        """The plate is still at rest, at `weight_g`: what changed since is drift."""
        if not self.hypotheses:
            return
        self._drift(at_s)
        for one in self.hypotheses:
            one.log_weight += self._likelihood(one, weight_g)
        self._prune()
        self._learn(weight_g)

    def distribution(self, item: int) -> dict[int, float]:
        """Count of one item to its probability."""
        found: dict[int, float] = {}
        for one in self.hypotheses:
            found[one.counts[item]] = found.get(one.counts[item], 0.0) + exp(one.log_weight)
        return found

    def foreign(self) -> dict[str, float]:
        """What may lie there that does not belong there (OTHER or a GTIN), to its probability."""
        found: dict[str, float] = {}
        for one in self.hypotheses:
            if one.foreign is not None:
                found[one.foreign] = found.get(one.foreign, 0.0) + exp(one.log_weight)
        return found

    def unit_weight_g(self, item: int) -> float:
        """What one piece of an item weighs, as learnt from what was counted."""
        learnt = sum(exp(one.log_weight) * one.state.mean[3 + 2 * item] for one in self.hypotheses)
        return self.items[item].unit_weight_g + learnt

    def restore(self, hypotheses: list[Hypothesis], at_s: float) -> None:
        """Put back what was believed at `at_s`."""
        self.hypotheses, self.at_s = hypotheses, at_s
        self._normalise()

    # --- hypotheses --------------------------------------------------------------------------

    def _begin(self, weight_g: float) -> None:
        for counts in self._first_counts(weight_g):
            for foreign, share in ((None, 1 - P_FOREIGN_AT_START), (OTHER, P_FOREIGN_AT_START)):
                state = Gauss.independent(*self._first_state(counts))
                if foreign is not None:
                    state.reset(FOREIGN, FOREIGN_MEAN_G, FOREIGN_SD_G**2)
                one = Hypothesis(counts, foreign, log(share) + self._log_stocked(counts), state)
                one.log_weight += self._likelihood(one, weight_g)
                self.hypotheses.append(one)
        self._prune(LEAST_AT_FIRST)
        self._learn(weight_g)

    def _log_stocked(self, counts: tuple[int, ...]) -> float:
        """A facing is filled up to its capacity; more on it is rare."""
        return sum(-3.0 for n, item in zip(counts, self.items, strict=True) if n > item.capacity)

    def _first_counts(self, weight_g: float) -> Iterator[tuple[int, ...]]:
        """The counts that may weigh so much, or less with something foreign."""
        *others, last = self.items
        ranges = [range(item.most + 1) for item in others]
        for counts in _products(ranges):
            rest_g = weight_g - sum(n * i.unit_weight_g for n, i in zip(counts, others, strict=True))
            if rest_g < -3 * last.unit_weight_g:
                continue
            nearest = max(0, min(last.most, round(rest_g / last.unit_weight_g)))
            lowest = max(0, nearest - 12) if not others else max(0, nearest - 1)
            for n in range(lowest, min(last.most, nearest + 3) + 1):
                yield (*counts, n)

    def _first_state(self, counts: tuple[int, ...]) -> tuple[list[float], list[float]]:
        variance = [PLATE_SD_G**2, 0.0]
        for n, item in zip(counts, self.items, strict=True):
            variance += [n * item.unit_sd_g**2, item.bias_sd_g**2]
        return [0.0] * len(variance), variance

    def _turns(
        self, parent: Hypothesis, weight_g: float, *, unseen: bool
    ) -> Iterator[tuple[tuple[int, ...], str | None, float]]:
        """What may have happened: counts and foreign thing afterwards, and the log of its probability."""
        clean = parent.foreign is None
        stays = (
            log(1 - P_FOREIGN_COMES - P_MISPLACED) if clean else log(1 - P_FOREIGN_GOES - P_FOREIGN_CHANGES)
        )
        for counts, prior in self._moves(parent, parent.foreign, weight_g, unseen=unseen):
            yield counts, parent.foreign, prior + stays
        if clean:
            for counts, prior in self._beside(parent):
                yield counts, OTHER, prior + log(P_FOREIGN_COMES)
            for gtin in self.neighbours:
                yield parent.counts, gtin, log(P_MISPLACED / len(self.neighbours))
            return
        for counts, prior in self._moves(parent, None, weight_g, unseen=unseen):
            yield counts, None, prior + log(P_FOREIGN_GOES)
        if parent.foreign != OTHER:
            yield parent.counts, OTHER, log(P_FOREIGN_CHANGES)

    def _moves(
        self, parent: Hypothesis, foreign: str | None, weight_g: float, *, unseen: bool
    ) -> Iterator[tuple[tuple[int, ...], float]]:
        """Counts that come near the weight, and the log of how usual that change is."""
        residual_g = weight_g - self._expected(parent.counts, foreign, parent.state)[0]
        log_move = _log_unseen if unseen else _log_seen
        yield parent.counts, log_move(0, self.items[0], parent.counts[0])
        for index in range(len(self.items)):
            for counts, change in self._near(parent, index, parent.counts, residual_g):
                yield counts, log_move(change, self.items[index], parent.counts[index]) - log(len(self.items))
        for first, second in combinations(range(len(self.items)), 2):
            for change in (-3, -2, -1, 1, 2, 3):
                n = parent.counts[first] + change
                if not 0 <= n <= self.items[first].most:
                    continue
                counts = (*parent.counts[:first], n, *parent.counts[first + 1 :])
                left_g = residual_g - change * self._unit_g(parent, first)
                prior = log(P_TWO_ITEMS) + log_move(change, self.items[first], parent.counts[first])
                for both, other in self._near(parent, second, counts, left_g):
                    yield both, prior + log_move(other, self.items[second], parent.counts[second])

    def _beside(self, parent: Hypothesis) -> Iterator[tuple[tuple[int, ...], float]]:
        """What is moved in the moment in which something foreign comes, whose weight nobody knows."""
        yield parent.counts, log(P_FOREIGN_ALONE)
        for index, item in enumerate(self.items):
            n = parent.counts[index]
            for change in range(max(-3, -n), min(3, item.most - n) + 1):
                if change:
                    counts = (*parent.counts[:index], n + change, *parent.counts[index + 1 :])
                    share = (1 - P_FOREIGN_ALONE) / len(self.items)
                    yield counts, log(share) + _log_seen(change, item, n)

    def _near(
        self, parent: Hypothesis, index: int, counts: tuple[int, ...], residual_g: float
    ) -> Iterator[tuple[tuple[int, ...], int]]:
        """Changes of one item that explain about so many grams, none left out that could; never 0."""
        item, n = self.items[index], counts[index]
        unit_g = self._unit_g(parent, index)
        exact = residual_g / unit_g
        reach = 0.5 + 2.0 * item.unit_sd_g * max(1.0, abs(exact)) ** 0.5 / unit_g
        for change in range(round(exact - reach), round(exact + reach) + 1):
            if change and 0 <= n + change <= item.most:
                yield (*counts[:index], n + change, *counts[index + 1 :]), change

    def _unit_g(self, parent: Hypothesis, index: int) -> float:
        learnt = self.items[index].unit_weight_g + parent.state.mean[3 + 2 * index]
        return max(0.5 * self.items[index].unit_weight_g, learnt)

    def _turn_likelihood(
        self, parent: Hypothesis, counts: tuple[int, ...], foreign: str | None, weight_g: float
    ) -> float:
        """As of the child, without making it: what a turn does to the state is linear."""
        weights, nominal_g, variance = [1.0, 0.0], 0.0, REST_SD_G**2
        if foreign is not None and foreign == parent.foreign:
            weights[1] = 1.0
        elif foreign is not None:
            mean_g, sd_g = self._mass_of(foreign)
            nominal_g, variance = mean_g, variance + sd_g**2
        for before, n, item in zip(parent.counts, counts, self.items, strict=True):
            stays, fresh = _pieces(before, n)
            weights += [stays, float(n)]
            nominal_g += n * item.unit_weight_g
            variance += fresh * item.unit_sd_g**2
        mean, spread = parent.state.expect(weights)
        return log_density(weight_g - nominal_g - mean, spread + variance)

    def _child(
        self, parent: Hypothesis, counts: tuple[int, ...], foreign: str | None, log_weight: float
    ) -> Hypothesis:
        state = parent.state.copy()
        for index, (before, n, item) in enumerate(zip(parent.counts, counts, self.items, strict=True)):
            stays, fresh = _pieces(before, n)
            if stays != 1.0:
                state.shrink(2 + 2 * index, stays)
            if fresh:
                state.diffuse(2 + 2 * index, fresh * item.unit_sd_g**2)
        if foreign != parent.foreign:
            mean_g, sd_g = (0.0, 0.0) if foreign is None else self._mass_of(foreign)
            state.reset(FOREIGN, mean_g, sd_g**2)
        return Hypothesis(counts, foreign, log_weight, state)

    def _mass_of(self, foreign: str) -> tuple[float, float]:
        return (FOREIGN_MEAN_G, FOREIGN_SD_G) if foreign == OTHER else self.neighbours[foreign]

    # --- weights -----------------------------------------------------------------------------

    def _expected(self, counts: tuple[int, ...], foreign: str | None, state: Gauss) -> tuple[float, float]:
        mean, variance = state.expect(_weights(counts, foreign))
        nominal = sum(n * item.unit_weight_g for n, item in zip(counts, self.items, strict=True))
        return nominal + mean, variance + REST_SD_G**2

    def _likelihood(self, one: Hypothesis, weight_g: float) -> float:
        mean, variance = self._expected(one.counts, one.foreign, one.state)
        return log_density(weight_g - mean, variance)

    def _learn(self, weight_g: float) -> None:
        for one in self.hypotheses:
            nominal = sum(n * item.unit_weight_g for n, item in zip(one.counts, self.items, strict=True))
            one.state.measure(_weights(one.counts, one.foreign), weight_g - nominal, REST_SD_G**2)

    def _drift(self, at_s: float) -> None:
        walked = DRIFT_G_PER_SQRT_H**2 * max(0.0, at_s - self.at_s) / 3600
        self.at_s = at_s
        for one in self.hypotheses:
            one.state.diffuse(DRIFT, walked)

    def _prune(self, least: float = LEAST) -> None:
        self.hypotheses.sort(key=lambda one: -one.log_weight)
        best = self.hypotheses[0].log_weight
        self.hypotheses = [one for one in self.hypotheses[:KEPT] if one.log_weight > best + log(least)]
        self._normalise()

    def _normalise(self) -> None:
        best = max(one.log_weight for one in self.hypotheses)
        total = log(sum(exp(one.log_weight - best) for one in self.hypotheses))
        for one in self.hypotheses:
            one.log_weight = one.log_weight - best - total


def _pieces(before: int, n: int) -> tuple[float, float]:
    """What is left of the summed deviations of `before` pieces when there are n, and how much is new in them.

    In variances of one piece; pieces that are taken at random leave with their own share.
    """
    if n >= before:
        return 1.0, float(n - before)
    return n / before, (before - n) * n / before


def _weights(counts: tuple[int, ...], foreign: str | None) -> list[float]:
    weights = [1.0, 0.0 if foreign is None else 1.0]
    for n in counts:
        weights += [1.0, float(n)]
    return weights


def _log_seen(change: int, item: Item, before: int) -> float:
    """How usual a change is when somebody touched the plate."""
    if change == 0:
        return log(P_UNTOUCHED)
    if change < 0:
        return log(P_TAKEN * (1 - MORE_TAKEN)) + (-change - 1) * log(MORE_TAKEN)
    over = -3.0 if before + change > item.capacity else 0.0
    filled = P_FILLED / max(1, item.capacity)
    brought = P_BROUGHT * (1 - MORE_BROUGHT) * MORE_BROUGHT ** (change - 1)
    return log(filled + brought) + over


def _log_unseen(change: int, item: Item, before: int) -> float:
    """How usual a change is when nobody looked: anything may have happened."""
    if change == 0:
        return log(P_UNSEEN_SAME)
    over = -3.0 if before + change > item.capacity else 0.0
    return log((1 - P_UNSEEN_SAME) / (item.capacity + 1)) + over


def _log_sum(a: float, b: float) -> float:
    high, low = (a, b) if a > b else (b, a)
    return high if low == -inf else high + log(1 + exp(low - high))


def _products(ranges: Sequence[range]) -> Iterator[tuple[int, ...]]:
    if not ranges:
        yield ()
        return
    for head in ranges[0]:
        for tail in _products(ranges[1:]):
            yield (head, *tail)
