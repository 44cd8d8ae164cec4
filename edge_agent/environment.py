"""Readings of the surroundings become buckets of a minute or more, and alarms; one of each per quantity.

A value holds until the next one, but no longer than its device may be silent (`Bounds.hold_s`; without a
bound as long as the device is connected). What lies beyond is a gap: it adds nothing to the time outside the
limits and does not end it either. So a door contact that speaks once when it opens can raise an alarm, and a
pulled cable cannot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from edge_agent.contract.messages import EnvironmentAlarm, EnvironmentMeasured
from edge_agent.contract.times import rfc3339
from edge_agent.fullness import FINE_S, span_of
from edge_agent.moment import Moment
from edge_agent.readings import EnvironmentReading

CLOCK_ERROR = timedelta(minutes=5)
"""A device whose own time is further away than this from ours has a wrong clock: its times are ignored."""
KEEP_EVERY_S = 5.0
"""A new mean alone is written down no more often than this: a sensor at 10 Hz must not wear the flash."""
LARGEST = 1e9
"""No sensor of a store measures more; beyond it a payload is broken, and sums stay finite."""

Side = Literal["above", "below"]
Key = tuple[str, str]
"""Device and quantity."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of one quantity: alarm after `for_s` outside, cleared `hysteresis` inside.

    `hold_s`: how long a value counts without a next one; None while the device is connected.
    """

    min: float | None = None
    max: float | None = None
    for_s: float = 600.0
    hysteresis: float = 0.0
    hold_s: float | None = None

    def passed(self, value: float) -> tuple[Side, float] | None:
        """The side on which `value` is outside, with its limit; None inside."""
        if self.max is not None and value > self.max:
            return "above", self.max
        return ("below", self.min) if self.min is not None and value < self.min else None

    def is_back(self, value: float, side: Side) -> bool:
        """Whether `value` has returned from `side` by the hysteresis; so has any where no limit is left."""
        if side == "above":
            return self.max is None or value <= self.max - self.hysteresis
        return self.min is None or value >= self.min + self.hysteresis


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """What was measured so far in the minute that starts at `start`, or in `seconds` where they are more."""

    start: datetime
    seconds: int = FINE_S
    count: int = 0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    told: bool = False

    @property
    def end(self) -> datetime:
        """The first moment that is no part of it."""
        return self.start + timedelta(seconds=self.seconds)

    def joined(self, value: float) -> Minute:
        """With one value more."""
        return replace(
            self,
            count=self.count + 1,
            total=self.total + value,
            low=min(self.low, value),
            high=max(self.high, value),
            told=False,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """Everything remembered of one quantity of one device; it survives restarts.

    `own_at` is the newest time of the device itself that counted. `outside` and `outside_s` are an excursion
    that has not (yet) become an alarm; `alarm` is the side of an open alarm and `limit` what it passed.
    """

    device: str
    quantity: str
    unit: str
    value: float
    measured_at: datetime
    own_at: datetime | None
    minute: Minute
    outside: Side | None = None
    outside_s: float = 0.0
    alarm: Side | None = None
    limit: float | None = None

    @property
    def key(self) -> Key:
        """Device and quantity."""
        return (self.device, self.quantity)

    def bucket(self) -> EnvironmentMeasured:
        """The minute so far, as HQ gets it."""
        minute = self.minute
        mean = round(minute.total / minute.count, 4)
        return EnvironmentMeasured(
            device=self.device,
            quantity=self.quantity,
            unit=self.unit,
            start=rfc3339(minute.start),
            seconds=minute.seconds,
            min=minute.low,
            max=minute.high,
            mean=min(max(mean, minute.low), minute.high),
        )

    def alarmed(self, state: Literal["raised", "cleared"], limit: float) -> EnvironmentAlarm:
        """The alarm as HQ gets it; `limit` is what was passed."""
        return EnvironmentAlarm(
            device=self.device, quantity=self.quantity, value=self.value, limit=limit, state=state
        )


@dataclass(slots=True)
class Measured:
    """What a step changed: events (kind and body) and the quantities to be written down with them."""

    events: list[tuple[str, Struct]] = field(default_factory=list)
    kept: dict[Key, Quantity] = field(default_factory=dict)


@dataclass(slots=True)
class _Pulse:
    """What is only known while the process runs: by the monotonic clock, and by ours when the minute ends."""

    held_s: float | None
    """Up to when the value's time is accounted for; None in a gap."""
    heard_s: float
    kept_s: float
    closes_at: datetime


