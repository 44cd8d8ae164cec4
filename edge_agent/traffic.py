"""Crossings become totals per line and minute, or quarter of an hour; the last total of a bucket counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from edge_agent.contract.messages import FootfallCounted
from edge_agent.contract.times import rfc3339
from edge_agent.fullness import FINE_S, span_of
from edge_agent.moment import LONGEST_LATE
from edge_agent.readings import LineCrossing, LineWatched

LONGEST_STEP_S = 1.6
"""A camera that looks more rarely follows nobody, so it has not watched."""
WATCHED_ENOUGH = 0.5
"""An empty bucket is told only when the camera saw at least this much of it: an outage writes no zero."""

LineKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Bucket:
    """The totals of one line in the `seconds` from `start`. `told`: HQ gets, or has, these totals."""

    device: str
    line: str
    start: datetime
    entered: int = 0
    exited: int = 0
    told: bool = False
    seconds: int = FINE_S

    @property
    def end(self) -> datetime:
        """The first moment that is no part of it."""
        return self.start + timedelta(seconds=self.seconds)

    def body(self) -> FootfallCounted:
        """The total so far, as HQ gets it."""
        return FootfallCounted(
            device=self.device,
            line=self.line,
            start=rfc3339(self.start),
            seconds=self.seconds,
            entered=self.entered,
            exited=self.exited,
        )


class Traffic:
    """The open bucket of every line. Methods return the buckets that changed; those `told` go to HQ.

    In a minute's bucket each crossing gives a new total at once; that of a coarser one (`bucket_s`) is kept
    in the state and told when the bucket closes.
    """

    def __init__(self, buckets: list[Bucket]) -> None:
        self.bucket_s = FINE_S
        self.buckets: dict[LineKey, Bucket] = {(b.device, b.line): b for b in buckets}
        self._watched: dict[LineKey, tuple[datetime, float]] = {}

    def seen(self, reading: LineCrossing | LineWatched) -> list[Bucket]:
        """The buckets with a new total."""
        return self.crossed(reading) if isinstance(reading, LineCrossing) else self.watched(reading)

    def crossed(self, crossing: LineCrossing) -> list[Bucket]:
        """The crossing's bucket with its new total; a late crossing of a closed minute joins the open one."""
        closed, bucket = self._at(crossing.device, crossing.line, crossing.occurred_at)
        at_once = bucket.seconds == FINE_S
        if crossing.direction == "entered":
            bucket = replace(bucket, entered=bucket.entered + 1, told=at_once)
        else:
            bucket = replace(bucket, exited=bucket.exited + 1, told=at_once)
        self.buckets[(crossing.device, crossing.line)] = bucket
        return [*closed, bucket]

    def watched(self, reading: LineWatched) -> list[Bucket]:
        """The camera looked up to now: returns the minutes that closed with nobody crossing."""
        closed: list[Bucket] = []
        for line in reading.lines:
            done, bucket = self._at(reading.device, line, reading.occurred_at)
            closed += done
            key = (reading.device, line)
            last, total = self._watched.get(key, (reading.occurred_at, 0.0))
            step = (reading.occurred_at - last).total_seconds()
            self._watched[key] = (reading.occurred_at, total + (step if 0 < step < LONGEST_STEP_S else 0.0))
            self.buckets[key] = bucket
        return closed

    def tick(self, now: datetime) -> list[Bucket]:
        """Coarse buckets that are over, also of lines that nobody crosses any more.

        A crossing that comes late makes a new total of them.
        """
        return self._told([b for b in self.buckets.values() if now >= b.end])

    def close(self) -> list[Bucket]:
        """The process stops: totals that were not told yet; a restart within a bucket goes on with them."""
        return self._told(list(self.buckets.values()))

    def _told(self, buckets: list[Bucket]) -> list[Bucket]:
        told = [replace(b, told=True) for b in buckets if not b.told and (b.entered or b.exited)]
        self.buckets.update(((b.device, b.line), b) for b in told)
        return told

    def _at(self, device: str, line: str, moment: datetime) -> tuple[list[Bucket], Bucket]:
        start, seconds = span_of(moment, self.bucket_s)
        key = (device, line)
        bucket = self.buckets.get(key)
        if bucket is not None and bucket.start - LONGEST_LATE <= start < bucket.end:
            return [], bucket
        last, watched_s = self._watched.get(key, (moment, 0.0))
        self._watched[key] = (last, 0.0)
        closed = []
        if bucket is not None and not bucket.told:
            is_seen = bucket.entered or bucket.exited or watched_s >= WATCHED_ENOUGH * bucket.seconds
            closed = [replace(bucket, told=True)] if is_seen else []
        return closed, Bucket(device, line, start, seconds=seconds)
