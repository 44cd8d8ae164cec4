"""Where the hypotheses about a touched plate may have gone, and how well that explains its weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, inf, log, pi

from edge_agent.stock.acts import Acts
from edge_agent.stock.gauss import log_density
from edge_agent.stock.hypothesis import ACROSS, FOREIGN, ITEMS, OTHER, Counts, Forecast, Hypothesis, Way

LEAST_FOREIGN_G = 20.0
"""What weighs less is nothing that people lay down and leave."""
PLACE_SD_G, ON_OTHERS, LEAST_PLACED = 2.0, 0.3, -20.0
"""A plate nobody touched changes by so much; what moves lies wholly on shared plates so often; and a plate
says no more than that against what all of them weigh."""

Key = tuple[Counts, str | None, tuple[int, ...]]
"""Counts, what is foreign, and about which unit weights: accounts that differ in these stay apart."""


@dataclass(frozen=True, slots=True)
class Lean:
    """What a neighbouring plate's change says of this one.

    `own`: an item of its own has come to lie there but for a part that the neighbour bears (`mass_g` below
    0); else it bears `mass_g` of an item of the neighbour's.
    """

    own: bool
    mass_g: float
    sd_g: float


@dataclass(frozen=True, slots=True)
class Stranger:
    """An item of the same shelf that may be put here: its weight and spread, and its share of such acts."""

    gtin: str
    weight_g: float
    sd_g: float
    share: float


@dataclass(slots=True)
class Turn:
    """Ways to one hypothesis: the log of their probability together, and the best one."""

    total: float
    best: float
    way: Way

    def add(self, gain: float, way: Way) -> None:
        """One more way."""
        self.total = _log_sum(self.total, gain)
        if gain > self.best:
            self.best, self.way = gain, way


@dataclass(slots=True)
class Turns:
    """All turns of a plate that came to rest at `weight_g`; those of less than `least` are not looked for."""

    acts: Acts
    weight_g: float
    strangers: Sequence[Stranger]
    least: float
    leans: Sequence[Lean] = ()
    places: Sequence[float | None] = ()
    """What changed, for each item, on the plates where nothing else lies; None: it has none for itself."""
    found: dict[Key, Turn] = field(default_factory=dict)
    best: float = -inf
    _units: tuple[int, ...] = ()

    def follow(self, parent: Hypothesis) -> None:
        """What may have become of one hypothesis; the probable ones first spare work."""
        usual = self.acts.habits
        errors_g = parent.state.mean[ITEMS + 1 :: 2]
        self._units = tuple([round(one / sd) for one, sd in zip(errors_g, self.acts.bias_sds_g, strict=True)])
        stays = Forecast(parent, self.acts.items, self.acts.variances, stays=True)
        way = Way(parent)
        comes, clean = log(usual.foreign_comes), parent.foreign is None
        alike = (
            1
            - usual.foreign_comes
            - (usual.misplaced if clean else usual.foreign_goes + usual.foreign_changes)
        )
        usually, more_g = log(alike), self.weight_g - stays.mean_g
        for counts, prior in self.acts.moves(parent, more_g):
            self._try(way, stays, counts, parent.foreign, prior + usually)
        least = self._least(parent, usually)
        for counts, prior in self.acts.pairs(parent, more_g, stays.variance, least):
            self._try(way, stays, counts, parent.foreign, prior + usually)
        bag = Way(parent, True, usual.foreign_mean_g, usual.foreign_sd_g)
        for counts, prior in self.acts.beside(
            parent, usual.comes_alone, self._least(parent, comes, usual.foreign_sd_g)
        ):
            self._try(bag, stays, counts, OTHER, prior + comes)
        if clean:
            for one in self.strangers:
                stray = Way(parent, True, one.weight_g, one.sd_g)
                self._try(stray, stays, parent.counts, one.gtin, log(usual.misplaced * one.share))
            self._lean(parent, stays)
            return
        goes = Forecast(parent, self.acts.items, self.acts.variances, stays=False)
        gone, free = log(usual.foreign_goes), Way(parent, stays=False)
        self._try(free, goes, parent.counts, None, gone + log(usual.goes_alone))
        for counts, prior in self.acts.moves(parent, self.weight_g - goes.mean_g):
            self._try(free, goes, counts, None, gone + log(1 - usual.goes_alone) + prior)
        part = Way(parent, False, usual.foreign_mean_g, usual.foreign_sd_g)
        changes = log(usual.foreign_changes)
        for counts, prior in self.acts.beside(
            parent, usual.goes_alone, self._least(parent, changes, usual.foreign_sd_g)
        ):
            self._try(part, goes, counts, OTHER, changes + prior)

    def _lean(self, parent: Hypothesis, stays: Forecast) -> None:
        """An item comes to lie across the seam to a neighbouring plate."""
        rare = log(self.acts.habits.across)
        for lean in self.leans:
            way = Way(parent, True, lean.mass_g, lean.sd_g)
            if not lean.own:
                self._try(way, stays, parent.counts, ACROSS, rare)
                continue
            whole_g = self.weight_g - lean.mass_g - stays.mean_g
            for counts, prior in self.acts.moves(parent, whole_g):
                if sum(counts) > sum(parent.counts):
                    self._try(way, stays, counts, ACROSS, rare + prior)

    def _try(self, way: Way, forecast: Forecast, counts: Counts, foreign: str | None, prior: float) -> None:
        """One turn. What cannot come near the best one, however well it explains, is left."""
        if prior < self._least(way.parent, 0.0, way.mass_sd_g):
            return
        noise, so_far = self.acts.habits.rest_sd_g**2, way.parent.log_weight + prior
        mean_g, variance = forecast.expect(counts)
        if way.mass_sd_g and foreign == OTHER and not self._heavy(self.weight_g - mean_g, way):
            return
        variance += noise + way.mass_sd_g**2
        gain = so_far + log_density(self.weight_g - mean_g - way.mass_g, variance)
        if self.places:
            gain += self._placed(way.parent, counts, foreign)
        self.best = max(self.best, gain)
        key = (counts, foreign, self._units)
        known = self.found.get(key)
        if known is None:
            self.found[key] = Turn(gain, gain, way)
        else:
            known.add(gain, way)

    def _least(self, parent: Hypothesis, prior: float, sd_g: float = 0.0) -> float:
        """What else must be as usual as this, besides `prior`, to come near the best turn.

        However well it explains the weight: what comes weighs anything within `sd_g`.
        """
        flattest = 0.5 * log(2 * pi * (self.acts.habits.rest_sd_g**2 + sd_g * sd_g))
        return self.best + log(self.least) + flattest - parent.log_weight - prior

    def _placed(self, parent: Hypothesis, counts: Counts, foreign: str | None) -> float:
        """How well the plates on which a single item lies agree with what is said to have moved."""
        log_share = 0.0
        for item, change_g, a, b in zip(self.acts.items, self.places, parent.counts, counts, strict=True):
            if change_g is None:
                continue
            share = log_density(change_g, PLACE_SD_G**2)
            if a != b or foreign != parent.foreign:
                moved_g = abs(a - b) * item.unit_weight_g or self.acts.habits.foreign_sd_g
                share = _log_sum(log(ON_OTHERS) + share, log((1 - ON_OTHERS) / moved_g))
            log_share += max(share, LEAST_PLACED)
        return log_share

    def _heavy(self, more_g: float, way: Way) -> bool:
        """Whether so much can be something foreign that came, or what is left of it."""
        at_most_g = inf if way.stays else way.parent.state.mean[FOREIGN] - LEAST_FOREIGN_G
        return LEAST_FOREIGN_G < more_g < at_most_g


def _log_sum(a: float, b: float) -> float:
    high, low = (a, b) if a > b else (b, a)
    return high if low == -inf else high + log(1 + exp(low - high))
