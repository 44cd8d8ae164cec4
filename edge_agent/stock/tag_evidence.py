"""What the tags of a facing say of how many items lie there.

A share of all items has a tag; where the count was sure a while ago, it is known how many of those items have
none (`Known`), and what was taken since took its share of them. A tag that was read since the facing was last
touched is there; one that was not has gone the more probably, the longer it is silent for its own read rate.
No tag is no evidence of an empty facing unless items have tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, factorial, lgamma

MISSED = 0.002
"""Share of the readable tags that are not heard though they are there and had the time."""
_STRAYS = 4
_LEAST, _LARGE = 1e-12, 1e100

Known = tuple[int, int]
"""So many items once surely lay there, so many of them without a tag."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The tags of a facing now. `sure` of them are there, `fresh` of these came since it was touched.

    `silent`: of each other tag how much more probable its silence is if it is there than if it is gone.
    `unheard`: the probability that a tag that came when the facing was touched has not been heard yet.
    `drawn`: what was taken was taken at one time, at random; else each tag may have left by itself.
    """

    sure: int
    fresh: int = 0
    silent: tuple[float, ...] = ()
    unheard: float = MISSED
    drawn: bool = True

    @property
    def there(self) -> int:
        """How many tags are there, as far as it is more probable than not."""
        return self.sure + sum(odds > 1.0 for odds in self.silent)

    @property
    def doubt(self) -> float:
        """How many tags are neither surely there nor surely gone."""
        return sum(min(odds, 1.0) / (1.0 + odds) for odds in self.silent)


class TagLikelihood:
    """Of what is heard. A share `tagged` of new items has a tag that can be read; at most `most` lie there.

    `strays`: tags heard here that lie elsewhere, on the average. `power`: less than 1 where reads of
    neighbouring tags depend on each other.
    """

    def __init__(
        self, heard: Heard, most: int, *, tagged: float, strays: float = 0.1, power: float = 1.0
    ) -> None:
        self._tagged, self._power = round(tagged, 3), power
        self._of_tags = _of_tags(heard, most, strays)

    def __call__(self, on_hand: int, known: Known = (0, 0)) -> float:
        """If so many items lie there, of which some are known."""
        parts = _without_tag(on_hand, self._tagged, known)
        most = len(self._of_tags)
        found = sum(share * self._of_tags[on_hand - bare] for bare, share in parts if on_hand - bare < most)
        return float(max(_LEAST, found) ** self._power)

    @property
    def says_nothing(self) -> bool:
        """No number of tags explains what is heard: there are far more than room for items."""
        return max(self._of_tags) <= _LEAST


def _of_tags(heard: Heard, most: int, strays: float) -> list[float]:
    """Likelihood of what is heard if so many items with a tag lie there, from 0 to `most`."""
    old, silent = heard.sure - heard.fresh, len(heard.silent)
    staying = _staying(heard.silent)
    found = [0.0] * (most + 1)
    for extra in range(min(heard.sure, _STRAYS) + 1):
        share = exp(-strays) * strays**extra / factorial(extra)
        own, there = heard.sure - extra, max(0, old - extra)
        for stay, ways in enumerate(staying):
            if own + stay <= most:
                choices = _log_comb(there + silent, silent - stay) if heard.drawn else 0.0
                found[own + stay] += share * ways * exp(-choices)
    for tags in range(1, most + 1):
        found[tags] += heard.unheard * found[tags - 1]
    return found


def _staying(odds: Sequence[float]) -> list[float]:
    """For 0, 1, ... of the silent tags there: the products of their odds, summed over all choices.

    Up to a factor that all have in common.
    """
    ways = [1.0]
    for one in odds:
        ways = [a + one * b for a, b in zip([*ways, 0.0], [0.0, *ways], strict=True)]
        largest = max(ways)
        ways = [way / largest for way in ways] if largest > _LARGE else ways
    return ways


def _log_comb(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


@lru_cache(maxsize=65_536)
def _without_tag(on_hand: int, tagged: float, known: Known) -> list[tuple[int, float]]:
    """(items without a tag, probability) among `on_hand`: of the known ones as drawn, of others by share."""
    before, bare_before = known
    old = min(on_hand, before)
    new = on_hand - old
    shares: dict[int, float] = {}
    for bare_old in range(max(0, old - (before - bare_before)), min(old, bare_before) + 1):
        ways = _log_comb(bare_before, bare_old) + _log_comb(before - bare_before, old - bare_old)
        ways -= _log_comb(before, old)
        for bare_new in range(new + 1):
            drawn = (1 - tagged) ** bare_new * tagged ** (new - bare_new)
            share = exp(ways + _log_comb(new, bare_new)) * drawn if drawn else 0.0
            if share > _LEAST:
                shares[bare_old + bare_new] = shares.get(bare_old + bare_new, 0.0) + share
    return list(shares.items())
