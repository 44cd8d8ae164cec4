"""One load-cell plate: what it would say at any moment, with the imperfections of a real one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from device_sims.noise import Noise

_CREEP_TAU_S = 600.0
_DAY_S = 86_400.0
_REST_G = 0.3
"""A swing smaller than this counts as rest: about two standard deviations of the sample noise."""


@dataclass(frozen=True, slots=True)
class _Swing:
    """A decaying oscillation after a change of load."""

    start_s: float
    amplitude_g: float
    tau_s: float
    hz: float
    phase: float

    def at(self, now_s: float) -> float:
        age = now_s - self.start_s
        return (
            self.amplitude_g * math.exp(-age / self.tau_s) * math.cos(math.tau * self.hz * age + self.phase)
        )


@dataclass(frozen=True, slots=True)
class _Touch:
    """A hand on the plate: it presses while it is there."""

    start_s: float
    end_s: float
    peak_g: float

    def at(self, now_s: float) -> float:
        if not self.start_s <= now_s <= self.end_s:
            return 0.0
        return self.peak_g * math.sin(math.pi * (now_s - self.start_s) / (self.end_s - self.start_s))


class _Compressor:
    """Sways a plate by up to `sway_g` while it runs, now and then, at times of its own."""

    def __init__(self, sway_g: float, rng: Random) -> None:
        self._sway_g = sway_g
        self._every_s, self._runs_s = rng.uniform(180.0, 420.0), rng.uniform(20.0, 60.0)
        self._first_s = rng.uniform(0.0, self._every_s)
        self._hz, self._phase = rng.uniform(0.7, 4.0), rng.uniform(0, math.tau)

    def at(self, now_s: float) -> float:
        since_s = (now_s - self._first_s) % self._every_s
        if since_s > self._runs_s:
            return 0.0
        swells = min(1.0, since_s, self._runs_s - since_s)
        return self._sway_g * swells * math.sin(math.tau * self._hz * now_s + self._phase)


class Plate:
    """Load, swing after each change, hands, sample noise, drift, creep, the day's temperature, vibration.

    Time is any clock in seconds that never runs back between two calls.
    """

    def __init__(self, noise: Noise, seed: str) -> None:
        # Two streams: how often a device samples must not change how the plate swings.
        self._samples, self._changes = Random(f"{seed}/samples"), Random(f"{seed}/changes")
        self._noise = noise
        self._sample_sd_g = self._changes.uniform(*noise.sample_sd_g)
        low, high = noise.temperature_g_per_10c
        self._g_per_c = self._changes.choice((-1, 1)) * self._changes.uniform(low, high) / 10.0
        self._compressor = (
            _Compressor(noise.vibration_g, Random(f"{seed}/vibration")) if noise.vibration_g else None
        )
        self._load_g = 0.0
        self._creep_g = 0.0
        self._drift_g = 0.0
        self._seen_s: float | None = None
        self._swings: list[_Swing] = []
        self._touches: list[_Touch] = []
        self.hand_until_s = -math.inf
        """When the last hand that came to the plate has left, or leaves it."""

    def lay(self, grams: float) -> None:
        """Set the load that has been lying there since long before anyone looks."""
        self._load_g = grams
        self._creep_g = grams * self._noise.creep_share

    def touch(self, start_s: float, end_s: float) -> None:
        """A hand works on the plate from `start_s` to `end_s`."""
        self.hand_until_s = max(self.hand_until_s, end_s)
        self._touches.append(_Touch(start_s, end_s, self._changes.uniform(25.0, 180.0)))

    def change(self, now_s: float, delta_g: float) -> float:
        """The load changes at `now_s`; returns the moment at which the plate is at rest again."""
        low, high = self._noise.swing_g
        amplitude = min(high, max(low, abs(delta_g) * self._changes.uniform(0.05, 0.2)))
        settling_s = self._changes.uniform(*self._noise.settling_s)
        tau_s = settling_s / max(1.0, math.log(amplitude / _REST_G))
        swing = _Swing(
            now_s, amplitude, tau_s, self._changes.uniform(2.5, 6.0), self._changes.uniform(0, math.tau)
        )
        self._swings.append(swing)
        self._load_g += delta_g
        return now_s + max(0.0, tau_s * math.log(amplitude / _REST_G))

    def weight_g(self, now_s: float) -> float:
        """One raw sample of the load cell."""
        elapsed = 0.0 if self._seen_s is None else max(0.0, now_s - self._seen_s)
        self._seen_s = now_s
        self._drift_g += self._samples.gauss(0.0, self._noise.drift_g_per_sqrt_h * math.sqrt(elapsed / 3600))
        target = self._load_g * self._noise.creep_share
        self._creep_g += (target - self._creep_g) * -math.expm1(-elapsed / _CREEP_TAU_S)
        self._swings = [s for s in self._swings if now_s - s.start_s < 12 * s.tau_s]
        self._touches = [t for t in self._touches if t.end_s >= now_s]
        # One temperature for the whole store, its own answer to it for each cell.
        warmer_c = self._noise.temperature_swing_c * math.sin(math.tau * now_s / _DAY_S)
        steady = self._load_g + self._creep_g + self._drift_g + self._g_per_c * warmer_c
        moving = sum(s.at(now_s) for s in self._swings if s.start_s <= now_s) + sum(
            t.at(now_s) for t in self._touches
        )
        if self._compressor is not None:
            moving += self._compressor.at(now_s)
        return steady + moving + self._samples.gauss(0.0, self._sample_sd_g)
