"""Recorded device bytes to readings, without a device (`edge-agent decode`, `interfaces.md` §4)."""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from importlib import import_module
from types import UnionType
from typing import Annotated, Any, BinaryIO, Protocol, Union, get_args, get_origin

import yaml
from pydantic import ValidationError

from edge_agent.config.devices import Device, MqttDevice
from edge_agent.config.store import DEVICE_KINDS
from edge_agent.contract.errors import ConfigError
from edge_agent.contract.gs1 import decode_epc
from edge_agent.contract.times import rfc3339
from edge_agent.drivers.tap import Heard, printable
from edge_agent.readings import (
    Delivery,
    EnvironmentReading,
    GapSeen,
    Reading,
    Sale,
    TagRead,
    WeightReading,
)

Decoded = dict[str, object] | str
"""A reading, or one line of text about input that is no message of the protocol."""

DECODERS: dict[str, tuple[str, str]] = {
    "mt-sics": ("edge_agent.drivers.mt_sics", "MtSicsDecoder"),
    "modbus-scale": ("edge_agent.drivers.modbus_scale", "ModbusScaleDecoder"),
    "ascii-scale": ("edge_agent.drivers.ascii_scale", "AsciiScaleDecoder"),
    "toledo-8217": ("edge_agent.drivers.toledo_8217", "Toledo8217Decoder"),
    "impinj-r700": ("edge_agent.drivers.impinj_r700", "ImpinjR700Decoder"),
    "zebra-iotc": ("edge_agent.drivers.zebra_iotc", "ZebraIotcDecoder"),
    "llrp": ("edge_agent.drivers.llrp", "LlrpDecoder"),
    "r2000": ("edge_agent.drivers.r2000", "R2000Decoder"),
    "uhfreader18": ("edge_agent.drivers.uhfreader18", "UhfReader18Decoder"),
    "m100": ("edge_agent.drivers.m100", "M100Decoder"),
    "mqtt-json": ("edge_agent.drivers.mqtt_json", "MqttJsonDecoder"),
}
"""`driver:` -> where its decoder is, imported only when it is used."""

_STANDS_IN: dict[str, Any] = {"id": "decode", "port": "stdin", "topic": "#", "address": "stdin"}
"""What `decode` gives a driver's settings where they need a place that bytes from stdin do not have."""


_OURS: dict[type, str] = {Sale: "sale", Delivery: "delivery", GapSeen: "gap"}
"""Kinds that are printed as the readings are, field by field."""

_CHUNK_BYTES = 65536


class Decoder(Protocol):
    """One driver's bytes to readings, the same however they are cut. Never raises on what a device sends.

    Built as `Decoder(settings, options)`; `options` names what `decode` takes beyond the driver's settings.
    """

    options: frozenset[str]

    def feed(self, heard: Heard) -> Iterator[Reading | str]:
        """Readings that the chunk completes, and one line of text for each thing that is not understood.

        `replay` also feeds what went out to the device: no reading, but some replies need their question.
        """
        ...

    def end(self) -> Iterator[Reading | str]:
        """What still waits when the input has ended."""
        ...


def input_chunks(driver: str, stream: BinaryIO, *, as_hex: bool = False) -> Iterator[bytes]:
    """What `decode_stream` wants of standard input: lines of payloads or digits; raw bytes as they come."""
    if as_hex or issubclass(DEVICE_KINDS.get(driver, Device), MqttDevice):
        return iter(stream)
    read = getattr(stream, "read1", stream.read)
    return iter(lambda: read(_CHUNK_BYTES), b"")


def decode_stream(
    driver: str, lines: Iterable[bytes], *, as_hex: bool = False, options: Mapping[str, str] | None = None
) -> Iterator[Decoded]:
    """Readings as JSON objects (`device` is null) and what could not be decoded, in the order of the input.

    `lines` is binary standard input: raw bytes however they are cut for a serial driver, one payload a line
    for an MQTT one; with `as_hex` each line holds the hexadecimal digits of its bytes instead. Options are
    the driver's settings (`dialect=nci`, `profile=laumas`, …). ConfigError on an unknown driver or option,
    before anything is read.
    """
    decoder = _configured(driver, dict(options or {}))
    return _decoded(decoder, _unhexed(lines) if as_hex else iter(lines))


