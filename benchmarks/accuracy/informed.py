"""What a filter believes that is told the generator's parameters: how much room is left for ours.

Parameters, not draws: how often, how heavy, how widely spread things are, never what happened in the store that
is scored. How often people do what is counted in the plan of a seed that is not scored.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace

from benchmarks.accuracy.premises import premises
from benchmarks.accuracy.stores import ACTS_PER_FACING, HOURS, StoreKind
from device_sims.noise import Noise
from device_sims.people import People
from device_sims.plan import plan_visit
from edge_agent.stock.habits import USUAL, Habits

TUNING_SEED = 1
NEVER = 0.002
"""What the generator does not do: a filter that held it for impossible could not recover from its own errors."""
ZERO_SD_G = 0.5
"""Creep under what lies there when the store opens: 0.0002 of some kilograms."""
MISHEARD = 0.01
"""Tags whose place is taken for a neighbour's: 0.009 a facing were counted in stores with tags alone."""
TOGETHER = 0.5
"""Of two neighbouring plates that are touched at once so many bear an item across: others hardly ever are."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Of all acts in a plan, the share of each kind; `twice`: of the picks those of two items."""

    taken: float
    brought: float
    filled: float
    misplaced: float
    across: float
    twice: float


def mix_of(kind: StoreKind) -> Mix:
    """What people do in a store of that kind, in a seed on which nothing is reported."""
    world = premises(kind, TUNING_SEED).world
    acts = plan_visit(world, seconds=world.seconds, seed=TUNING_SEED).acts
    times, total = Counter(act.kind for act in acts), len(acts)
    twice = sum(act.kind == "pick" and act.quantity > 1 for act in acts)
    across = sum(act.kind == "return" and bool(act.across) for act in acts)
    return Mix(
        taken=times["pick"] / total,
        brought=times["return"] / total,
        filled=times["restock"] / total,
        misplaced=times["misplace"] / total,
        across=across / total,
        twice=twice / times["pick"],
    )


def habits_of(kind: StoreKind, noise: Noise) -> Habits:
    """The generator's parameters of one store, as far as the estimator has a place for them."""
    mix = mix_of(kind)
    bags, moved = kind.bags * (1.0 - mix.filled), mix.taken + mix.brought + mix.filled
    low_g, high_g = People().bag_g
    still = 1.0 - NEVER
    return replace(
        USUAL,
        plate_sd_g=ZERO_SD_G,
        drift_g_per_sqrt_h=noise.drift_g_per_sqrt_h,
        unit_cv=kind.unit_cv,
        unit_bias=kind.unit_bias,
        bias_of_spread=0.0,
        foreign_mean_g=(low_g + high_g) / 2,
        foreign_sd_g=(high_g - low_g) / math.sqrt(12),
        foreign_at_start=NEVER,
        foreign_comes=max(NEVER, bags),
        comes_alone=NEVER,
        foreign_goes=_goes(kind, mix, bags),
        goes_alone=0.99,
        foreign_changes=NEVER,
        misplaced=max(NEVER, mix.misplaced),
        across=TOGETHER if mix.across else NEVER,
        untouched=NEVER,
        taken=still * mix.taken / moved,
        brought=still * mix.brought / moved,
        filled=still * mix.filled / moved,
        more_taken=mix.twice / (1.0 - mix.twice),
        more_brought=NEVER,
        over=NEVER,
        two_items=NEVER,
        readable=1.0 - MISHEARD,
        strays=0.01,
        tag_power=1.0,
    )


def _goes(kind: StoreKind, mix: Mix, bags: float) -> float:
    """Of the touches of a plate on which something foreign lies, those that take it away. Nobody ever takes
    away what was put into the wrong place."""
    acts_a_plate = ACTS_PER_FACING * (2 if kind.wide else kind.per_plate)
    acts_a_stay = acts_a_plate * sum(kind.bag_stays_s) / 2 / (HOURS * 3600)
    with_foreign = bags * (acts_a_stay + 1.0) + mix.misplaced * acts_a_plate / 2
    return max(NEVER, bags / with_foreign) if with_foreign else NEVER
