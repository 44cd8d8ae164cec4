"""Impinj R700 readers: tag events of the IoT Device Interface, by MQTT.

Protocol facts (Impinj IoT Device Interface, event `tagInventory`): `epc` is base64url, `epcHex` is optional;
`peakRssiCdbm` is in 1/100 dBm, `frequency` in kHz; times are RFC 3339 with nanoseconds. One MQTT message
carries one event; the same events come as an array (webhook) or line by line (HTTP stream), and all three are
read here. So are the `tag_reads` of the SmartReader application, which runs on the same reader: `epc` is
hexadecimal there, `peakRssi` in dBm, times in µs since 1970, and numbers may be texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

import msgspec
from msgspec import Struct

from edge_agent.config.devices import ImpinjR700
from edge_agent.contract.gs1 import epc_from_base64
from edge_agent.drivers.mqtt import MqttSession
from edge_agent.drivers.tap import Heard
from edge_agent.drivers.topic import (
    NOT_JSON,
    TopicDriver,
    Understand,
    Understood,
    decoded_payload,
    device_time,
    frequency_khz,
    json_values,
)
from edge_agent.readings import DeviceDegraded, Reading, TagRead

EPC_BYTES_LIMIT = 62
"""The longest EPC that a Gen2 tag can hold (496 bits)."""


_ABSENT = msgspec.Raw(b"null")


class _Tag(Struct):
    epc: str | None = None
    epcHex: str | None = None  # noqa: N815  # the reader's own field names
    antennaPort: int | None = None  # noqa: N815
    peakRssiCdbm: float | None = None  # noqa: N815
    frequency: object = None


class _Event(Struct):
    eventType: str | None = None  # noqa: N815
    timestamp: str | None = None
    tagInventoryEvent: _Tag | None = None  # noqa: N815
    tag_reads: msgspec.Raw = _ABSENT


class _SmartRead(Struct):
    epc: str | None = None
    antennaPort: int | None = None  # noqa: N815  # the reader's own field names
    peakRssi: float | None = None  # noqa: N815
    firstSeenTimestamp: float | str | None = None  # noqa: N815
    isHeartBeat: bool = False  # noqa: N815


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_smart_reads = msgspec.json.Decoder(list[_SmartRead] | None, strict=False).decode


def decode_payload(device: str, payload: bytes) -> Understood:
    """Tag reads of one payload: an event, an array of events, or one event a line. Never raises."""
    understood = Understood()
    for text in json_values(payload):
        try:
            event = _decode_event(text)
            smart_reads = _decode_smart_reads(event.tag_reads)
        except NOT_JSON as error:
            understood.faults.append(f"not an event: {error}")
            continue
        if event.tagInventoryEvent is not None:
            _add_read(understood, device, event.tagInventoryEvent, event.timestamp)
        elif smart_reads is not None:
            _add_smart_reads(understood, device, smart_reads)
        elif event.eventType is None or event.eventType == "tagInventory":
            understood.faults.append("no eventType" if event.eventType is None else "no tagInventoryEvent")
        else:
            understood.others += 1
    return understood


def _add_read(understood: Understood, device: str, tag: _Tag, timestamp: str | None) -> None:
    epc = epc_of(tag.epcHex, tag.epc)
    if epc is None:
        understood.faults.append(f"no EPC in epc={tag.epc!r:.80} epcHex={tag.epcHex!r:.80}")
        return
    rssi_dbm = None if tag.peakRssiCdbm is None else tag.peakRssiCdbm / 100
    at = device_time(timestamp)
    channel_khz = frequency_khz(tag.frequency)
    understood.readings.append(TagRead(device, tag.antennaPort, epc, rssi_dbm, at, channel_khz))


def _add_smart_reads(understood: Understood, device: str, reads: list[_SmartRead]) -> None:
    for read in reads:
        epc = None if read.isHeartBeat else epc_of(read.epc, None)
        if epc is not None:
            at = device_time(read.firstSeenTimestamp)
            understood.readings.append(TagRead(device, read.antennaPort, epc, read.peakRssi, at))
        elif not read.isHeartBeat:
            understood.faults.append(f"no EPC in epc={read.epc!r:.80}")
    if not understood.readings and not understood.faults:
        understood.others += 1


@lru_cache(maxsize=65536)
def epc_of(epc_hex: str | None, epc_base64: str | None) -> str | None:
    """The EPC as lower-case hex from either field, hex first; None when neither is one."""
    try:
        epc = bytes.fromhex(epc_hex).hex() if epc_hex else epc_from_base64(epc_base64 or "")
    except ValueError:
        return None
    return epc if epc and len(epc) <= 2 * EPC_BYTES_LIMIT else None


def understand_r700(settings: ImpinjR700) -> Understand:
    """What one reader's payloads say, its will and its greeting included: texts that its owner chose."""
    will, greeting = (_spoken(text) for text in (settings.will_message, settings.connect_message))

    def understand(payload: bytes, _topic: str | None) -> Understood:
        said = payload.strip()
        if said == will:
            return Understood([DeviceDegraded(settings.id, "the reader has left the broker: its will came")])
        return Understood(others=1) if said == greeting else decode_payload(settings.id, payload)

    return understand


def _spoken(text: str | None) -> bytes | None:
    return text.strip().encode() if text else None


class ImpinjR700Driver(TopicDriver):
    """One reader's topic."""

    def __init__(self, settings: ImpinjR700, session: MqttSession) -> None:
        super().__init__(settings, session, understand_r700(settings))


class ImpinjR700Decoder:
    """For `decode` and `replay`: one payload at a time."""

    options = frozenset[str]()

    def __init__(self, settings: ImpinjR700, _options: Mapping[str, str]) -> None:
        self._understand = understand_r700(settings)

    def feed(self, heard: Heard) -> Iterator[Reading | str]:
        """The reads of one payload, and what it holds that is none."""
        return decoded_payload(self._understand, heard)

    def end(self) -> Iterator[Reading | str]:
        """Nothing waits behind a payload."""
        return iter(())
