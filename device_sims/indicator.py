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


Fault = Literal["stuck", "over", "under"]


class Indicator:
    """Reads one plate at 25 samples a second; shows the mean of the last five.

    `fault`: it shows the same for ever (`stuck`), or tells more or less than it can (`over`, `under`).
    """

    def __init__(self, plate: Plate, *, max_g: float) -> None:
        self.max_g = max_g
        self.fault: Fault | None = None
        self._shown: Indication | None = None
        self._plate = plate
        self._samples: deque[float] = deque(maxlen=_WINDOW)
        self._sampled_s: float | None = None

    def read(self, now_s: float) -> Indication:
        """The display at `now_s`, a clock that never runs back."""
        if self.fault == "stuck" and self._shown is not None:
            return self._shown
        self._shown = self._spoiled(self._read(now_s))
        return self._shown

    def _spoiled(self, true: Indication) -> Indication:
        match self.fault:
            case "over":
                return Indication(1.05 * self.max_g, true.stable, "over")
            case "under":
                return Indication(-0.05 * self.max_g, true.stable, "under")
            case _:
                return true

    def _read(self, now_s: float) -> Indication:
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