class Environment:
    """All quantities of all devices. Its methods take the time; they return what is to be told and kept."""

    def __init__(self, bounds: Mapping[Key, Bounds] | None = None, restored: Sequence[Quantity] = ()) -> None:
        self.bucket_s = FINE_S
        self.quantities: dict[Key, Quantity] = {quantity.key: quantity for quantity in restored}
        self._bounds = dict(bounds or {})
        # While the process was down nobody measured: the first time that counts is after the next reading.
        self._pulses = {
            q.key: _Pulse(None, -math.inf, -math.inf, q.minute.end) for q in self.quantities.values()
        }

    def measured(self, reading: EnvironmentReading, now: Moment) -> Measured:
        """Take in one reading. One that repeats what was counted, or is no finite number, changes nothing."""
        step, key = Measured(), (reading.device, reading.quantity)
        if not abs(reading.value) <= LARGEST:  # NaN compares false
            return step
        before, own_at = self.quantities.get(key), _trusted(reading.occurred_at, now.at)
        if before is not None and own_at is not None and before.own_at is not None:
            is_repeated = own_at <= before.own_at and _trusted(before.own_at, now.at) is not None
            if is_repeated:
                return step
        moment = own_at or now.at
        minute = self._minute(before, moment, step)
        after = Quantity(
            device=reading.device,
            quantity=reading.quantity,
            unit=reading.unit,
            value=reading.value,
            measured_at=moment,
            own_at=own_at or (before.own_at if before else None),
            minute=minute.joined(reading.value),
            outside=before.outside if before else None,
            outside_s=before.outside_s if before else 0.0,
            alarm=before.alarm if before else None,
            limit=before.limit if before else None,
        )
        after = self._watched(after, now, step)
        self._heard(before, after, now, step)
        return step

    def lost(self, device: str, now: Moment) -> Measured:
        """The device is gone: its values hold no longer."""
        return self._released([q for q in self.quantities.values() if q.device == device], now)

    def degraded(self, device: str, now: Moment) -> Measured:
        """The device cannot do all of its job: what it did not say just now holds as long as in silence.

        Where silence has no bound, it ends here.
        """
        unbound = [q for q in self.quantities.values() if q.device == device and self._is_unbound(q.key)]
        return self._released([q for q in unbound if self._pulses[q.key].heard_s < now.mono_s], now)

    def answered(self, device: str, now: Moment) -> None:
        """The device is there: where its connection alone decides, what it said last holds again."""
        for quantity in self.quantities.values():
            pulse = self._pulses[quantity.key]
            if quantity.device == device and pulse.held_s is None and self._is_unbound(quantity.key):
                pulse.held_s = now.mono_s

    def tick(self, now: Moment) -> Measured:
        """What time alone changes: minutes close, a value that stays outside becomes an alarm."""
        step = Measured()
        for key, quantity in list(self.quantities.items()):
            self._account(quantity, now, step)
            if not self._is_open(key, now):
                self._tell(self.quantities[key], step)
        return step

    def close(self) -> Measured:
        """The process stops: tell every open minute; a restart within it goes on with its total."""
        step = Measured()
        for quantity in list(self.quantities.values()):
            self._tell(quantity, step)
        return step

    def open_alarms(self) -> list[EnvironmentAlarm]:
        """Every alarm that was raised and not cleared yet, as it was raised."""
        return [q.alarmed("raised", q.limit) for q in self.quantities.values() if q.limit is not None]

    def _is_unbound(self, key: Key) -> bool:
        bounds = self._bounds.get(key)
        return bounds is not None and bounds.hold_s is None

    def _released(self, quantities: list[Quantity], now: Moment) -> Measured:
        """Account for the time so far; what follows is a gap."""
        step = Measured()
        for quantity in quantities:
            self._account(quantity, now, step)
            self._pulses[quantity.key].held_s = None
        return step

    def _minute(self, before: Quantity | None, moment: datetime, step: Measured) -> Minute:
        """The minute that a value of `moment` joins; the one before it is told."""
        start, seconds = span_of(moment, self.bucket_s)
        if before is None:
            return Minute(start=start, seconds=seconds)
        opened = before.minute
        # A little late joins the open minute; much earlier means that our own clock was put back.
        if opened.start - CLOCK_ERROR <= start < opened.end:
            return opened
        self._tell(before, step)
        return Minute(start=start, seconds=seconds)

    def _watched(self, quantity: Quantity, now: Moment, step: Measured) -> Quantity:
        """The quantity after its limits were looked at."""
        bounds = self._bounds.get(quantity.key)
        if bounds is None:
            return quantity
        quantity = self._with_time(quantity, bounds, now)
        if quantity.alarm is not None and bounds.is_back(quantity.value, quantity.alarm):
            quantity = _cleared(quantity, step)
        passed = bounds.passed(quantity.value)
        side = passed[0] if passed else None
        if side != quantity.outside:
            quantity = replace(quantity, outside=side, outside_s=0.0)
        return _raised_if_due(quantity, bounds, step)

    def _with_time(self, quantity: Quantity, bounds: Bounds, now: Moment) -> Quantity:
        """The quantity with the time that its value before has held."""
        pulse = self._pulses.get(quantity.key)
        if pulse is None or pulse.held_s is None:
            return quantity
        until_s = now.mono_s if bounds.hold_s is None else min(now.mono_s, pulse.heard_s + bounds.hold_s)
        held_s = max(0.0, until_s - pulse.held_s)
        pulse.held_s = max(pulse.held_s, until_s)
        if quantity.outside is None:
            return quantity
        return replace(quantity, outside_s=quantity.outside_s + held_s)

    def _account(self, quantity: Quantity, now: Moment, step: Measured) -> None:
        """Time passes without a reading."""
        bounds, pulse = self._bounds.get(quantity.key), self._pulses[quantity.key]
        if bounds is None:
            if quantity.alarm is not None:  # its limits are no longer configured
                self._keep(_cleared(quantity, step), now, step)
            return
        after = _raised_if_due(self._with_time(quantity, bounds, now), bounds, step)
        self.quantities[quantity.key] = after
        has_grown = after.alarm is None and after.outside_s > quantity.outside_s
        if after.alarm != quantity.alarm or (has_grown and now.mono_s - pulse.kept_s >= KEEP_EVERY_S):
            self._keep(after, now, step)

    def _heard(self, before: Quantity | None, after: Quantity, now: Moment, step: Measured) -> None:
        """Remember the quantity after a reading, on disk when it says something that cannot wait."""
        pulse = self._pulses.get(after.key)
        kept_s = -math.inf if pulse is None else pulse.kept_s
        self._pulses[after.key] = _Pulse(
            now.mono_s, now.mono_s, kept_s, after.minute.end + (now.at - after.measured_at)
        )
        self.quantities[after.key] = after
        if (
            before is None
            or now.mono_s - kept_s >= KEEP_EVERY_S
            or (before.minute.start, before.minute.low, before.minute.high)
            != (after.minute.start, after.minute.low, after.minute.high)
            or (before.outside, before.alarm) != (after.outside, after.alarm)
        ):
            self._keep(after, now, step)

    def _keep(self, quantity: Quantity, now: Moment, step: Measured) -> None:
        self.quantities[quantity.key] = quantity
        self._pulses[quantity.key].kept_s = now.mono_s
        step.kept[quantity.key] = quantity

    def _is_open(self, key: Key, now: Moment) -> bool:
        start = self.quantities[key].minute.start
        return start - CLOCK_ERROR <= now.at < self._pulses[key].closes_at

    def _tell(self, quantity: Quantity, step: Measured) -> None:
        """Tell the minute, unless HQ has it as it is."""
        if quantity.minute.told:
            return
        step.events.append(("environment.measured", quantity.bucket()))
        told = replace(quantity, minute=replace(quantity.minute, told=True))
        self.quantities[quantity.key] = step.kept[quantity.key] = told


def _trusted(own_at: datetime | None, now: datetime) -> datetime | None:
    """The device's own time, None when its clock cannot be right."""
    return own_at if own_at is not None and abs(own_at - now) <= CLOCK_ERROR else None


def _raised_if_due(quantity: Quantity, bounds: Bounds, step: Measured) -> Quantity:
    passed = bounds.passed(quantity.value)
    if quantity.alarm is not None or passed is None or quantity.outside is None:
        return quantity
    if quantity.outside_s < bounds.for_s:
        return quantity
    side, limit = passed
    step.events.append(("environment.alarm", quantity.alarmed("raised", limit)))
    return replace(quantity, alarm=side, limit=limit)


def _cleared(quantity: Quantity, step: Measured) -> Quantity:
    """Told with the limit that was passed when it was raised, so that the two are a pair."""
    if quantity.limit is not None:
        step.events.append(("environment.alarm", quantity.alarmed("cleared", quantity.limit)))
    return replace(quantity, alarm=None, limit=None, outside=None, outside_s=0.0)
