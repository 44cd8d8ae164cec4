"""What the silence of tags says, long before it is sure: how many of them still lie there.

A tag that was taken is counted on until its window is over, half a minute or more. Until then each second
without a read makes it more probable that it is gone, if tags leave here now and then.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import log

_LEAST = 1e-6


def still_there(missed_per_s: float, silent_s: float, left_per_s: float) -> float:
    """The probability that a tag is there which was not read for `silent_s` seconds.

    There it is read but for a share `missed_per_s` of seconds; such tags leave at a rate of `left_per_s`.
    """
    missed = float(missed_per_s**silent_s)
    left_unread = left_per_s * (1.0 - missed) / -log(missed_per_s)
    return missed / (missed + left_unread)


def number_of(probabilities: Iterable[float]) -> list[float]:
    """Of things each there with its own probability: the probability that none is there, one, two, …"""
    shares = [1.0]
    surely = 0
    for one in probabilities:
        if one > 1.0 - _LEAST:
            surely += 1
            continue
        there = [0.0, *(share * one for share in shares)]
        for count, share in enumerate(shares):
            there[count] += share * (1.0 - one)
        shares = there
    return [0.0] * surely + shares
