"""The bounded inbox, the folds behind it, and the commit that lets every emit return."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime

from edge_agent.contract.errors import JournalError
from edge_agent.contract.times import utc_now
from edge_agent.health import Condition, Health
from edge_agent.journal import Capture, Journal
from edge_agent.moment import Moment
from edge_agent.readings import (
    DeviceAnswered,
    DeviceDegraded,
    LineCrossing,
    LineWatched,
    Reading,
    TagRead,
    WeightReading,
)
from edge_agent.service import metrics
from edge_agent.stock.effects import Effects
from edge_agent.stock.estimate import Estimator
from edge_agent.traffic import Bucket, Traffic

log = logging.getLogger(__name__)

IN_FLIGHT = 2_000
"""The most emits between fold and commit. Policy: block, so that devices and the broker hold the rest."""
TICK_S = 0.5


def read_clocks() -> Moment:
    """Now, by both clocks."""
    return Moment(utc_now(), time.monotonic())


@dataclass(slots=True)
class Pipeline:
    """Folds readings into one store's state. Single-threaded: it runs on the event loop."""

    estimator: Estimator
    traffic: Traffic
    health: Health
    journal: Journal
    now: Callable[[], Moment] = read_clocks
    _room: asyncio.Semaphore | None = None

    async def emit(self, readings: Sequence[Reading]) -> None:
        """Fold the readings at once; return when every consequence is durable.

        The fold happens here, in the order of arrival, so that readings of one device keep their order.
        """
        if self._room is None:
            self._room = asyncio.Semaphore(IN_FLIGHT)
        async with self._room:
            count_readings(readings)
            capture = Capture()
            now = self.now()
            heard: dict[str, str | None] = {}
            for reading in readings:
                self._fold(reading, now, capture, heard)
            for device, identity in heard.items():
                self._condition(self.health.heard(device, now, identity=identity), capture)
            await self._keep(capture, now)

    async def device_lost(self, device: str, reason: str) -> None:
        """The supervisor lost the device; `reason` is an error code and its sentence."""
        now, capture = self.now(), Capture()
        self.estimator.device_lost(device, now)
        self._condition(self.health.lost(device, reason, now), capture)
        await self._keep(capture, now)

    async def run(self) -> None:
        """What time alone changes, twice a second; ends with JournalError when the journal has failed."""
        while True:
            await asyncio.sleep(TICK_S)
            if self.journal.failed:
                raise JournalError("the journal cannot be written", hint="see the log; check the disk")
            now, capture = self.now(), Capture()
            effects = self.estimator.tick(now)
            if effects is not None:
                _join(capture.effects, effects)
            for condition in self.health.tick(now):
                self._condition(condition, capture)
            await self._keep(capture, now)

    def _fold(self, reading: Reading, now: Moment, capture: Capture, heard: dict[str, str | None]) -> None:
        """One reading into the capture. `heard` collects who spoke: once for each emit is enough."""
        effects: Effects | None = None
        match reading:
            case TagRead():
                effects = self.estimator.tag(reading, now)
            case WeightReading():
                effects = self.estimator.weight(reading, now)
            case LineCrossing():
                self._footfall(self.traffic.crossed(reading), reading.occurred_at, capture)
            case LineWatched():
                self._footfall(self.traffic.watched(reading), reading.occurred_at, capture)
            case DeviceDegraded():
                heard.pop(reading.device, None)
                self._condition(self.health.degraded(reading.device, reading.reason, now), capture)
                return
            case _:
                pass
        if effects is not None:
            _join(capture.effects, effects)
        if isinstance(reading, DeviceAnswered):
            heard[reading.device] = reading.identity
        else:
            heard.setdefault(reading.device)

    def _footfall(self, buckets: list[Bucket], at: datetime, capture: Capture) -> None:
        capture.buckets += buckets
        for bucket in buckets:
            capture.effects.tell("footfall.counted", bucket.body(), at)

    def _condition(self, condition: Condition | None, capture: Capture) -> None:
        if condition is None:
            return
        capture.conditions.append(condition)
        capture.effects.tell("device.changed", condition.body(), condition.since)
        metrics.device_up.labels(condition.device).set(condition.status == "online")
        level = logging.INFO if condition.status == "online" else logging.WARNING
        log.log(level, "%s is %s%s", condition.device, condition.status, _because(condition.reason))

    async def _keep(self, capture: Capture, now: Moment) -> None:
        effects = capture.effects
        if not (effects.events or effects.plates or effects.beliefs or capture.buckets):
            return
        for kind, count in Counter(event.kind for event in effects.events).items():
            metrics.events.labels(kind).inc(count)
        done: Future[None] = self.journal.submit(capture)
        await asyncio.wrap_future(done)
        metrics.commit_seconds.observe(time.monotonic() - now.mono_s)


def count_readings(readings: Sequence[Reading]) -> None:
    """Into the metrics, by kind."""
    for kind, count in Counter(map(type, readings)).items():
        metrics.readings.labels(kind.__name__).inc(count)


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""


def _join(into: Effects, more: Effects) -> None:
    into.events += more.events
    into.beliefs += more.beliefs
    into.plates += more.plates
    into.tags += more.tags
