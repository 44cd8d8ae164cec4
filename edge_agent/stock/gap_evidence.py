"""What a camera's verdict on a facing says of how many items lie there: much of none, little of how many."""

from __future__ import annotations

from math import exp

MISSES, FALSE_GAPS = 0.2, 0.05
"""An empty place seen as stocked, a stocked one as empty: this product's goal for single photos, a recall
of 0.80 at 5 % false alarms. Verdicts depend on each other, so the last one counts, not their number."""
FILL_SD = 0.35
"""The visible share tells the depth of a facing only roughly: a camera sees the front."""
SPEAKS_FOR_S = 120.0
"""A verdict that is older says nothing any more."""


def likelihood(on_hand: int, capacity: int, *, gap: bool, fill: float) -> float:
    """Of the verdict `gap` with the stocked share `fill` where `on_hand` items lie."""
    if gap:
        return 1 - MISSES if on_hand == 0 else FALSE_GAPS
    if on_hand == 0:
        return MISSES
    off = (fill - min(1.0, on_hand / max(1, capacity))) / FILL_SD
    return (1 - FALSE_GAPS) * exp(-0.5 * off * off)
