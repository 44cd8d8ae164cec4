"""What a smart camera takes for the truth about one place: errors that last, and people in the way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

SEEN = 0.1
"""From this share on a place counts as stocked, below as empty: right and wrong verdicts keep to it."""
BLUR = 0.15
"""How far the share of a front that is partly there may be off."""
STILL_S = 3.0
"""No verdict until nothing has moved before a place for so long: the rule of Eocortex Shelves."""
STANDS_S = 10.0
"""How long somebody stands in the way, on average. Chosen."""


@dataclass(frozen=True, slots=True)
class Eye:
    """How good a camera is, as shares of the time; an error lasts `lasts_s` on average.

    `misses`: it takes an empty place for stocked; `false_gaps`: a stocked one for empty; `hidden`: it sees
    nothing of a place because somebody stands there.
    """

    misses: float
    false_gaps: float
    hidden: float
    lasts_s: float


class Sight:
    """One place with a front of `front` items. Seconds of any clock that never runs back."""

    def __init__(self, eye: Eye, *, front: int, seed: str) -> None:
        self._eye, self._front = eye, front
        rng = Random(f"{seed}/sight")
        self._luck, self._blur = _Lasting(rng, eye.lasts_s), _Lasting(rng, eye.lasts_s)
        self._passer = _Lasting(rng, STANDS_S)
        self._hand_s = -math.inf

    def look(self, now_s: float, things: int, *, hand_until_s: float) -> float | None:
        """The stocked share that it believes in; None while it sees nothing.

        `things` lie there; a hand was last there, or will be, until `hand_until_s`: where somebody has moved
        things the camera errs anew. The front tells empty from stocked; what stands behind it is not seen.
        """
        if hand_until_s != self._hand_s:
            self._hand_s = hand_until_s
            self._luck.draw(now_s)
            self._blur.draw(now_s)
        luck, blur, passer = self._luck.at(now_s), self._blur.at(now_s), self._passer.at(now_s)
        if now_s < hand_until_s + STILL_S or passer < self._eye.hidden:
            return None
        if things == 0:
            return _stocked(blur) if luck < self._eye.misses else _empty(blur)
        if luck < self._eye.false_gaps:
            return _empty(blur)
        share = min(1.0, things / self._front)
        return round(min(1.0, max(SEEN, share + BLUR * (2 * blur - 1))), 2)


class _Lasting:
    """A number from 0 to 1 that holds for about `mean_s` before another is drawn."""

    def __init__(self, rng: Random, mean_s: float) -> None:
        self._rng, self._mean_s = rng, mean_s
        self._number, self._until_s = rng.random(), -math.inf

    def draw(self, now_s: float) -> None:
        """Another number from now on."""
        self._number = self._rng.random()
        self._until_s = now_s + self._rng.expovariate(1.0 / self._mean_s)

    def at(self, now_s: float) -> float:
        """The number now."""
        if now_s >= self._until_s:
            self.draw(now_s)
        return self._number


def _empty(chance: float) -> float:
    return round(0.9 * SEEN * chance, 2)


def _stocked(chance: float) -> float:
    return round(2 * SEEN + (1 - 2 * SEEN) * chance, 2)
