"""A linear-Gaussian state in a few dimensions: mean, covariance, and what one scalar measurement says of it.

The scalar form of the Kalman filter (for example Bar-Shalom, Li, Kirubarajan, Estimation with Applications to
Tracking and Navigation, 2001, 5.2). Plain Python: for four dimensions it is faster than arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, pi
from operator import mul

_LOG_2PI = log(2 * pi)


@dataclass(slots=True)
class Gauss:
    """`mean` has n entries, `cov` n rows of n."""

    mean: list[float]
    cov: list[list[float]]

    @classmethod
    def independent(cls, mean: Sequence[float], variance: Sequence[float]) -> Gauss:
        """Entries that do not depend on each other."""
        size = range(len(mean))
        return cls(list(mean), [[variance[i] if i == j else 0.0 for j in size] for i in size])

    def copy(self) -> Gauss:
        """Another one that is equal."""
        return Gauss(self.mean[:], [row[:] for row in self.cov])

    def diffuse(self, entry: int, variance: float) -> None:
        """Independent noise of this variance is added to one entry."""
        self.cov[entry][entry] += variance

    def shrink(self, entry: int, factor: float) -> None:
        """One entry is multiplied."""
        self.mean[entry] *= factor
        for row in self.cov:
            row[entry] *= factor
        self.cov[entry] = [factor * value for value in self.cov[entry]]

    def reset(self, entry: int, mean: float, variance: float) -> None:
        """Whatever was known of one entry is forgotten."""
        for row in self.cov:
            row[entry] = 0.0
        self.cov[entry] = [0.0] * len(self.mean)
        self.mean[entry], self.cov[entry][entry] = mean, variance

    def expect(self, weights: Sequence[float]) -> tuple[float, float]:
        """Mean and variance of the weighted sum of the entries."""
        mean = variance = 0.0
        for weight, value, row in zip(weights, self.mean, self.cov, strict=True):
            if weight:
                mean += weight * value
                variance += weight * sum(map(mul, weights, row))
        return mean, variance

    def spread(self, weights: Sequence[float]) -> list[float]:
        """Covariance of each entry with the weighted sum of all."""
        return [sum(map(mul, weights, row)) for row in self.cov]

    def measure(self, weights: Sequence[float], value: float, variance: float) -> None:
        """The weighted sum was measured as `value`, with noise of this `variance`."""
        spread = self.spread(weights)
        total = sum(map(mul, weights, spread)) + variance
        gain = [s / total for s in spread]
        surprise = value - sum(map(mul, weights, self.mean))
        self.mean = [m + g * surprise for m, g in zip(self.mean, gain, strict=True)]
        self.cov = [
            [entry - g * s for entry, s in zip(row, spread, strict=True)]
            for row, g in zip(self.cov, gain, strict=True)
        ]


def log_density(surprise: float, variance: float) -> float:
    """Of a normal distribution around 0."""
    return -0.5 * (surprise * surprise / variance + log(variance) + _LOG_2PI)
