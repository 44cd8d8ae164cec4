"""Devices that publish on the store's broker: the loop over their messages, whatever these say.

A batch of messages is acknowledged when its readings are committed. What a driver adds is one function,
from a payload to what it says.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from paho.mqtt.client import topic_matches_sub

from edge_agent.config.devices import MqttDevice
from edge_agent.contract.errors import DeviceSilent
from edge_agent.contract.times import parse_rfc3339, utc_now
from edge_agent.drivers.mqtt import MqttSession
from edge_agent.drivers.mqtt_inbox import Message
from edge_agent.drivers.tap import Heard, printable
from edge_agent.readings import DeviceAnswered, DeviceDegraded, Emit, GapSeen, Reading, TagRead
from edge_agent.service import metrics

NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding hostile JSON raises."""

LATE_READ_S = 300.0
"""A read or sight this old, out of a queue that grew while the agent was away, says nothing about now."""

SLOW_CLOCK_AFTER_S = 3.0
"""Old times that have gone on this long no faster than ours are those of a clock that is slow."""
JITTER_S = 1.0

UNREADABLE_AFTER_S = 10.0
"""A device of which something could be read this recently is well, whatever else comes on its topic."""

_EPOCH_UNITS_S = ((1e11, 1.0), (1e14, 1e-3), (1e17, 1e-6), (float("inf"), 1e-9))
"""A number below the limit counts since 1970 in this unit: until the year 5138 no two are confused."""

_check_value = msgspec.json.Decoder(msgspec.Raw).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Understood:
    """What one payload said: readings in their order, how many other messages, and what made no sense."""

    readings: list[Reading] = field(default_factory=list)
    others: int = 0
    faults: list[str] = field(default_factory=list)
    duplicates: int = 0
    there: bool | None = None
    """The device's own word, or that of its last will, on whether it is there."""


Understand = Callable[[bytes, str | None], Understood]
"""A payload and its topic (None where there is none, in `decode`) to what it says; never raises."""


def json_values(payload: bytes) -> Iterator[bytes | msgspec.Raw]:
    """The JSON texts of one payload: a value, the members of an array, or one value a line. Never raises."""
    stripped = payload.strip()
    try:
        if stripped.startswith(b"["):
            yield from _decode_array(stripped)
            return
        if b"\n" in stripped:
            _check_value(stripped)
    except NOT_JSON:
        yield from (line for line in stripped.splitlines() if line.strip())
        return
    yield stripped


