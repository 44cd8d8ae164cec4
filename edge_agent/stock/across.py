"""Items that lie across the seam of two neighbouring plates: each bears a part, and only both together tell.

Of 237 recorded events in a store 118 touched more than one plate (AutoCheckout 2020). What one plate gains
the other lacks, so the change of one says how much of an item the other bears.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import hypot

from edge_agent.contract.planogram import Facing
from edge_agent.stock.pan import Pan
from edge_agent.stock.turns import Lean

TOGETHER_S = 4.0
"""Two plates that came to rest within this time were touched by the same hand."""


def neighbours(pans: Sequence[Pan], facings: dict[str, Facing]) -> dict[int, list[Pan]]:
    """Pans that lie side by side on a shelf, by `id` of a pan; none where the planogram gives no places."""
    placed: dict[str, list[tuple[float, Pan]]] = {}
    for pan in pans:
        own = [facings[name] for name in pan.names if name in facings]
        for shelf in {one.shelf for one in own if one.shelf is not None and one.x_mm is not None}:
            placed.setdefault(shelf, []).append((min(one.x_mm for one in own if one.x_mm is not None), pan))
    found: dict[int, list[Pan]] = {}
    for row in placed.values():
        row.sort(key=lambda one: one[0])
        for (_, left), (_, right) in pairwise(row):
            found.setdefault(id(left), []).append(right)
            found.setdefault(id(right), []).append(left)
    return found


def leans(pan: Pan, neighbour: Pan) -> Iterator[Lean]:
    """What may lie across from `neighbour`, which has just changed with it, or to it."""
    if pan.belief is None or neighbour.belief is None or neighbour.changed_g is None:
        return
    noise_g = 1.5 * hypot(pan.belief.habits.rest_sd_g, neighbour.belief.habits.rest_sd_g)
    if 0.0 < neighbour.changed_g < max(item.unit_weight_g for item in pan.belief.items):
        yield Lean(True, -neighbour.changed_g, noise_g)
    for item in neighbour.belief.items:
        borne_g = item.unit_weight_g - neighbour.changed_g
        if 0.0 < neighbour.changed_g < item.unit_weight_g:
            yield Lean(False, borne_g, hypot(noise_g, item.unit_sd_g, item.bias_sd_g(pan.belief.habits)))
