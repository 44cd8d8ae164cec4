"""The bounded inbox, the folds behind it, and the commit that lets every emit return."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from edge_agent.bulletin import Bulletin
from edge_agent.bulletin import Line as LogLine
from edge_agent.contract.errors import JournalError, NotInPlanogram, ShelfEdgeError
from edge_agent.contract.messages import Command
from edge_agent.contract.planogram import Planogram
from edge_agent.contract.times import utc_now
from edge_agent.environment import Environment, Measured
from edge_agent.fullness import COARSE_S, FINE_S, SPARING, STOCK_FIRST
from edge_agent.health import Condition, Health
from edge_agent.health_news import HealthNews
from edge_agent.intake import Intake, join
from edge_agent.journal import Capture, Journal
from edge_agent.live.audience import Audience, DeviceLost
from edge_agent.moment import Moment
from edge_agent.presence_hours import PresenceHours
from edge_agent.readings import (
    Delivery,
    DeviceAnswered,
    DeviceDegraded,
    DeviceNoted,
    EnvironmentReading,
    GapSeen,
    HeatSeen,
    LineCrossing,
    LineWatched,
    Reading,
    Recount,
    Sale,
    TagRead,
    WeightReading,
    ZoneWatched,
)
from edge_agent.service import metrics
from edge_agent.stock.effects import Effects
from edge_agent.stock.estimate import Estimator
from edge_agent.takeover import Takeover
from edge_agent.traffic import Bucket, Traffic

log = logging.getLogger(__name__)

IN_FLIGHT = 2_000
"""The most emits between fold and commit. Policy: block, so that devices and the broker hold the rest."""
TICK_S = 0.5
MOST_REFUSALS_TOLD = 1_000
"""The log warns once of each line of a device that does not count, and of no more; the metric counts all."""


def read_clocks() -> Moment:
    """Now, by both clocks."""
    return Moment(utc_now(), time.monotonic())


def _nobody(_device: str) -> None:
    """Nobody waits for devices."""


@dataclass(slots=True)
class Pipeline:
    """Folds readings into one store's state. Single-threaded: it runs on the event loop."""

    estimator: Estimator
    traffic: Traffic
    health: Health
    journal: Journal
    now: Callable[[], Moment] = read_clocks
    audience: Audience = field(default_factory=Audience)
    environment: Environment = field(default_factory=Environment)
    hours: PresenceHours = field(default_factory=PresenceHours)
    bulletin: Bulletin = field(default_factory=Bulletin)
    news: HealthNews = field(default_factory=HealthNews)
    returned: Callable[[str], None] = _nobody
    """Told of each device that is back after it was offline."""
    planogram: Planogram = field(default_factory=Planogram)
    takeover: Takeover | None = None
    over: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    """Set once another planogram or other settings are durable: the parts are to be built anew."""
    intake: Intake = field(init=False)
    _is_closed: bool = field(init=False, default=False)
    _refused: set[tuple[str, str]] = field(init=False, default_factory=set)
    _room: asyncio.Semaphore = field(init=False, default_factory=lambda: asyncio.Semaphore(IN_FLIGHT))

    def __post_init__(self) -> None:
        """Lines, recounts and commands are folded by the planogram's names."""
        self.intake = Intake(self.planogram, self.estimator, self.journal, self.takeover)

    @property
    def is_closed(self) -> bool:
        """True once another planogram or other settings are taken over: nothing more is folded here."""
        return self._is_closed

    async def emit(self, readings: Sequence[Reading]) -> None:
        """Fold the readings at once; return when every consequence is durable.

        The fold happens here, in the order of arrival, so that readings of one device keep their order.
        """
        self.audience.tell(readings)
        async with self._room:
            await self.opened()
            count_readings(readings)
            capture = Capture()
            now = self.now()
            heard: dict[str, str | None] = {}
            for reading in readings:
                self._fold(reading, now, capture, heard)
            for device, identity in heard.items():
                self._condition(device, self.health.heard(device, now, identity=identity), capture, now)
            await self._keep(capture, now)

    async def take(self, reading: Sale | Delivery | Recount) -> bool:
        """Fold what somebody told the agent itself; return when it is durable: False when it counted before.

        Raises what `Intake` raises, and JournalError.
        """
        async with self._room:
            if self._is_closed:
                raise JournalError("the agent is just taking over what HQ published", hint="send it again")
            capture, now, is_new = Capture(), self.now(), True
            if isinstance(reading, Recount):
                self.intake.recount(reading, now, capture)
            else:
                is_new = self._line(reading, now, capture)
            await self._keep(capture, now)
        return is_new

    async def obey(self, command: Command) -> None:
        """Do what HQ asks, or refuse it; return when its fate is durable."""
        async with self._room:
            await self.opened()
            capture, now = Capture(), self.now()
            if self.intake.command(command, now, capture):
                await self._take_over(capture, now)
            else:
                await self._keep(capture, now)

    async def reset_planogram(self) -> bool:
        """Go back to the file's planogram; False when that one is in use. DoesNotFit, JournalError."""
        async with self._room:
            capture, now = Capture(), self.now()
            if self._is_closed or self.takeover is None:
                raise JournalError("the agent is just taking over what HQ published", hint="ask it again")
            if not self.takeover.reset(now, capture):
                return False
            await self._take_over(capture, now)
        return True

    async def opened(self) -> None:
        """Wait for ever once the pipeline is closed: what was told now is told again to the new parts."""
        if self._is_closed:
            await asyncio.Event().wait()

    async def device_lost(self, device: str, reason: str, *, hint: str = "") -> None:
        """The supervisor lost the device; `reason` is a sentence with its error code, `hint` what to do."""
        self.audience.tell((DeviceLost(device, reason),))
        if self._is_closed:
            return
        now, capture = self.now(), Capture()
        self.estimator.device_lost(device, now)
        self._measured(self.environment.lost(device, now), now, capture)
        self._condition(device, self.health.lost(device, reason, now), capture, now, hint=hint)
        await self._keep(capture, now)

    def spare(self, level: int) -> None:
        """The journal is so full (`fullness.level_of`): all but stock may be told coarser from now on."""
        self.news.is_sparing = level >= SPARING
        self.environment.bucket_s = COARSE_S if level >= SPARING else FINE_S
        self.traffic.bucket_s = COARSE_S if level >= STOCK_FIRST else FINE_S

    def tell_devices(self, capture: Capture) -> None:
        """How every device is, and since when; nothing of it is held back any more."""
        now_s = self.now().mono_s
        for condition in self.health.conditions.values():
            self.news.told(condition, now_s)
            capture.conditions.append(condition)
            capture.effects.tell("device.changed", condition.body(), condition.since)

    async def close_minutes(self) -> None:
        """The devices have stopped: tell what the open minutes hold so far, and what was held back."""
        now, capture = self.now(), Capture()
        self._measured(self.environment.close(), now, capture)
        self._footfall(self.traffic.close(), now.at, capture)
        self._news(self.news.close(now.mono_s), now, capture)
        await self._keep(capture, now)

    async def run(self) -> None:
        """What time alone changes, twice a second; ends with JournalError when the journal has failed."""
        try:
            while True:
                await asyncio.sleep(TICK_S)
                if self.journal.failed:
                    raise JournalError("the journal cannot be written", hint="see the log; check the disk")
                await self._tick(self.now())
        finally:
            _write(self.bulletin.rest())

    async def _tick(self, now: Moment) -> None:
        if self._is_closed:
            return
        capture = Capture()
        effects = self.estimator.tick(now)
        if effects is not None:
            join(capture.effects, effects)
        self._measured(self.environment.tick(now), now, capture)
        for condition in self.health.tick(now):
            self.estimator.device_lost(condition.device, now)
            self._condition(condition.device, condition, capture, now)
        self._footfall(self.traffic.tick(now.at), now.at, capture)
        self._news(self.news.due(now.mono_s), now, capture)
        _write(self.bulletin.due(now))
        await self._keep(capture, now)

    def _fold(self, reading: Reading, now: Moment, capture: Capture, heard: dict[str, str | None]) -> None:
        """One reading into the capture. `heard` collects who spoke: once for each emit is enough."""
        effects: Effects | None = None
        match reading:
            case TagRead() | WeightReading() | GapSeen():
                effects = self._sensed(reading, now)
            case LineCrossing() | LineWatched():
                self._footfall(self.traffic.seen(reading), reading.occurred_at, capture)
            case ZoneWatched() | HeatSeen():
                capture.hours.append(self.hours.seen(reading))
            case EnvironmentReading():
                self._measured(self.environment.measured(reading, now), now, capture)
            case Sale() | Delivery():
                self._line_of_device(reading, now, capture)
            case DeviceAnswered():
                self.environment.answered(reading.device, now)
            case DeviceNoted():
                moved = self.health.noted(reading.device, reading.note, now)
                self._condition(reading.device, moved, capture, now)
            case DeviceDegraded():
                self._measured(self.environment.degraded(reading.device, now), now, capture)
                self.estimator.device_lost(reading.device, now)
                heard.pop(reading.device, None)
                moved = self.health.degraded(reading.device, reading.reason, now)
                self._condition(reading.device, moved, capture, now)
                return
        join(capture.effects, effects)
        if isinstance(reading, DeviceAnswered):
            heard[reading.device] = reading.identity
        else:
            heard.setdefault(reading.device)

    def _sensed(self, reading: TagRead | WeightReading | GapSeen, now: Moment) -> Effects | None:
        """What a sensor says of a facing."""
        match reading:
            case TagRead():
                return self.estimator.tag(reading, now)
            case WeightReading():
                return self.estimator.weight(reading, now)
            case GapSeen():
                return self.estimator.gap(reading, now)

    def _line(self, reading: Sale | Delivery, now: Moment, capture: Capture) -> bool:
        kind = type(reading).__name__.lower()
        try:
            is_new = self.intake.line(reading, now, capture)
        except ShelfEdgeError:
            metrics.lines.labels(kind, "refused").inc()
            raise
        metrics.lines.labels(kind, "counted" if is_new else "known").inc()
        return is_new

    def _line_of_device(self, reading: Sale | Delivery, now: Moment, capture: Capture) -> None:
        """A device cannot be told what is wrong with a line, and a till sells much that stands elsewhere."""
        try:
            self._line(reading, now, capture)
        except ShelfEdgeError as error:
            is_elsewhere = isinstance(reading, Sale) and isinstance(error, NotInPlanogram)
            what = reading.device, error.message
            is_told = is_elsewhere or what in self._refused or len(self._refused) >= MOST_REFUSALS_TOLD
            if not is_told:
                self._refused.add(what)
            level = logging.DEBUG if is_told else logging.WARNING
            log.log(level, "%s: a line does not count: %s", reading.device, error)

    def _footfall(self, buckets: list[Bucket], at: datetime, capture: Capture) -> None:
        capture.buckets += buckets
        for bucket in buckets:
            if bucket.told:
                capture.effects.tell("footfall.counted", bucket.body(), at)

    def _news(self, conditions: list[Condition], now: Moment, capture: Capture) -> None:
        """Tell them. What is held back is not kept either: after a kill it is news."""
        capture.conditions += conditions
        for condition in conditions:
            capture.effects.tell("device.changed", condition.body(), now.at)

    def _measured(self, step: Measured, now: Moment, capture: Capture) -> None:
        capture.quantities += step.kept.values()
        for kind, body in step.events:
            capture.effects.tell(kind, body, now.at)

    def _condition(
        self, device: str, moved: Condition | None, capture: Capture, now: Moment, *, hint: str = ""
    ) -> None:
        """Tell of a condition that moved; after a start the log also hears of one that is as it was."""
        if moved is None:
            if device in self.bulletin.untold:
                self.bulletin.note(self.health.conditions[device], now, hint=hint)
            return
        if self.news.changed(moved, now.mono_s):
            self._news([moved], now, capture)
        log.debug("%s is %s: %s", device, moved.status, moved.reason)
        self.bulletin.note(moved, now, hint=hint)
        if moved.status != "offline":
            self.returned(device)

    async def _take_over(self, capture: Capture, now: Moment) -> None:
        """Nothing that was folded by the old planogram may be committed behind the new one."""
        self._is_closed = True
        await self._keep(capture, now)
        self.over.set()

    async def _keep(self, capture: Capture, now: Moment) -> None:
        effects = capture.effects
        states = (
            effects.plates,
            effects.beliefs,
            capture.buckets,
            capture.quantities,
            capture.lines,
            capture.hours,
            capture.conditions,
        )
        if not (effects.events or any(states) or capture.follows):
            return
        for kind, count in Counter(event.kind for event in effects.events).items():
            metrics.events.labels(kind).inc(count)
        done: Future[None] = self.journal.submit(capture)
        if capture.lines:
            done.add_done_callback(partial(self._settled, capture))
        await asyncio.wrap_future(done)
        metrics.commit_seconds.observe(time.monotonic() - now.mono_s)

    def _settled(self, capture: Capture, _done: Future[None]) -> None:
        self.intake.settled(capture.lines)


def count_readings(readings: Sequence[Reading]) -> None:
    """Into the metrics, by kind."""
    for kind, count in Counter(map(type, readings)).items():
        metrics.readings.labels(kind.__name__).inc(count)


def _write(lines: Sequence[LogLine]) -> None:
    for line in lines:
        log.log(line.level, "%s", line.text)
