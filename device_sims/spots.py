"""Where the facings of a scenario are on a rack."""

from __future__ import annotations

from collections.abc import Sequence

from device_sims.scenario import StockedFacing
from device_sims.shelf_layout import Spot

_FACING_MM = 180.0
"""How wide a facing is whose place is not told."""


def spots_of(facings: Sequence[StockedFacing]) -> list[Spot]:
    """A spot for each facing; those without a place stand side by side in their order."""
    return [
        Spot(
            facing=f.id,
            shelf=f.shelf or "shelf",
            x_mm=f.x_mm if f.x_mm is not None else number * _FACING_MM,
            width_mm=f.width_mm or _FACING_MM,
            capacity=f.capacity,
            gtin=f.gtin,
        )
        for number, f in enumerate(facings)
    ]
