"""What the tags that are seen at a facing say of how many items lie there.

A share of all items has a tag; where the count was sure a while ago, it is known how many of those items have
none (`Known`), and what was taken since took its share of them. Nearly all tags that are there are seen, and
a few others that are not. No tag is no evidence of an empty facing unless items have tags.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb, exp, factorial, log

READABLE, IN_WINDOW = 0.985, 0.998
"""Share of tags that can be read where their items lie, and of those the share that is in its window."""
STRAYS = 0.1
"""Tags heard at a facing though they lie elsewhere, on the average."""
POWER = 0.8
"""Reads of neighbouring tags depend on each other: together they say less than they would apart."""
_TERMS = 8
_LEAST = 1e-12

Known = tuple[int, int]
"""So many items once surely lay there, so many of them without a tag."""


def log_likelihood(
    seen: int, on_hand: int, *, tagged: float, known: Known = (0, 0), unheard: float = 0.0, gone: float = 0.0
) -> float:
    """Of `seen` tags where `on_hand` items lie; a share `tagged` of new items has one.

    `unheard` items have just come, whose tags may not have been heard yet; `gone` tags are counted still
    though they have probably left.
    """
    heard = IN_WINDOW
    if unheard and on_hand:
        heard *= max(0.0, 1.0 - unheard / on_hand)
    strays = round(gone, 1) + STRAYS
    return POWER * _log_likelihood(seen, on_hand, round(tagged * READABLE, 2), known, round(heard, 3), strays)


@lru_cache(maxsize=65_536)
def _log_likelihood(
    seen: int, on_hand: int, tagged: float, known: Known, heard: float, strays: float
) -> float:
    total = 0.0
    for bare, share in _without_tag(on_hand, tagged, known):
        tags = on_hand - bare
        for extra in range(min(seen, _TERMS) + 1):
            own = seen - extra
            if own <= tags:
                read = comb(tags, own) * heard**own * (1 - heard) ** (tags - own)
                total += share * read * exp(-strays) * strays**extra / factorial(extra)
    return log(max(total, _LEAST))


@lru_cache(maxsize=65_536)
def _without_tag(on_hand: int, tagged: float, known: Known) -> list[tuple[int, float]]:
    """(items without a tag, probability) among `on_hand`: of the known ones as drawn, of others by share."""
    before, bare_before = known
    old = min(on_hand, before)
    new = on_hand - old
    shares: dict[int, float] = {}
    for bare_old in range(max(0, old - (before - bare_before)), min(old, bare_before) + 1):
        ways = comb(bare_before, bare_old) * comb(before - bare_before, old - bare_old) / comb(before, old)
        for bare_new in range(new + 1):
            share = ways * comb(new, bare_new) * (1 - tagged) ** bare_new * tagged ** (new - bare_new)
            if share > _LEAST:
                shares[bare_old + bare_new] = shares.get(bare_old + bare_new, 0.0) + share
    return list(shares.items())
