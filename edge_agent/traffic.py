"""Crossings become one-minute totals per line; the last total of a bucket counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from edge_agent.contract.messages import FootfallCounted
from edge_agent.contract.times import rfc3339
from edge_agent.moment import LONGEST_LATE
from edge_agent.readings import LineCrossing, LineWatched

BUCKET_S = 60
LONGEST_STEP_S = 1.6
"""A camera that looks more rarely follows nobody, so it has not watched."""
WATCHED_ENOUGH_S = 30.0
"""An empty minute is told only when the camera saw at least this much of it: an outage writes no zero."""

LineKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Bucket:
    """The totals of one line in the minute that starts at `start`."""

    device: str
    line: str
    start: datetime
    entered: int = 0
    exited: int = 0
    told: bool = False

    def body(self) -> FootfallCounted:
        """The total so far, as HQ gets it."""
        return FootfallCounted(
            device=self.device,
            line=self.line,
            start=rfc3339(self.start),
            seconds=BUCKET_S,
            entered=self.entered,
            exited=self.exited,
        )


class Traffic:
    """The open bucket of every line. Each crossing gives a new total at once: totals are few and durable."""

    def __init__(self, buckets: list[Bucket]) -> None:
        self.buckets: dict[LineKey, Bucket] = {(b.device, b.line): b for b in buckets}
        self._watched: dict[LineKey, tuple[datetime, float]] = {}

    def seen(self, reading: LineCrossing | LineWatched) -> list[Bucket]:
        """The buckets with a new total."""
        return self.crossed(reading) if isinstance(reading, LineCrossing) else self.watched(reading)

    def crossed(self, crossing: LineCrossing) -> list[Bucket]:
        """The crossing's bucket with its new total; a late crossing of a closed minute joins the open one."""
        closed, bucket = self._at(crossing.device, crossing.line, crossing.occurred_at)
        if crossing.direction == "entered":
            bucket = replace(bucket, entered=bucket.entered + 1, told=True)
        else:
            bucket = replace(bucket, exited=bucket.exited + 1, told=True)
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

    def _at(self, device: str, line: str, moment: datetime) -> tuple[list[Bucket], Bucket]:
        start = moment.replace(second=0, microsecond=0)
        key = (device, line)
        bucket = self.buckets.get(key)
        if bucket is not None and timedelta(0) <= bucket.start - start <= LONGEST_LATE:
            return [], bucket
        last, watched_s = self._watched.get(key, (moment, 0.0))
        self._watched[key] = (last, 0.0)
        empty = bucket is not None and not bucket.told and watched_s >= WATCHED_ENOUGH_S
        closed = [replace(bucket, told=True)] if bucket is not None and empty else []
        return closed, Bucket(device, line, start)
