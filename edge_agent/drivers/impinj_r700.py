"""Impinj R700 readers: tag events of the IoT Device Interface, by MQTT.

Protocol facts (Impinj IoT Device Interface, event `tagInventory`): `epc` is base64url, `epcHex` is optional;
`peakRssiCdbm` is in 1/100 dBm; times are RFC 3339 with nanoseconds. One MQTT message carries one event; the
same events come as an array (webhook) or line by line (HTTP stream), and all three are read here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import msgspec
from msgspec import Struct

from edge_agent.contract.gs1 import epc_from_base64
from edge_agent.contract.times import parse_rfc3339
from edge_agent.devices import ImpinjR700
from edge_agent.drivers.mqtt import Message, MqttSession
from edge_agent.drivers.tap import Heard, printable
from edge_agent.readings import DeviceAnswered, DeviceDegraded, Emit, Reading, TagRead

EPC_BYTES_LIMIT = 62
"""The longest EPC that a Gen2 tag can hold (496 bits)."""

_log = logging.getLogger(__name__)


class _Tag(Struct):
    epc: str | None = None
    epcHex: str | None = None  # noqa: N815  # the reader's own field names
    antennaPort: int | None = None  # noqa: N815
    peakRssiCdbm: float | None = None  # noqa: N815


class _Event(Struct):
    eventType: str | None = None  # noqa: N815
    timestamp: str | None = None
    tagInventoryEvent: _Tag | None = None  # noqa: N815


_decode_event = msgspec.json.Decoder(_Event).decode
_check_value = msgspec.json.Decoder(msgspec.Raw).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(slots=True)
class Decoded:
    """What one payload held: tag reads, how many other events, and what could not be understood."""

    reads: list[TagRead]
    other_events: int
    faults: list[str]


def decode_payload(device: str, payload: bytes) -> Decoded:
    """Tag reads of one payload: an event, an array of events, or one event a line. Never raises."""
    decoded = Decoded([], 0, [])
    for text in _events(payload):
        try:
            event = _decode_event(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            decoded.faults.append(f"not an event: {error}")
            continue
        if event.tagInventoryEvent is not None:
            _add_read(decoded, device, event.tagInventoryEvent, event.timestamp)
        elif event.eventType is None or event.eventType == "tagInventory":
            decoded.faults.append("no eventType" if event.eventType is None else "no tagInventoryEvent")
        else:
            decoded.other_events += 1
    return decoded


def _events(payload: bytes) -> Iterator[bytes | msgspec.Raw]:
    stripped = payload.strip()
    try:
        if stripped.startswith(b"["):
            yield from _decode_array(stripped)
            return
        if b"\n" in stripped:
            _check_value(stripped)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        yield from (line for line in stripped.splitlines() if line.strip())
        return
    yield stripped


def _add_read(decoded: Decoded, device: str, tag: _Tag, timestamp: str | None) -> None:
    epc = epc_of(tag.epcHex, tag.epc)
    if epc is None:
        decoded.faults.append(f"no EPC in epc={tag.epc!r:.80} epcHex={tag.epcHex!r:.80}")
        return
    rssi_dbm = None if tag.peakRssiCdbm is None else tag.peakRssiCdbm / 100
    decoded.reads.append(TagRead(device, tag.antennaPort, epc, rssi_dbm, _moment(timestamp)))


@lru_cache(maxsize=65536)
def epc_of(epc_hex: str | None, epc_base64: str | None) -> str | None:
    """The EPC as lower-case hex from either field, hex first; None when neither is one."""
    try:
        epc = bytes.fromhex(epc_hex).hex() if epc_hex else epc_from_base64(epc_base64 or "")
    except ValueError:
        return None
    return epc if epc and len(epc) <= 2 * EPC_BYTES_LIMIT else None


def _moment(timestamp: str | None) -> datetime | None:
    """The reader's time; None without one or with one that is no time: the read itself still counts."""
    try:
        return parse_rfc3339(timestamp) if timestamp else None
    except (ValueError, OverflowError):
        return None


class ImpinjR700Driver:
    """One reader's topic. A batch of messages is acknowledged when its reads are committed.

    Other events prove that the reader lives; a batch with nothing but unreadable ones degrades the device.
    Retained messages are what a topic was last, not what an antenna sees now: they are skipped.
    """

    def __init__(self, settings: ImpinjR700, session: MqttSession) -> None:
        self._settings = settings
        self._session = session
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
        device, reads, others, faults = self._settings.id, list[Reading](), 0, list[str]()
        for message in messages:
            if message.retained:
                continue
            decoded = decode_payload(device, message.payload)
            reads += decoded.reads
            others += decoded.other_events
            faults += decoded.faults
        self._note(faults)
        if reads:
            return reads
        if others:
            return [DeviceAnswered(device)]
        return (
            [DeviceDegraded(device, f"what arrives on {self._settings.topic} is unreadable")]
            if faults
            else []
        )

    def _note(self, faults: list[str]) -> None:
        if faults and not self._faulty:
            _log.warning("%s: %d unreadable events, the first: %s", self._settings.id, len(faults), faults[0])
        self._faulty = bool(faults)


class ImpinjR700Decoder:
    """For `decode` and `replay`: one payload at a time."""

    options = frozenset[str]()

    def __init__(self, settings: ImpinjR700, _options: Mapping[str, str]) -> None:
        self._device = settings.id

    def feed(self, heard: Heard) -> Iterator[Reading | str]:
        """The reads of one payload, and what it holds that is none."""
        if not heard.chunk.strip():
            return
        decoded = decode_payload(self._device, heard.chunk)
        yield from decoded.reads
        for fault in decoded.faults:
            yield f"{fault}: {printable(heard.chunk.strip())}"

    def end(self) -> Iterator[Reading | str]:
        """Nothing waits behind a payload."""
        return iter(())
