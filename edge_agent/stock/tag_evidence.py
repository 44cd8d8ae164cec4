"""What the tags that are seen at a facing say of how many items lie there.

Of n items a share has a tag, nearly all of those are seen within their window, and a few others are heard
that do not belong there or have just left: k ~ Binomial(n, q) + Poisson(λ). A tag that is not there is no
evidence of an empty facing unless items have tags.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb, exp, factorial, log

READ_SHARE = 0.985
"""Share of present tags that a working reader has in its window."""
STRAYS = 0.1
"""Tags heard at a facing though they lie elsewhere, on the average."""
POWER = 0.8
"""Reads of neighbouring tags depend on each other: together they say less than they would apart."""
_TERMS = 8


def log_likelihood(seen: int, on_hand: int, *, tagged: float, recent: float) -> float:
    """Of `seen` tags where `on_hand` items lie, a share `tagged` of them with a tag that was heard.

    `recent` items have just come, whose tags may not have been heard yet; or, below 0, have just gone, whose
    tags may be counted still.
    """
    share = tagged * READ_SHARE
    if recent > 0 and on_hand:
        share *= max(0.0, 1.0 - recent / on_hand)
    return POWER * _log_likelihood(seen, on_hand, round(share, 2), round(max(0.0, -recent), 1) + STRAYS)


@lru_cache(maxsize=65_536)
def _log_likelihood(seen: int, on_hand: int, share: float, strays: float) -> float:
    total = 0.0
    for extra in range(min(seen, _TERMS) + 1):
        own = seen - extra
        if own <= on_hand:
            binomial = comb(on_hand, own) * share**own * (1 - share) ** (on_hand - own)
            total += binomial * exp(-strays) * strays**extra / factorial(extra)
    return log(max(total, 1e-12))
