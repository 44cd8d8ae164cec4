"""Anything else on MQTT, by configuration only (`mqtt-json`): a mapping from messages to readings.

A payload is JSON, or one bare number or word. Paths are JMESPath. A value that is absent or null gives no
reading, never 0; one that is no number where a number belongs (NaN too) is a fault and named in the log.
A message with a `sequence` that comes a second time, byte for byte, is a duplicate: a device may send again
what its broker had already taken. It is none where a number has risen, or fallen far: the device counts on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from edge_agent.config.devices import UNITS, Quantity
from edge_agent.config.mappings import MqttJson, OnlineMapping, TagMapping, WeightMapping
from edge_agent.config.topics import compile_template
from edge_agent.drivers import said
from edge_agent.drivers.event_numbers import Recent
from edge_agent.drivers.gap_verdicts import GapVerdicts
from edge_agent.drivers.json_path import JsonPath, items, json_path
from edge_agent.drivers.mass import grams
from edge_agent.drivers.mqtt import MqttSession
from edge_agent.drivers.tap import Heard
from edge_agent.drivers.topic import NOT_JSON, TopicDriver, Understood, decoded_payload
from edge_agent.drivers.trade_lines import Deliveries, Sales
from edge_agent.readings import (
    DeviceAnswered,
    DeviceDegraded,
    EnvironmentReading,
    Reading,
    TagRead,
    WeightReading,
)

REMEMBERED = 200
"""Messages with a sequence that are kept in mind to know their duplicates: fewer than an 8-bit number has."""
SENT_AGAIN = 20
"""A number that is lower than the one before by more is that of a device that begins to count again."""
NAMED = 5
"""So many plates that are offline stand in the device's condition by name."""

_decode_json = msgspec.json.Decoder().decode


def payload_value(payload: bytes) -> Any:
    """What a payload says: JSON where it is an object, list or quoted, else the bare word itself.

    ValueError (of msgspec) when it is neither. A bare number stays text: an EPC may be all digits.
    """
    text = payload.strip()
    if text[:1] in (b"{", b"[", b'"'):
        return _decode_json(text)
    word = text.decode("utf-8")
    return None if word in ("", "null") or not word.isprintable() else word


