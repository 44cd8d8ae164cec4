"""Weight divided by unit weight, with an honest probability of the count it gives."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, pi, sqrt

PLATE_SD_G = 2.0
"""Zero drift, creep and temperature of a plate between re-zeroings (1 to 2.5 g per 10 °C, OIML R60 creep)."""
UNIT_CV = 0.01
"""Spread of the unit weight where the planogram gives none (0.5 to 2 % for packaged goods)."""
UNIT_BIAS = 0.005
"""Relative error of the planogram's own unit weight."""
FOREIGN = 0.01
"""Prior probability that something else lies on the plate (bag, basket, a misplaced item)."""


@dataclass(frozen=True, slots=True)
class Count:
    """The most likely count and the probability that it is exact; `foreign`: something else lies there."""

    on_hand: int
    confidence: float
    foreign: bool


def count_from_weight(
    weight_g: float, *, unit_weight_g: float, unit_sd_g: float | None, capacity: int
) -> Count:
    """The count on a clean single-item plate. A weight far from every multiple is most likely foreign mass.

    Likelihood of n items: N(weight; n·μ, n·σ_unit² + (n·bias·μ)² + σ_plate²); foreign mass is uniform over
    the plate's range. Plain division with a spread: the counts are integers, the confidence is P(n | weight).
    """
    spread = UNIT_CV * unit_weight_g if unit_sd_g is None else unit_sd_g
    most = max(2 * capacity, int(weight_g / unit_weight_g) + 2)
    nearest = max(0, round(weight_g / unit_weight_g))
    density: dict[int, float] = {}
    for n in range(max(0, nearest - 3), min(most, nearest + 3) + 1):
        variance = n * spread**2 + (n * UNIT_BIAS * unit_weight_g) ** 2 + PLATE_SD_G**2
        residual = weight_g - n * unit_weight_g
        density[n] = exp(-0.5 * residual**2 / variance - 0.5 * log(2 * pi * variance))
    clean = (1 - FOREIGN) * sum(density.values()) / (most + 1)
    foreign = FOREIGN / ((most + 1) * unit_weight_g + 6 * sqrt(PLATE_SD_G))
    best = max(density, key=lambda n: density[n])
    confidence = (1 - FOREIGN) * density[best] / (most + 1) / (clean + foreign)
    return Count(best, min(confidence, 0.999), foreign > clean)
