"""How full the journal is: at which level that is an alarm, and how long buckets are then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

ALARMS: Final = (70, 85, 95)
"""Per cent. From each on there is one line in the log, and `status` says so."""
FORGETTING, SPARING, STOCK_FIRST = ALARMS
"""Down to the first, delivered rows are forgotten early. From the second on, health and environment are told
more coarsely; from the third on footfall too. Stock never is."""
STEADY = 2
"""A level ends so many points below its limit, so that it does not come and go."""
FINE_S, COARSE_S = 60, 900
"""Lengths of a bucket."""


@dataclass(frozen=True, slots=True)
class Fullness:
    """What the journal holds, what it may hold, and what can still be written, in bytes.

    `in_need`: the disk has refused a write, or its ballast is gone.
    """

    used: int
    quota: int
    room: int
    in_need: bool = False

    @property
    def percent(self) -> float:
        """0 to 100, and above where the quota was made smaller than what is there."""
        return 100 * self.used / max(1, min(self.quota, self.used + self.room))


def level_of(fullness: Fullness, before: int = 0) -> int:
    """The alarm that is reached (0: none), from the level `before`."""
    if fullness.in_need:
        return ALARMS[-1]
    percent = fullness.percent
    return max(
        (alarm for alarm in ALARMS if percent >= alarm - (STEADY if alarm <= before else 0)), default=0
    )


def span_of(moment: datetime, bucket_s: int) -> tuple[datetime, int]:
    """(start, seconds) of a new bucket for `moment`.

    A coarse one begins at its first minute and ends with the quarter of an hour: it overlaps none of the
    minutes that were told before it.
    """
    start = moment.replace(second=0, microsecond=0)
    return start, bucket_s - start.minute * 60 % bucket_s