class Mapper:
    """One device's mapping, compiled. Remembers which plates said that they are gone, and duplicates."""

    def __init__(self, settings: MqttJson) -> None:
        self._device = settings.id
        self._template = compile_template(settings.topic, settings.id)
        self._online = _Online(settings.online, settings.id) if settings.online else None
        self._match = [(JsonPath(path), said.word(value)) for path, value in settings.match.items()]
        self._time, self._sequence = json_path(settings.time), json_path(settings.sequence)
        self._maps: list[_Weights | _Tags | _Quantity | _Door | Sales | Deliveries | GapVerdicts] = []
        plates = _Plates(json_path(settings.channel), settings.channel_names)
        self._channel_of, self._channels = plates.named, settings.plates().keys()
        if settings.weight is not None:
            self._maps.append(_Weights(settings.id, settings.weight, plates))
        if settings.tag is not None:
            self._maps.append(_Tags(settings.id, settings.tag))
        if settings.environment.temperature_c is not None:
            self._maps.append(_Quantity(settings.id, "temperature_c", settings.environment.temperature_c))
        if settings.environment.humidity_pct is not None:
            self._maps.append(_Quantity(settings.id, "humidity_pct", settings.environment.humidity_pct))
        if settings.door is not None:
            self._maps.append(
                _Door(settings.id, settings.door.path, settings.door.open, settings.door.closed)
            )
        if settings.sale is not None:
            self._maps.append(Sales(settings.id, settings.sale))
        if settings.delivery is not None:
            self._maps.append(Deliveries(settings.id, settings.delivery))
        if settings.gap is not None:
            self._maps.append(GapVerdicts(settings.id, settings.gap))
        self._found = False
        self._gone: set[str] = set()
        self._numbers: dict[str | None, float] = {}
        self._recent = Recent(REMEMBERED)

    def knows(self, topic: str) -> bool:
        """Whether a message on this topic would be looked at."""
        online = self._online is not None and self._online.template.match(topic) is not None
        return online or self._template.match(topic) is not None

    def understand(self, payload: bytes, topic: str | None) -> Understood:
        """One message; never raises. Without a topic it is taken for one with readings."""
        if topic is not None and self._online is not None:
            named = self._online.template.match(topic)
            if named is not None:
                return self._presence(payload, named)
        names = self._template.match(topic) if topic is not None else {}
        if names is None:
            return Understood()
        understood = self._readings(payload, topic, names)
        if self._gone and (understood.readings or understood.others):
            understood.readings.append(self._incomplete())
        return understood

    def _readings(self, payload: bytes, topic: str | None, names: Mapping[str, str]) -> Understood:
        understood = Understood()
        try:
            value = payload_value(payload)
        except NOT_JSON as error:
            understood.faults.append(f"not JSON: {error}")
            return understood
        if any(said.word(path.of(value)) != wanted for path, wanted in self._match):
            return understood
        if self._repeated(value, payload, topic):
            understood.duplicates += 1
            return understood
        at = said.moment(self._time.of(value)) if self._time is not None else None
        for mapped in self._maps:
            mapped.read(value, names, at, understood)
        if understood.readings or understood.others:
            self._found = True
        elif not understood.faults and self._found:
            understood.others += 1
        elif not understood.faults:
            understood.faults.append("no mapped value in the message")
        return understood

    def _repeated(self, value: Any, payload: bytes, topic: str | None) -> bool:
        said_sequence = None if self._sequence is None else self._sequence.of(value)
        if said_sequence is None:
            return False
        number, message = said.number(said_sequence), (topic, payload)
        last = self._numbers.get(topic)
        counts_on = number is not None and last is not None and not last - SENT_AGAIN < number <= last
        if message in self._recent and not counts_on:
            return True
        if number is not None:
            self._remember_number(topic, number)
        self._recent.add(message)
        return False

    def _remember_number(self, topic: str | None, number: float) -> None:
        if len(self._numbers) >= REMEMBERED and topic not in self._numbers:
            self._numbers.clear()
        self._numbers[topic] = number

    def _presence(self, payload: bytes, names: Mapping[str, str]) -> Understood:
        understood = Understood()
        try:
            value = payload_value(payload)
        except NOT_JSON as error:
            understood.faults.append(f"not JSON: {error}")
            return understood
        there = self._online.there(value) if self._online is not None else None
        plate = names.get("channel")
        if plate is None or there is None:
            understood.there = there
            return understood
        if self._channel_of(plate) not in self._channels:
            understood.others += 1  # a plate that carries no facing
            return understood
        (self._gone.discard if there else self._gone.add)(plate)
        understood.readings.append(self._incomplete() if self._gone else DeviceAnswered(self._device))
        return understood

    def _incomplete(self) -> DeviceDegraded:
        if len(self._gone) == 1:
            return DeviceDegraded(self._device, f"plate {min(self._gone)} says that it is offline")
        first, more = ", ".join(sorted(self._gone)[:NAMED]), len(self._gone) - NAMED
        others = f" and {more} more" if more > 0 else ""
        return DeviceDegraded(self._device, f"plates {first}{others} say that they are offline")


class _Online:
    def __init__(self, mapping: OnlineMapping, device: str) -> None:
        self.template = compile_template(mapping.topic, device)
        self._path = JsonPath(mapping.path)
        self._offline, self._online = said.words(mapping.offline), said.words(mapping.online)

    def there(self, value: Any) -> bool | None:
        word = said.word(self._path.of(value))
        if word is None:
            return None
        if word in self._offline:
            return False
        return True if not self._online or word in self._online else None


class _Plates:
    """Which plate a message is about."""

    def __init__(self, path: JsonPath | None, names: Mapping[str, int]) -> None:
        self._path = path
        self._names = {name.casefold(): channel for name, channel in names.items()}

    def named(self, name: object) -> int | None:
        """The channel that goes by this name, or by this number."""
        known = self._names.get(str(name).casefold()) if isinstance(name, str | int) else None
        return said.channel_number(name) if known is None else known

    def of(self, item: Any, whole: Any, key: str | None) -> tuple[int | None, str | None]:
        """The channel, None for a one-plate scale; or what made it unknown."""
        name: Any = key
        if self._path is not None:
            name = self._path.of(item)
            name = self._path.of(whole) if name is None else name
        if name is None and self._path is None:
            return None, None
        channel = self.named(name)
        return channel, None if channel is not None else f"unknown channel {name!r:.40}"


