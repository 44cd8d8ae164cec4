"""Which plates bear what lies on a facing, and how much of it each."""

from __future__ import annotations

from collections import Counter
from random import Random

from device_sims.plate import Plate
from device_sims.scenario import Scenario

Loads = tuple[tuple[Plate, float], ...]
"""Plates, and the share of an item's weight that each of them bears; the shares add up to 1."""

_ITEM_WIDTH = 0.4
"""An item on a wide facing is so wide, in widths of the facing."""
_ACROSS = (0.2, 0.8)
"""An item that lies across leaves such a share of its weight on its own facing's plate."""


class Bearing:
    """The load cells of a scenario. A facing on several plates has an equal part of its width on each.

    Where things come to lie is drawn from a stream of its own: a store without wide facings draws nothing.
    """

    def __init__(self, scenario: Scenario, *, seed: int) -> None:
        self._places = Random(f"{seed}/places")
        self.over: dict[Plate, list[str]] = {}
        """Every plate to the facings over it."""
        self._under: dict[str, list[Plate]] = {}
        self._of: dict[str, list[Plate]] = {}
        names: Counter[str] = Counter()
        cells = []
        for group in scenario.plates():
            names[group[0]] += 1
            name = group[0] if names[group[0]] == 1 else f"{group[0]}/{names[group[0]]}"
            plate = Plate(scenario.noise, f"{seed}/{name}")
            cells.append(plate)
            self.over[plate] = group
            for facing in group:
                self._under.setdefault(facing, []).append(plate)
        for scale in scenario.scales:
            count = len(scale.plates())
            self._of[scale.id], cells = cells[:count], cells[count:]

    def plates_of(self, scale: str) -> list[Plate]:
        """The load cells of a scale, in the order of its plates."""
        return self._of[scale]

    def under(self, facing: str) -> list[Plate]:
        """The load cells under a facing, in order."""
        return self._under[facing]

    def laid(self, facing: str) -> Loads:
        """Something comes to lie somewhere on a facing: over a seam it loads both plates."""
        plates = self._under[facing]
        if len(plates) == 1:
            return ((plates[0], 1.0),)
        left, part = self._places.uniform(0.0, 1.0 - _ITEM_WIDTH), 1.0 / len(plates)
        shares = [
            (min(left + _ITEM_WIDTH, (n + 1) * part) - max(left, n * part)) / _ITEM_WIDTH
            for n in range(len(plates))
        ]
        return tuple((plate, share) for plate, share in zip(plates, shares, strict=True) if share > 0)

    def laid_across(self, facing: str, neighbour: str) -> Loads:
        """Something comes to lie over the seam between two facings with a plate each."""
        [own], [other] = self._under[facing], self._under[neighbour]
        share = self._places.uniform(*_ACROSS)
        return ((own, share), (other, 1.0 - share))