def decoder_for(settings: Device, options: Mapping[str, str] | None = None) -> Decoder:
    """The decoder of a configured device; ConfigError for one that has no bytes (a camera)."""
    name = getattr(settings, "driver", "")
    module, built = _known(name)
    decoder: Decoder = getattr(import_module(module), built)(settings, options or {})
    return decoder


def reading_json(reading: Reading) -> dict[str, object] | None:
    """A reading as `decode` and `watch` print it; None for those that have no public form."""
    match reading:
        case WeightReading():
            return {
                "kind": "weight",
                "device": reading.device,
                "channel": reading.channel,
                "weight_g": reading.weight_g,
                "stable": reading.stable,
                "flags": list(reading.flags),
                "occurred_at": _time(reading.occurred_at),
            }
        case TagRead():
            item = decode_epc(reading.epc)
            return {
                "kind": "tag",
                "device": reading.device,
                "antenna": reading.antenna,
                "epc": reading.epc,
                "gtin": item.gtin if item else None,
                "serial": item.serial if item else None,
                "rssi_dbm": reading.rssi_dbm,
                "occurred_at": _time(reading.occurred_at),
            }
        case EnvironmentReading():
            return {
                "kind": "environment",
                "quantity": reading.quantity,
                "unit": reading.unit,
                "value": reading.value,
            }
        case Sale() | Delivery() | GapSeen():
            at = _time(reading.occurred_at)
            return {"kind": _OURS[type(reading)], **asdict(reading), "occurred_at": at}
        case _:
            return None


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None


def _known(driver: str) -> tuple[str, str]:
    found = DECODERS.get(driver)
    if found is None:
        raise ConfigError(f"{driver!r} has no bytes to decode", hint=f"known: {', '.join(DECODERS)}")
    return found


def _configured(driver: str, options: dict[str, str]) -> Decoder:
    """The decoder of a driver whose settings are given as options."""
    module, built = _known(driver)
    extra: frozenset[str] = getattr(import_module(module), built).options
    kind = DEVICE_KINDS[driver]
    known = kind.model_fields.keys() - {"id", "driver"} | extra
    for option in options.keys() - known:
        raise ConfigError(f"{driver} has no option {option!r}", hint=f"known: {', '.join(sorted(known))}")
    required = {key for key, field in kind.model_fields.items() if field.is_required()}
    stand_in = {key: text for key, text in _STANDS_IN.items() if key in required}
    given = {key: _value(kind, key, text) for key, text in options.items() if key not in extra}
    try:
        settings = kind.model_validate(stand_in | given | {"driver": driver})
    except ValidationError as error:
        problems = tuple(f"{'.'.join(map(str, e['loc'])) or driver}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"{driver}: {problems[0]}", hint="--option KEY=VALUE", problems=problems) from error
    return decoder_for(settings, {key: text for key, text in options.items() if key in extra})


def _value(kind: type[Device], option: str, text: str) -> object:
    """An option as YAML has it; what is a text in the settings as it was typed, unless it is quoted."""
    is_text = _is_text(kind.model_fields[option].annotation)
    if is_text and not text.startswith(("'", '"')):
        return text
    try:
        value: object = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return text if is_text and not isinstance(value, str) else value


def _is_text(annotation: Any) -> bool:
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return any(map(_is_text, get_args(annotation)))
    return annotation is str


def _decoded(decoder: Decoder, chunks: Iterator[bytes | str]) -> Iterator[Decoded]:
    for chunk in chunks:
        found = iter((chunk,)) if isinstance(chunk, str) else decoder.feed(Heard("in", chunk))
        yield from _shown(found)
    yield from _shown(decoder.end())


def _shown(found: Iterable[Reading | str]) -> Iterator[Decoded]:
    for item in found:
        shown = item if isinstance(item, str) else reading_json(item)
        if isinstance(shown, dict) and "device" in shown:
            shown["device"] = None
        if shown is not None:
            yield shown


def _unhexed(lines: Iterable[bytes]) -> Iterator[bytes | str]:
    for line in lines:
        digits = line.translate(None, b" \t\r\n:-")
        try:
            yield binascii.unhexlify(digits)
        except binascii.Error as error:
            yield f"not hexadecimal ({error}): {printable(line.strip())}"
