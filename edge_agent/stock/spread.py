"""How much the pieces of one item vary in weight: as the planogram says, then learnt from changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

FIRST, FIRST_GUESSED = 12.0, 1.5
"""The planogram's own word counts like so many changes; a guess, where it has none, like fewer."""
LEAST, MOST = 0.1, 25.0
"""Bounds of the learnt variance, in those of the planogram."""
OUTLIER = 9.0
"""A surprise of more than three standard deviations is no better evidence than one of three."""


@dataclass(slots=True)
class Spread:
    """`ratio`: the learnt variance in those of the planogram; so many changes (`seen`) taught it."""

    SURE: ClassVar[float] = 0.9
    """Only changes that are so probable teach."""

    printed_sd_g: float
    guessed: bool = False
    """The planogram tells none."""
    ratio: float = 1.0
    seen: float = 0.0

    @property
    def variance(self) -> float:
        """Of one piece, g²."""
        return self.ratio * self.printed_sd_g**2

    def learn(self, surprise_g: float, expected: float, pieces: float) -> None:
        """A change surprised by so many grams where a variance of `expected` was; `pieces` were new in it.

        Matching of the innovations' variance (Mehra 1970), in steps that get smaller.
        """
        share = pieces * self.variance / expected
        if share <= 0.0:
            return
        self.seen += share
        step = share / ((FIRST_GUESSED if self.guessed else FIRST) + self.seen)
        surprise = min(OUTLIER, surprise_g * surprise_g / expected)
        self.ratio = min(MOST, max(LEAST, self.ratio * (1.0 + step * (surprise - 1.0))))