def device_time(said: str | float | None) -> datetime | None:
    """A device's own time: RFC 3339, or seconds, ms, µs or ns since 1970. None without one that is a time."""
    if said is None or said == "":
        return None
    try:
        if isinstance(said, str) and not said.isdigit():
            return parse_rfc3339(said)
        number = float(said)
        unit_s = next((unit for limit, unit in _EPOCH_UNITS_S if number < limit), 1.0)
        return datetime.fromtimestamp(number * unit_s, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def frequency_khz(said: object, *, unit_khz: int = 1) -> int | None:
    """The frequency of a hop channel as a device writes it, a number or a text; None for anything else.

    It only makes the place of a tag better, so it never costs a read.
    """
    if isinstance(said, int):
        return said * unit_khz
    if not isinstance(said, float | str):
        return None
    try:
        return round(float(said) * unit_khz)
    except (ValueError, OverflowError):
        return None


class Backlog:
    """Tells the reads that waited at the broker from those of a reader whose clock is slow. Pure.

    Both have old times; but what waited comes faster than it happened, and a slow clock goes as fast as ours.
    """

    def __init__(self) -> None:
        self._slow_s = 0.0
        self._first: tuple[float, float] | None = None

    def waited(self, age_s: float, mono_s: float) -> bool:
        """Whether a read of this age, looked at now (`mono_s`), says nothing about now."""
        if age_s <= LATE_READ_S:
            self._slow_s = 0.0
            return False
        if age_s <= LATE_READ_S + self._slow_s:
            return False
        began_s, first_age_s = self._first or (mono_s, age_s)
        if abs(first_age_s - age_s) > JITTER_S:
            began_s, first_age_s = mono_s, age_s
        self._first = began_s, first_age_s
        if mono_s - began_s < SLOW_CLOCK_AFTER_S:
            return True
        self._slow_s = age_s
        return False


class TopicDriver:
    """One device's topic.

    Messages without readings prove that the device lives; a batch with nothing but unreadable ones degrades
    it. Retained messages are what a topic was last, not what a device senses now: they are skipped, except
    on the topic where a device says whether it is there. One that says no is offline until it says yes or
    anything else is heard of it. A tag read that waited at the broker for minutes is no arrival now, nor is a
    camera's verdict one on the shelf as it is; what was sold or came is so whenever it is heard.
    """

    def __init__(self, settings: MqttDevice, session: MqttSession, understand: Understand) -> None:
        self._settings, self._session, self._understand = settings, session, understand
        self._fault: str | None = None
        self._read_s = self._fault_s = -math.inf
        self._backlog = Backlog()

    async def run(self, emit: Emit) -> None:
        """Until cancelled. Raises LinkLost or LinkDenied once for each outage of the broker, and
        DeviceSilent when the device says that it is gone.
        """
        device, state_filter = self._settings.id, self._settings.state_filter
        async with self._session.subscribe(device, self._settings.topic_filter) as inbox:
            if state_filter is None:
                await emit([DeviceAnswered(device)])
            while True:
                readings, there = self._readings(await inbox.get_batch())
                if readings:
                    inbox.gone = False
                    await emit(readings)
                inbox.ack()
                await asyncio.sleep(0)  # messages that say nothing emit nothing, and may be many and large
                if there is False and not inbox.gone:
                    inbox.gone = True
                    hint = "power and network of the device"
                    raise DeviceSilent(f"the device is offline, says {state_filter}", hint=hint)

    def _readings(self, messages: list[Message]) -> tuple[list[Reading], bool | None]:
        """What to emit, and whether the device was there at the end (None: nothing says so)."""
        readings, faults = list[Reading](), list[str]()
        there: bool | None = None
        duplicates = 0
        for message in messages:
            if message.retained and not self._tells_presence(message.topic):
                continue
            understood = self._understand(message.payload, message.topic)
            readings += self._fresh(understood.readings) if message.late else understood.readings
            faults += understood.faults
            heard = understood.readings or understood.others or understood.duplicates
            there = (True if heard else there) if understood.there is None else understood.there
            duplicates += understood.duplicates
        if duplicates:
            metrics.mqtt_duplicates.labels(self._settings.id).inc(duplicates)
        self._note(faults, heard=there is not None)
        return (readings or self._without_readings(faults, there)), there

    def _without_readings(self, faults: list[str], there: bool | None) -> list[Reading]:
        device = self._settings.id
        if there is not None or not faults:
            return [DeviceAnswered(device)] if there else []
        if time.monotonic() - self._read_s < UNREADABLE_AFTER_S:
            return []
        return [
            DeviceDegraded(device, f"what arrives on {self._settings.topic} is unreadable: {self._fault}")
        ]

    def _tells_presence(self, topic: str) -> bool:
        state_filter = self._settings.state_filter
        return state_filter is not None and topic_matches_sub(state_filter, topic)

    def _fresh(self, readings: list[Reading]) -> list[Reading]:
        """Without the tag reads and the camera's verdicts that waited at the broker for minutes."""
        now, mono_s, waited = utc_now(), time.monotonic(), self._backlog.waited
        return [
            reading
            for reading in readings
            if not isinstance(reading, TagRead | GapSeen)
            or reading.occurred_at is None
            or not waited((now - reading.occurred_at).total_seconds(), mono_s)
        ]

    def _note(self, faults: list[str], *, heard: bool) -> None:
        """Keep the first fault since something could be read; log it when there was none for a while."""
        if faults:
            metrics.mqtt_unreadable.labels(self._settings.id).inc(len(faults))
        now_s = time.monotonic()
        if heard:
            self._fault, self._read_s = None, now_s
        if not faults:
            return
        self._fault = self._fault or faults[0]
        level = logging.DEBUG if now_s - self._fault_s < UNREADABLE_AFTER_S else logging.WARNING
        _log.log(level, "%s: %d unreadable events, the first: %s", self._settings.id, len(faults), faults[0])
        self._fault_s = now_s


def decoded_payload(understand: Understand, heard: Heard) -> Iterator[Reading | str]:
    """For `decode` and `replay`: the readings of one payload, and a line for each thing without sense."""
    if not heard.chunk.strip():
        return
    understood = understand(heard.chunk, heard.topic)
    yield from understood.readings
    for fault in understood.faults:
        yield f"{fault}: {printable(heard.chunk.strip())}"
