"""Zebra readers with the IoT Connector (FX7500, FX9600, ATR7000, RFD40, RFD90): tag events by MQTT.

Protocol facts (Zebra IoT Connector, data interface): an event is `{data, timestamp, type}`; `data.idHex` is
the EPC, and which other fields are there depends on the operating mode and its `tagMetaData` (SIMPLE may
carry neither `antenna` nor `peakRssi`); `channel` is in MHz. `eventNum` rises by one with every tag event of
a reader and begins again when it restarts. Handhelds put a batch of tags into `data.tagData`. HEARTBEAT and
the other types tell no tag.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import lru_cache

import msgspec
from msgspec import Struct

from edge_agent.config.devices import ZebraIotc
from edge_agent.drivers.event_numbers import TopicNumbers
from edge_agent.drivers.mqtt import MqttSession
from edge_agent.drivers.tap import Heard
from edge_agent.drivers.topic import (
    NOT_JSON,
    TopicDriver,
    Understood,
    decoded_payload,
    device_time,
    frequency_khz,
    json_values,
)
from edge_agent.readings import Reading, TagRead
from edge_agent.service import metrics

EPC_DIGITS_LIMIT = 124
"""The longest EPC that a Gen2 tag can hold (496 bits)."""

_TAG_TYPES = frozenset({"SIMPLE", "INVENTORY", "PORTAL", "CUSTOM", "CONVEYOR"})
_TAG_FIELDS = (b'"idHex"', b'"EPC"', b'"EPCid"', b'"tagData"')

_log = logging.getLogger(__name__)


class _Tag(Struct):
    idHex: str | None = None  # noqa: N815  # the reader's own field names
    EPC: str | None = None
    EPCid: str | None = None
    peakRssi: float | None = None  # noqa: N815
    rssi: float | None = None
    antenna: int | None = None
    channel: object = None
    eventNum: int | None = None  # noqa: N815
    tagData: list[_Tag] | None = None  # noqa: N815


class _Event(Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")
    timestamp: str | float | None = None
    type: str | None = None


# Not strict: some firmwares write their numbers as texts.
_decode_event = msgspec.json.Decoder(_Event, strict=False).decode
_decode_data = msgspec.json.Decoder(_Tag | list[_Tag] | None, strict=False).decode


class ZebraIotcEvents:
    """One reader's payloads to tag reads; remembers the event numbers of each of its topics."""

    def __init__(self, settings: ZebraIotc, numbers: TopicNumbers | None = None) -> None:
        self._settings, self._numbers = settings, numbers or TopicNumbers()
        self._told_gap = self._told_antenna = False

    def understand(self, payload: bytes, topic: str | None) -> Understood:
        """Tag reads of one payload: an event, an array of events, or one event a line. Never raises."""
        understood = Understood()
        for text in json_values(payload):
            try:
                event = _decode_event(text)
                tags = _tags_of(event)
            except NOT_JSON as error:
                understood.faults.append(f"not an event: {error}")
                continue
            if tags is None:
                self._no_tags(understood, event)
                continue
            for tag in tags:
                self._add_read(understood, tag, event, topic)
        return understood

    def _no_tags(self, understood: Understood, event: _Event) -> None:
        if event.type is None:
            understood.faults.append("neither tag nor type")
        elif event.type.upper() in _TAG_TYPES:
            understood.faults.append(f"no tag in a {event.type:.20} event")
        else:
            understood.others += 1

    def _add_read(self, understood: Understood, tag: _Tag, event: _Event, topic: str | None) -> None:
        epc = epc_of(tag.idHex or tag.EPC or tag.EPCid or "")
        if epc is None:
            understood.faults.append(f"no EPC in idHex={tag.idHex!r:.80} EPC={tag.EPC!r:.80}")
            return
        if tag.eventNum is not None and not self._is_new(tag.eventNum, (epc, event.timestamp), topic):
            understood.others += 1
            return
        self._look_at_antenna(tag)
        rssi_dbm = tag.rssi if tag.peakRssi is None else tag.peakRssi
        at = device_time(event.timestamp)
        channel_khz = frequency_khz(tag.channel, unit_khz=1000)
        understood.readings.append(TagRead(self._settings.id, tag.antenna, epc, rssi_dbm, at, channel_khz))

    def _is_new(self, number: int, content: tuple[str, str | float | None], topic: str | None) -> bool:
        """Whether this event comes for the first time; counts those before it that never came."""
        # An event without a time is never taken for a repetition: a restarted reader may say the same anew.
        missed = self._numbers.of(topic).missed_before(number, None if content[1] is None else content)
        if missed:
            metrics.rfid_events_missed.labels(self._settings.id).inc(missed)
            level = logging.DEBUG if self._told_gap else logging.WARNING
            _log.log(level, "%s: %d tag events never arrived", self._settings.id, missed)
            self._told_gap = True
        return missed is not None

    def _look_at_antenna(self, tag: _Tag) -> None:
        if tag.antenna is None and len(self._settings.numbers()) > 1 and not self._told_antenna:
            self._told_antenna = True
            _log.warning(
                "%s tells no antenna, so its tags have no place: add ANTENNA to its tagMetaData",
                self._settings.id,
            )


def _tags_of(event: _Event) -> list[_Tag] | None:
    """The tag records of an event; None when it is about none."""
    try:
        found = _decode_data(event.data)
    except msgspec.ValidationError:
        if any(field in bytes(event.data) for field in _TAG_FIELDS):
            raise
        return None  # the health of a reader, in a shape of its own
    records = [] if found is None else found if isinstance(found, list) else [found]
    tags = [tag for one in records for tag in ([one] if one.tagData is None else one.tagData)]
    is_about_tags = any(tag.idHex or tag.EPC or tag.EPCid for tag in tags)
    return tags if is_about_tags or any(one.tagData is not None for one in records) else None


@lru_cache(maxsize=65536)
def epc_of(digits: str) -> str | None:
    """The EPC as lower-case hex; None when the digits are none."""
    try:
        epc = bytes.fromhex(digits).hex()
    except ValueError:
        return None
    return epc if epc and len(epc) <= EPC_DIGITS_LIMIT else None


class ZebraIotcDriver(TopicDriver):
    """One reader's topic."""

    def __init__(
        self, settings: ZebraIotc, session: MqttSession, numbers: TopicNumbers | None = None
    ) -> None:
        numbers = numbers or TopicNumbers()
        numbers.begin()
        super().__init__(settings, session, ZebraIotcEvents(settings, numbers).understand)


class ZebraIotcDecoder:
    """For `decode` and `replay`: one payload at a time."""

    options = frozenset[str]()

    def __init__(self, settings: ZebraIotc, _options: Mapping[str, str]) -> None:
        self._understand = ZebraIotcEvents(settings).understand

    def feed(self, heard: Heard) -> Iterator[Reading | str]:
        """The reads of one payload, and what it holds that is none."""
        return decoded_payload(self._understand, heard)

    def end(self) -> Iterator[Reading | str]:
        """Nothing waits behind a payload."""
        return iter(())
