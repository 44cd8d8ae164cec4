"""What lies on one plate, as weighted hypotheses: how many of each item, something foreign or not.

What a change says (it is exact) and what the whole weight says (it does not forget) are used together, and
each counted change teaches the unit weight and its spread. Pure.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log

from edge_agent.stock.acts import Acts
from edge_agent.stock.gauss import Gauss, log_density
from edge_agent.stock.habits import USUAL, Habits
from edge_agent.stock.hypothesis import (
    DRIFT,
    FOREIGN,
    ITEMS,
    OTHER,
    Counts,
    Hypothesis,
    Item,
    Way,
    nominal_g,
    pieces,
)
from edge_agent.stock.spread import Spread
from edge_agent.stock.tag_evidence import Known
from edge_agent.stock.turns import Lean, Stranger, Turns

KEPT, LEAST = 16, 1e-4
"""So many hypotheses at most are kept, and none of less weight than this."""
LEAST_AT_FIRST = 1e-3
"""The same for the first weight: in a store of thousands of plates all of them begin at once."""
FIRST_LOOKED_AT = 64
"""So many combinations of counts at most are looked at for the first weight."""
ELSEWHERE = 0.4
"""Share of misplaced items that belong to another shelf."""
FROM_NOWHERE = 0.2
"""Share of misplaced items of which nobody saw that they were taken from their place."""
LEAST_HEARD = 1e-5
"""However little what the tags say fits: a reader may have been disturbed."""
COUNTED_RIGHT = 0.97
"""A person who counts a facing is right, or off by one."""

Likelihood = Callable[[int, Known], float]
"""Of what is heard of an item's tags, where so many lie of which so much is known."""


