"""What the silence of a tag says, long before it is sure: whether it still lies there.

A tag that was taken is counted on until its window is over, half a minute or more. Until then each second
without a read makes it more probable that it is gone, if tags leave here now and then.
"""

from __future__ import annotations

from math import log


def still_there(missed_per_s: float, silent_s: float, left_per_s: float) -> float:
    """The probability that a tag is there which was not read for `silent_s` seconds.

    There it is read but for a share `missed_per_s` of seconds; such tags leave at a rate of `left_per_s`.
    """
    missed = float(missed_per_s**silent_s)
    left_unread = left_per_s * (1.0 - missed) / -log(missed_per_s)
    return missed / (missed + left_unread)
