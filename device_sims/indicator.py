"""The electronics over a load cell: samples it, filters, and judges whether it is at rest."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from device_sims.plate import Plate

_SAMPLE_S = 0.04
_WINDOW = 10
_SHOWN = 5
_STILL_G = 1.2
"""Ten raw samples within this span count as stable: six standard deviations of the worst cell's noise."""


@dataclass(frozen=True, slots=True)
class Indication:
    """What stands on the display: gross weight in grams before zero and tare, stability, range."""

    weight_g: float
    stable: bool
    load: Literal["in range", "over", "under"]


class Indicator:
    """Reads one plate at 25 samples a second; shows the mean of the last five."""

    def __init__(self, plate: Plate, *, max_g: float) -> None:
        self.max_g = max_g
        self._plate = plate
        self._samples: deque[float] = deque(maxlen=_WINDOW)
        self._sampled_s: float | None = None

    def read(self, now_s: float) -> Indication:
        """The display at `now_s`, a clock that never runs back."""
        at_s = now_s - _WINDOW * _SAMPLE_S
        if self._sampled_s is not None:
            at_s = max(at_s, self._sampled_s)
        while (at_s := at_s + _SAMPLE_S) <= now_s + 1e-9:
            self._samples.append(self._plate.weight_g(at_s))
            self._sampled_s = at_s
        if not self._samples:
            self._samples.append(self._plate.weight_g(now_s))
            self._sampled_s = now_s
        shown = list(self._samples)[-_SHOWN:]
        weight_g = sum(shown) / len(shown)
        stable = len(self._samples) == _WINDOW and max(self._samples) - min(self._samples) < _STILL_G
        over, under = weight_g > self.max_g, weight_g < -0.02 * self.max_g
        return Indication(weight_g, stable, "over" if over else "under" if under else "in range")