@dataclass(slots=True)
class PlateBelief:
    """The mixture. `neighbours` may be put here: GTIN of the same shelf to weight and spread, OTHER of any.

    `away`: how many of each of them have been taken from their place and not brought back.
    """

    items: Sequence[Item]
    neighbours: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    habits: Habits = USUAL
    hypotheses: list[Hypothesis] = field(default_factory=list)
    at_s: float = 0.0
    away: dict[str, int] = field(default_factory=dict)
    spreads: list[Spread] = field(default_factory=list)
    tags: list[int | None] = field(default_factory=list)
    """Of each item, how many tags were there when they last spoke for good; None: never."""

    def __post_init__(self) -> None:
        if not self.spreads:
            self.spreads = [Spread(item.unit_sd_g, item.spread_guessed) for item in self.items]
        if not self.tags:
            self.tags = [None] * len(self.items)

    def weigh(
        self,
        weight_g: float,
        at_s: float,
        *,
        unseen: bool = False,
        leans: Sequence[Lean] = (),
        places: Sequence[float | None] = (),
    ) -> None:
        """The plate came to rest at `weight_g` after it was touched, or (`unseen`) after nobody looked.

        `leans`: what its neighbours' changes say. `places`: for each item, what changed where only it lies.
        """
        if not self.hypotheses:
            self.at_s = at_s
            self._begin(weight_g)
            return
        self._drift(at_s)
        variances = [spread.variance for spread in self.spreads]
        bias_sds_g = [item.bias_sd_g(self.habits) for item in self.items]
        acts = Acts(self.items, variances, self.habits, unseen, bias_sds_g)
        turns = Turns(acts, weight_g, list(self._strangers()), LEAST, leans, places)
        for parent in self.hypotheses:
            turns.follow(parent)
        found, least = turns.found, turns.best + log(LEAST)
        best = heapq.nlargest(KEPT, ((turn.total, key) for key, turn in found.items() if turn.total > least))
        before = found[best[0][1]].way.parent
        self.hypotheses = [self._child(found[key].way, key[0], key[1], total) for total, key in best]
        self._normalise()
        self._teach(before, self.hypotheses[0], weight_g)
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

    def hint(self, item: int, logs: Mapping[int, float], otherwise: float = 0.0) -> None:
        """Something else speaks of one item's count: count to log likelihood, `otherwise` of the others."""
        for one in self.hypotheses:
            one.log_weight += logs.get(one.counts[item], otherwise)
        self._prune()

    def known(self, one: Hypothesis, item: int) -> Known:
        """Where one hypothesis is right: items that lay there once, and how many of them have no tag."""
        tags = self.tags[item]
        return (0, 0) if tags is None else (one.since[item], max(0, one.since[item] - tags))

    def with_tags(self, item: int, likelihood: Likelihood) -> dict[int, float]:
        """Count of one item to its weight when what its tags say now is heard too; not normalised."""
        found: dict[int, float] = {}
        for one in self.hypotheses:
            n = one.counts[item]
            share = exp(one.log_weight) * likelihood(n, self.known(one, item))
            found[n] = found.get(n, 0.0) + share
        return found

    def hear(self, item: int, likelihood: Likelihood, tags: int) -> None:
        """The tags speak for good: so many are there, what came and went with the last touches is clear."""
        for one in self.hypotheses:
            n = one.counts[item]
            one.log_weight += log(max(LEAST_HEARD, likelihood(n, self.known(one, item))))
            one.since = (*one.since[:item], n, *one.since[item + 1 :])
        self.tags[item] = tags
        self._prune()

    def recount(self, item: int, n: int, weight_g: float | None) -> None:
        """A person counted `n` of one item while the plate rests at `weight_g` (None: it moves)."""
        found: dict[tuple[Counts, str | None], Hypothesis] = {}
        for one in self.hypotheses:
            off = abs(one.counts[item] - n)
            counts = (*one.counts[:item], n, *one.counts[item + 1 :])
            gain = one.log_weight + (log(1 - COUNTED_RIGHT) if off else 0.0)
            ways = [(Way(one), one.foreign, gain)]
            if off and weight_g is not None:
                mean_g, sd_g = self.habits.foreign_mean_g, self.habits.foreign_sd_g
                ways.append((Way(one, True, mean_g, sd_g), OTHER, gain + log(self.habits.foreign_at_start)))
            for way, foreign, so_far in ways:
                child = self._child(way, counts, foreign, so_far)
                if weight_g is not None:
                    child.log_weight += self._likelihood(child, weight_g)
                known = found.get((counts, foreign))
                if known is None or child.log_weight > known.log_weight:
                    found[(counts, foreign)] = child
        if not found:
            return
        self.hypotheses = list(found.values())
        self._prune()
        if weight_g is not None:
            self._learn(weight_g)

    def distribution(self, item: int) -> dict[int, float]:
        """Count of one item to its probability."""
        found: dict[int, float] = {}
        for one in self.hypotheses:
            found[one.counts[item]] = found.get(one.counts[item], 0.0) + exp(one.log_weight)
        return found

    def foreign(self, item: int, on_hand: int) -> dict[str, float]:
        """What may lie there beside so many of an item (OTHER, ACROSS or a GTIN), to its probability."""
        found: dict[str, float] = {}
        whole = 0.0
        for one in self.hypotheses:
            if one.counts[item] == on_hand:
                share = exp(one.log_weight)
                whole += share
                if one.foreign is not None:
                    found[one.foreign] = found.get(one.foreign, 0.0) + share
        return {what: share / whole for what, share in found.items()}

    def unit_weight_g(self, item: int) -> float:
        """What one piece of an item weighs, as learnt from what was counted."""
        return self.items[item].unit_weight_g + self._mean(ITEMS + 1 + 2 * item)

    def drift_g(self) -> float:
        """How far the plate's zero is off."""
        return self._mean(DRIFT)

    def restore(self, hypotheses: list[Hypothesis], at_s: float) -> None:
        """Put back what was believed at `at_s`."""
        self.hypotheses, self.at_s = hypotheses, at_s
        self._normalise()

    # --- hypotheses --------------------------------------------------------------------------

    def _begin(self, weight_g: float) -> None:
        alien = self.habits.foreign_at_start
        nothing = (0,) * len(
            self.items
        )  # a plate that was tared with something on it may weigh less than that
        near = heapq.nlargest(FIRST_LOOKED_AT, self._first_counts(weight_g), key=self._nearness(weight_g))
        for counts in near or [nothing]:
            for foreign, share in ((None, 1 - alien), (OTHER, alien)):
                state = Gauss.independent(*self._first_state(counts))
                if foreign is not None:
                    state.reset(FOREIGN, self.habits.foreign_mean_g, self.habits.foreign_sd_g**2)
                one = Hypothesis(counts, foreign, log(share) + self._log_stocked(counts), state, counts)
                one.log_weight += self._likelihood(one, weight_g)
                self.hypotheses.append(one)
        self._prune(LEAST_AT_FIRST)
        self._learn(weight_g)

    def _nearness(self, weight_g: float) -> Callable[[Counts], float]:
        """How well counts explain a first weight, roughly: of many combinations a few are looked at."""
        if len(self.items) == 1:
            return lambda _: 0.0

        def nearness(counts: Counts) -> float:
            _, variance = self._first_state(counts)
            spread = sum(variance[0:1]) + sum(variance[ITEMS::2]) + self.habits.rest_sd_g**2
            spread += sum(n * n * one for n, one in zip(counts, variance[ITEMS + 1 :: 2], strict=True))
            surprise_g = weight_g - nominal_g(counts, self.items)
            return log_density(surprise_g, spread) + self._log_stocked(counts)

        return nearness

    def _log_stocked(self, counts: Counts) -> float:
        """A facing is filled up to its capacity; more on it is rare."""
        return sum(-3.0 for n, item in zip(counts, self.items, strict=True) if n > item.capacity)

    def _first_counts(self, weight_g: float) -> Iterator[Counts]:
        """The counts that may weigh so much, or less with something foreign."""
        *others, last = self.items
        for counts in _products([range(item.most + 1) for item in others]):
            rest_g = weight_g - nominal_g(counts, others)
            if rest_g < -3 * last.unit_weight_g:
                continue
            nearest = max(0, min(last.most, round(rest_g / last.unit_weight_g)))
            lowest = max(0, nearest - 12) if not others else max(0, nearest - 1)
            for n in range(lowest, min(last.most, nearest + 3) + 1):
                yield (*counts, n)

    def _first_state(self, counts: Counts) -> tuple[list[float], list[float]]:
        variance = [self.habits.plate_sd_g**2, 0.0]
        for n, item, spread in zip(counts, self.items, self.spreads, strict=True):
            variance += [n * spread.variance, item.bias_sd_g(self.habits) ** 2]
        return [0.0] * len(variance), variance

    def _strangers(self) -> Iterator[Stranger]:
        """Items of the shelf that may be put here, and how probable each is: what is away the more."""
        on_shelf = [gtin for gtin in self.neighbours if gtin != OTHER]
        away = sum(self.away.get(gtin, 0) for gtin in on_shelf)
        for gtin, (weight_g, sd_g) in self.neighbours.items():
            if gtin == OTHER:
                yield Stranger(gtin, weight_g, sd_g, ELSEWHERE)
                continue
            share = (1 - FROM_NOWHERE) * self.away.get(gtin, 0) / away if away else 0.0
            yield Stranger(gtin, weight_g, sd_g, (1 - ELSEWHERE) * (FROM_NOWHERE / len(on_shelf) + share))

    def _child(self, way: Way, counts: Counts, foreign: str | None, log_weight: float) -> Hypothesis:
        state = way.parent.state.copy()
        for index, (before, n) in enumerate(zip(way.parent.counts, counts, strict=True)):
            left, fresh = pieces(before, n)
            if left != 1.0:
                state.shrink(ITEMS + 2 * index, left)
            if fresh:
                state.diffuse(ITEMS + 2 * index, fresh * self.spreads[index].variance)
        if not way.stays:
            state.reset(FOREIGN, 0.0, 0.0)
        if way.mass_sd_g:
            state.mean[FOREIGN] += way.mass_g
            state.diffuse(FOREIGN, way.mass_sd_g**2)
        return Hypothesis(counts, foreign, log_weight, state, way.parent.since)

    # --- weights -----------------------------------------------------------------------------

    def _likelihood(self, one: Hypothesis, weight_g: float) -> float:
        mean_g, variance = one.state.expect(one.weights())
        surprise_g = weight_g - nominal_g(one.counts, self.items) - mean_g
        return log_density(surprise_g, variance + self.habits.rest_sd_g**2)

    def _learn(self, weight_g: float) -> None:
        for one in self.hypotheses:
            own_g = weight_g - nominal_g(one.counts, self.items)
            one.state.measure(one.weights(), own_g, self.habits.rest_sd_g**2)

    def _teach(self, before: Hypothesis, after: Hypothesis, weight_g: float) -> None:
        """A change that is nearly certain tells how much pieces vary."""
        changed = [i for i, (a, b) in enumerate(zip(before.counts, after.counts, strict=True)) if a != b]
        if len(changed) != 1 or before.foreign != after.foreign or exp(after.log_weight) < Spread.SURE:
            return
        mean_g, variance = after.state.expect(after.weights())
        surprise_g = weight_g - nominal_g(after.counts, self.items) - mean_g
        index = changed[0]
        _, fresh = pieces(before.counts[index], after.counts[index])
        self.spreads[index].learn(surprise_g, variance + self.habits.rest_sd_g**2, fresh)

    def _mean(self, entry: int) -> float:
        return sum(exp(one.log_weight) * one.state.mean[entry] for one in self.hypotheses)

    def _drift(self, at_s: float) -> None:
        walked = self.habits.drift_g_per_sqrt_h**2 * max(0.0, at_s - self.at_s) / 3600
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


def _products(ranges: Sequence[range]) -> Iterator[Counts]:
    if not ranges:
        yield ()
        return
    for head in ranges[0]:
        for tail in _products(ranges[1:]):
            yield (head, *tail)
