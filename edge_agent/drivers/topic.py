"""Devices that publish on the store's broker: the loop over their messages, whatever these say.

A batch of messages is acknowledged when its readings are committed. What a driver adds is one function,
from a payload to what it says.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from edge_agent.contract.times import parse_rfc3339
from edge_agent.devices import MqttDevice
from edge_agent.drivers.mqtt import Message, MqttSession
from edge_agent.drivers.tap import Heard, printable
from edge_agent.readings import DeviceAnswered, DeviceDegraded, Emit, Reading

NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding hostile JSON raises."""

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
        unit_s = next(unit for limit, unit in _EPOCH_UNITS_S if number < limit)
        return datetime.fromtimestamp(number * unit_s, UTC)
    except (ValueError, OverflowError, OSError):
        return None


class TopicDriver:
    """One device's topic.

    Messages without readings prove that the device lives; a batch with nothing but unreadable ones degrades
    it. Retained messages are what a topic was last, not what a device senses now: they are skipped.
    """

    def __init__(self, settings: MqttDevice, session: MqttSession, understand: Understand) -> None:
        self._settings, self._session, self._understand = settings, session, understand
        self._faulty = False

    async def run(self, emit: Emit) -> None:
        """Until cancelled. Raises LinkLost or LinkDenied once for each outage of the broker."""
        device = self._settings.id
        async with self._session.subscribe(device, self._settings.topic) as inbox:
            await emit([DeviceAnswered(device)])
            while True:
                readings = self._readings(await inbox.get_batch())
                if readings:
                    await emit(readings)
                inbox.ack()

    def _readings(self, messages: list[Message]) -> list[Reading]:
        device, readings, others, faults = self._settings.id, list[Reading](), 0, list[str]()
        for message in messages:
            if message.retained:
                continue
            understood = self._understand(message.payload, message.topic)
            readings += understood.readings
            others += understood.others
            faults += understood.faults
        self._note(faults)
        if readings:
            return readings
        if others:
            return [DeviceAnswered(device)]
        reason = f"what arrives on {self._settings.topic} is unreadable"
        return [DeviceDegraded(device, reason)] if faults else []

    def _note(self, faults: list[str]) -> None:
        if faults and not self._faulty:
            _log.warning("%s: %d unreadable events, the first: %s", self._settings.id, len(faults), faults[0])
        self._faulty = bool(faults)


def decoded_payload(understand: Understand, heard: Heard) -> Iterator[Reading | str]:
    """For `decode` and `replay`: the readings of one payload, and a line for each thing without sense."""
    if not heard.chunk.strip():
        return
    understood = understand(heard.chunk, heard.topic)
    yield from understood.readings
    for fault in understood.faults:
        yield f"{fault}: {printable(heard.chunk.strip())}"