class _Weights:
    def __init__(self, device: str, mapping: WeightMapping, plates: _Plates) -> None:
        self._device, self._plates = device, plates
        self._each, self._path = json_path(mapping.each), JsonPath(mapping.path)
        self._stable = json_path(mapping.stable)
        self._unit, self._scale = mapping.unit, Decimal(repr(mapping.scale))

    def read(self, whole: Any, names: Mapping[str, str], at: datetime | None, into: Understood) -> None:
        for key, item in items(self._each, whole):
            value = self._path.of(item)
            if value is None:
                continue
            exact = said.decimal(value)
            weight_g = None if exact is None else grams(str(exact * self._scale), self._unit)
            if weight_g is None or said.number(weight_g) is None:
                into.faults.append(f"weight is no number: {value!r:.60}")
                continue
            channel, problem = self._plates.of(item, whole, names.get("channel") if key is None else key)
            if problem is not None:
                into.faults.append(problem)
                continue
            stable = said.truth(self._stable.of(item)) if self._stable is not None else None
            into.readings.append(WeightReading(self._device, channel, weight_g, stable, (), at))


class _Tags:
    def __init__(self, device: str, mapping: TagMapping) -> None:
        self._device, self._encoding = device, mapping.encoding
        self._each, self._epc = json_path(mapping.each), JsonPath(mapping.epc)
        self._antenna, self._rssi = json_path(mapping.antenna), json_path(mapping.rssi_dbm)
        self._time = json_path(mapping.time)

    def read(self, whole: Any, names: Mapping[str, str], at: datetime | None, into: Understood) -> None:
        for _, item in items(self._each, whole):
            value = self._epc.of(item)
            if value is None:
                continue
            epc = said.epc(value, encoding=self._encoding)
            if epc is None:
                into.faults.append(f"not an EPC: {value!r:.80}")
                continue
            antenna = self._antenna.of(item) if self._antenna is not None else names.get("antenna")
            own = said.moment(self._time.of(item)) if self._time is not None else None
            rssi_dbm = said.number(self._rssi.of(item)) if self._rssi is not None else None
            into.readings.append(
                TagRead(self._device, said.channel_number(antenna), epc, rssi_dbm, own or at)
            )


class _Quantity:
    def __init__(self, device: str, quantity: Quantity, path: str) -> None:
        self._device, self._quantity, self._path = device, quantity, JsonPath(path)

    def read(self, whole: Any, _names: Mapping[str, str], at: datetime | None, into: Understood) -> None:
        value = self._path.of(whole)
        if value is None:
            return
        found = said.number(value)
        if found is None:
            into.faults.append(f"{self._quantity} is no number: {value!r:.60}")
            return
        unit = UNITS[self._quantity]
        into.readings.append(EnvironmentReading(self._device, self._quantity, unit, found, at))


class _Door:
    def __init__(self, device: str, path: str, opened: list[Any], closed: list[Any]) -> None:
        self._device, self._path = device, JsonPath(path)
        self._open, self._closed = said.words(opened), said.words(closed)

    def read(self, whole: Any, _names: Mapping[str, str], at: datetime | None, into: Understood) -> None:
        value = self._path.of(whole)
        if value is None:
            return
        word = said.word(value)
        if word is None or (self._closed and word not in self._open | self._closed):
            into.faults.append(f"door is neither open nor closed: {value!r:.60}")
            return
        stands_open = float(word in self._open)
        into.readings.append(EnvironmentReading(self._device, "door", UNITS["door"], stands_open, at))


def mqtt_json_driver(settings: MqttJson, session: MqttSession) -> TopicDriver:
    """The driver of one mapped device."""
    return TopicDriver(settings, session, Mapper(settings).understand)


class MqttJsonDecoder:
    """For `decode` and `replay`: one message at a time, as its payload or as `TOPIC PAYLOAD`.

    A line whose first word has a slash and matches the topic is `TOPIC PAYLOAD`, which is what
    `mosquitto_sub -v` prints; JSON never looks like that.
    """

    options = frozenset(("id",))

    def __init__(self, settings: MqttJson, options: Mapping[str, str]) -> None:
        self._mapper = Mapper(settings.model_copy(update=dict(options)))

    def feed(self, heard: Heard) -> Iterator[Reading | str]:
        """The readings of one message, and a line for each thing that makes no sense."""
        if heard.topic is None:
            first, blank, rest = heard.chunk.strip().partition(b" ")
            topic = first.decode("utf-8", "replace")
            if blank and b"/" in first and self._mapper.knows(topic):
                heard = Heard(heard.direction, rest, topic)
        yield from decoded_payload(self._mapper.understand, heard)

    def end(self) -> Iterator[Reading | str]:
        """Nothing waits behind a payload."""
        return iter(())
