"""What a filter believes that is told the generator's parameters: how much room is left for ours.

Parameters, not draws: how often, how heavy, how widely spread things are, never what happened in the store that
is scored. How often people do what is counted in the plan of a seed that is not scored.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from statistics import NormalDist

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
LOUDER_DB = 6.0
"""A tag moves to where it is heard so much louder (`edge_agent/stock/presence.py`)."""
ITEM_ACROSS_G, ITEM_ACROSS_SD_G = 90.0, 60.0
"""What a plate bears of an item that lies across: 0.2 to 0.8 of some 155 g."""
ACROSS_STAYS_ACTS = 8.0
"""Until a shopper takes it of what lies there, or staff fill up."""


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
    bags = kind.bags * (1.0 - mix.filled)
    comes, moved = bags + 2 * mix.across, mix.taken + mix.brought + mix.filled
    touches = 1.0 + comes
    bag_share = bags / comes if comes else 1.0
    mean_g, sd_g = _foreign(bag_share)
    still = 1.0 - NEVER
    return replace(
        USUAL,
        plate_sd_g=ZERO_SD_G,
        drift_g_per_sqrt_h=noise.drift_g_per_sqrt_h,
        unit_cv=kind.unit_cv,
        unit_bias=kind.unit_bias,
        bias_of_spread=0.0,
        foreign_mean_g=mean_g,
        foreign_sd_g=sd_g,
        foreign_at_start=NEVER,
        foreign_comes=max(NEVER, comes / touches),
        comes_alone=max(NEVER, 1.0 - bag_share),
        foreign_goes=_goes(kind, mix, bags),
        goes_alone=0.99,
        foreign_changes=NEVER,
        misplaced=max(NEVER, mix.misplaced / touches),
        untouched=NEVER,
        taken=still * mix.taken / moved,
        brought=still * mix.brought / moved,
        filled=still * mix.filled / moved,
        more_taken=mix.twice / (1.0 - mix.twice),
        more_brought=NEVER,
        over=NEVER,
        two_items=NEVER,
        readable=1.0 - _kept_elsewhere(noise),
        strays=0.01,
        tag_power=1.0,
    )


def _goes(kind: StoreKind, mix: Mix, bags: float) -> float:
    """Of the touches of a plate on which something foreign lies, those that take it away. Nobody ever takes
    away what was put into the wrong place."""
    acts_a_plate = ACTS_PER_FACING * (2 if kind.wide else kind.per_plate)
    acts_a_stay = acts_a_plate * sum(kind.bag_stays_s) / 2 / (HOURS * 3600)
    with_foreign = bags * (acts_a_stay + 1.0) + 2 * mix.across * ACROSS_STAYS_ACTS
    with_foreign += mix.misplaced * acts_a_plate / 2
    return max(NEVER, (bags + 2 * mix.across) / with_foreign) if with_foreign else NEVER


def _foreign(bag_share: float) -> tuple[float, float]:
    """Mean and spread of a bag (uniform), or of what lies across."""
    low, high = People().bag_g
    mean_g, variance = (low + high) / 2, (high - low) ** 2 / 12
    both_g = bag_share * mean_g + (1 - bag_share) * ITEM_ACROSS_G
    squares = bag_share * (variance + mean_g**2) + (1 - bag_share) * (ITEM_ACROSS_SD_G**2 + ITEM_ACROSS_G**2)
    return both_g, math.sqrt(squares - both_g**2)


def _kept_elsewhere(noise: Noise) -> float:
    """Share of tags that are first heard by a neighbour's antenna, where they are nearly as loud."""
    first = noise.cross_read_share / (1.0 + noise.cross_read_share)
    return first * NormalDist(noise.neighbour_loss_db, noise.shadowing_db).cdf(LOUDER_DB)
