"""How plates err, how much pieces vary, what people do at a shelf: what is believed before any reading."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Habits:
    """Probabilities are per touch of a plate, set by hand on simulated stores, not measured in real ones."""

    plate_sd_g: float = 4.0
    """Error of a plate's zero when it is first seen."""
    drift_g_per_sqrt_h: float = 5.0
    """Random walk of the zero: creep, temperature (1 to 2.5 g per 10 °C, OIML R60 creep), dirt."""
    rest_sd_g: float = 0.8
    """A plate at rest is so far from what lies on it: noise, and settling that is not over."""
    unit_cv: float = 0.05
    """Spread of the unit weight where the planogram gives none: between packaged goods (0.5 to 2 %) and
    produce (5 to 15 %); what it is is learnt."""
    unit_bias: float = 0.01
    """Relative error of the planogram's own unit weight."""
    bias_of_spread: float = 0.5
    """That error is at least this share of the spread."""
    foreign_mean_g: float = 800.0
    foreign_sd_g: float = 800.0
    """A bag, a basket, a leaflet."""

    foreign_at_start: float = 0.01
    foreign_comes: float = 0.015
    comes_alone: float = 0.25
    """Whoever lays something foreign onto the plate moves nothing else."""
    foreign_goes: float = 0.25
    goes_alone: float = 0.6
    """Whoever takes it away moves nothing else."""
    foreign_changes: float = 0.01
    misplaced: float = 0.004
    """An event brings an item that belongs elsewhere on the shelf."""
    across: float = 0.02
    """Where a neighbouring plate was touched too: an item comes to lie across the seam."""
    untouched: float = 0.15
    taken: float = 0.63
    brought: float = 0.14
    filled: float = 0.08
    """What people do at a plate that was touched: nothing, take, bring back, fill."""
    more_taken: float = 0.35
    more_brought: float = 0.12
    """Each further item is taken, or brought back, with this probability."""
    over: float = 0.05
    more_over: float = 0.5
    """More than the capacity is put there, and each further item beyond it."""
    two_items: float = 0.03
    """Two kinds of item change in one event."""
    unseen_same: float = 0.5
    """Nothing was moved while nobody looked."""

    readable: float = 0.985
    """Share of tags that can be read where their items lie."""
    strays: float = 0.1
    """Tags heard at a facing though they lie elsewhere, on the average."""
    tag_power: float = 1.0
    """Reads of neighbouring tags depend on each other: together they say less than they would apart."""


USUAL = Habits()
