"""Tells when a plate is at rest: hysteresis, and a stable flag that is evidence but never proof."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WINDOW_S = 0.5
"""A plate rests when it has kept still this long; settling takes 0.8 to 3.5 s, so no oscillation fits."""
DOUBTED_WINDOW_S = 1.5
"""The same where the device itself says that it moves: its flag may be stuck, so it only asks for more."""
LEAVE_SHARE, ENTER_SHARE = 0.08, 0.30
"""Shares of the lightest item's weight: spread that counts as still, step that counts as touched."""
STILL_MIN_G, STILL_MAX_G, TOUCH_MIN_G = 1.0, 6.0, 2.0


@dataclass(slots=True)
class Plate:
    """The settle detector of one plate. `step_g` is the weight of the lightest item on it."""

    step_g: float
    rest_g: float | None = None
    moving: bool = True
    samples: deque[tuple[float, float]] = field(default_factory=deque)

    @property
    def still_g(self) -> float:
        """The largest spread, in grams, of a plate at rest."""
        return min(STILL_MAX_G, max(STILL_MIN_G, LEAVE_SHARE * self.step_g))

    @property
    def touch_g(self) -> float:
        """A reading this far from rest, in grams, means somebody touches the plate."""
        return max(TOUCH_MIN_G, ENTER_SHARE * self.step_g)

    def disturb(self) -> None:
        """The plate is known to move though it gives no weight (motion, overload, a lost link)."""
        self.samples.clear()
        self.moving = True

    def rest_anew(self) -> None:
        """At rest: the newest weights count, also those of a change too small to be a touch."""
        if not self.moving and self.samples:
            newest_s = self.samples[-1][0]
            weights = [weight_g for at_s, weight_g in self.samples if at_s >= newest_s - WINDOW_S]
            self.rest_g = sum(weights) / len(weights)

    def feed(self, mono_s: float, weight_g: float, *, stable: bool | None) -> float | None:
        """One reading; returns the weight at rest, in grams, once each time the plate comes to rest."""
        samples = self.samples
        samples.append((mono_s, weight_g))
        while len(samples) > 2 and samples[1][0] <= mono_s - DOUBTED_WINDOW_S:
            samples.popleft()
        if not self.moving:
            self._follow(mono_s, weight_g)
            return None
        weights = self._still_weights(mono_s, DOUBTED_WINDOW_S if stable is False else WINDOW_S)
        if not weights or max(weights) - min(weights) > self.still_g:
            return None
        self.moving = False
        self.rest_g = sum(weights) / len(weights)
        return self.rest_g

    def _still_weights(self, mono_s: float, window_s: float) -> list[float]:
        """The weights of the newest stretch that is at least `window_s` long; empty when there is none."""
        weights = []
        for at_s, weight_g in reversed(self.samples):
            weights.append(weight_g)
            if mono_s - at_s >= window_s:
                return weights
        return []

    def _follow(self, mono_s: float, weight_g: float) -> None:
        """At rest: slow drift is followed, a step means touched."""
        rest = self.rest_g
        if rest is not None and abs(weight_g - rest) <= self.touch_g:
            self.rest_g = rest + 0.05 * (weight_g - rest)
            return
        self.moving = True
        self.samples.clear()
        self.samples.append((mono_s, weight_g))
