"""How empty a slot is: logistic formulas over its signs, with coefficients that were fitted once.

`python -m benchmarks.slot_fit` fits them and prints them as they stand here; `python -m benchmarks.slots`
measures what they are worth on pictures that were not fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_agent.vision.slot_signs import Numbers, Signs


@dataclass(frozen=True, slots=True)
class Formula:
    """The log odds of being empty are linear in the signs."""

    bias: float
    bare: float
    empty: float
    lost: float = 0.0
    gone: float = 0.0
    emptied: float = 0.0

    def odds(self, signs: Signs) -> Numbers:
        """The log odds of being empty, for each cell."""
        return np.asarray(
            self.bias
            + self.bare * signs.bare
            + self.empty * signs.empty
            + self.lost * signs.lost
            + self.gone * signs.gone
            + self.emptied * signs.emptied,
            np.float64,
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """`part` judges an upright third of a slot by the means of its signs, `cell` each cell for the fill.

    The least log odds of the thirds, x, become those of the slot: `slope` x + `offset`. An empty slot has the
    share `empty_share` of cells that look stocked, a full one `full_share`.
    """

    part: Formula
    cell: Formula
    slope: float
    offset: float
    empty_share: float
    full_share: float


ALONE = Calibration(
    part=Formula(-8.61, bare=2.0, empty=7.61),
    cell=Formula(-4.1, bare=0.79, empty=6.26),
    slope=1.85,
    offset=1.89,
    empty_share=0.204,
    full_share=0.786,
)
"""From one picture."""
BESIDE = Calibration(
    part=Formula(-6.23, bare=1.1, empty=3.92, lost=0.75, gone=3.28, emptied=4.84),
    cell=Formula(-3.7, bare=0.65, empty=3.79, lost=0.59, emptied=4.12),
    slope=1.99,
    offset=2.44,
    empty_share=0.157,
    full_share=0.825,
)
"""Beside a baseline."""


@dataclass(frozen=True, slots=True)
class SlotSeen:
    """`score` is the probability of being empty, `fill` the stocked share of what is seen, both 0..1."""

    score: float
    fill: float


def judged(signs: Signs, calibration: Calibration) -> SlotSeen:
    """Score and fill of one slot in one picture.

    A slot is empty only where each third of it is, so that the last column of products is no gap. More cells
    that look stocked never lower the fill.
    """
    odds = calibration.slope * least_odds(signs, calibration.part) + calibration.offset
    low, high = calibration.empty_share, calibration.full_share
    fill = np.clip((stocked_share(signs, calibration.cell) - low) / (high - low), 0, 1)
    return SlotSeen(float(probability(np.float64(odds))), float(fill))


def least_odds(signs: Signs, part: Formula) -> float:
    """Of its thirds, the log odds of the one that looks least empty."""
    return float(part.odds(thirds(signs)).min())


def stocked_share(signs: Signs, cell: Formula) -> float:
    """The share of its cells that look stocked, each counted by its probability."""
    return float(signs.weight @ (1 - probability(cell.odds(signs))))


def thirds(signs: Signs) -> Signs:
    """The slot in up to three parts from left to right: the weighted means of their cells."""
    columns = np.arange(len(signs.weight)) % signs.columns
    parts = min(3, signs.columns)
    inside = [signs.weight * (columns * parts // signs.columns == part) for part in range(parts)]
    shares = [part for part in inside if part.sum() > 0.1 / parts]

    def means(values: Numbers) -> Numbers:
        return np.array([part @ values / part.sum() for part in shares])

    return Signs(
        np.array([part.sum() for part in shares]),
        means(signs.bare),
        means(signs.empty),
        means(signs.lost),
        means(signs.gone),
        means(signs.emptied),
        columns=len(shares),
    )


def probability(odds: Numbers | np.float64) -> Numbers:
    """Of log odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))), np.float64)
