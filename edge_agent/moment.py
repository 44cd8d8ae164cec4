"""Time as an argument of the pure parts: the wall clock for people, the monotonic one for rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST_LATE = timedelta(hours=1)
"""What is later joins no total that is open: the clock was ahead, and has been put back."""


@dataclass(frozen=True, slots=True)
class Moment:
    """`at` is aware UTC and may step; `mono_s` only rises and decides every interval."""

    at: datetime
    mono_s: float
