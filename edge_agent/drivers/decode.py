"""Recorded device bytes to readings, without a device (`edge-agent decode`, `interfaces.md` §4)."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping

from edge_agent.contract.errors import ConfigError
from edge_agent.contract.gs1 import decode_epc
from edge_agent.contract.times import rfc3339
from edge_agent.drivers.impinj_r700 import decode_payload
from edge_agent.drivers.mt_sics import MtSicsFramer, Noise, weight_reading
from edge_agent.readings import EnvironmentReading, Reading, TagRead, WeightReading

Decoded = dict[str, object] | str
"""A reading, or one line of text about input that is no message of the protocol."""


def decode_stream(
    driver: str, lines: Iterable[bytes], *, as_hex: bool = False, options: Mapping[str, str] | None = None
) -> Iterator[Decoded]:
    """Readings as JSON objects (`device` is null) and what could not be decoded, in the order of the input.

    `lines` is binary standard input: raw bytes however they are cut for `mt-sics`, one payload a line for
    `impinj-r700`; with `as_hex` each line holds the hexadecimal digits of its bytes instead.
    Options: `after_command=CMD` (mt-sics) prints only replies to CMD. ConfigError on an unknown driver or
    option, before anything is read.
    """
    decoder, known = _decoder(driver)
    wanted = dict(options or {})
    for option in wanted:
        if option not in known:
            hint = f"known: {', '.join(sorted(known)) or 'none'}"
            raise ConfigError(f"{driver} has no option {option!r}", hint=hint)
    return decoder(_unhexed(lines) if as_hex else iter(lines), wanted)


def reading_json(reading: Reading) -> dict[str, object] | None:
    """A reading as `decode` and `watch` print it; None for those that have no public form."""
    match reading:
        case WeightReading():
            return {
                "kind": "weight",
                "device": reading.device or None,
                "channel": reading.channel,
                "weight_g": reading.weight_g,
                "stable": reading.stable,
                "flags": list(reading.flags),
                "occurred_at": rfc3339(reading.occurred_at) if reading.occurred_at else None,
            }
        case TagRead():
            item = decode_epc(reading.epc)
            return {
                "kind": "tag",
                "device": reading.device or None,
                "antenna": reading.antenna,
                "epc": reading.epc,
                "gtin": item.gtin if item else None,
                "serial": item.serial if item else None,
                "rssi_dbm": reading.rssi_dbm,
                "occurred_at": rfc3339(reading.occurred_at) if reading.occurred_at else None,
            }
        case EnvironmentReading():
            return {
                "kind": "environment",
                "quantity": reading.quantity,
                "unit": reading.unit,
                "value": reading.value,
            }
        case _:
            return None


Chunks = Iterator[bytes | str]
Decoder = Callable[[Chunks, Mapping[str, str]], Iterator[Decoded]]


def _decoder(driver: str) -> tuple[Decoder, frozenset[str]]:
    found = _DECODERS.get(driver)
    if found is None:
        known = ", ".join(_DECODERS)
        raise ConfigError(f"{driver!r} has no bytes to decode", hint=f"known: {known}")
    return found


def _mt_sics(chunks: Chunks, options: Mapping[str, str]) -> Iterator[Decoded]:
    framer, only = MtSicsFramer(), options.get("after_command")
    for chunk in chunks:
        if isinstance(chunk, str):
            yield chunk
        else:
            yield from _sics_lines(framer, chunk, only)
    yield from _sics_lines(framer, b"\r\n", only)


def _sics_lines(framer: MtSicsFramer, chunk: bytes, only: str | None) -> Iterator[Decoded]:
    for item in framer.feed(chunk):
        if isinstance(item, Noise):
            yield f"not a reply: {_printable(item.line)}"
        elif only is None or item.command == only:
            yield from _known([weight_reading("", item)])


def _impinj_r700(payloads: Chunks, _options: Mapping[str, str]) -> Iterator[Decoded]:
    for payload in payloads:
        if isinstance(payload, str):
            yield payload
        elif payload.strip():
            decoded = decode_payload("", payload)
            yield from _known(decoded.reads)
            for fault in decoded.faults:
                yield f"{fault}: {_printable(payload.strip())}"


def _known(readings: Iterable[Reading | None]) -> Iterator[Decoded]:
    for reading in readings:
        shown = None if reading is None else reading_json(reading)
        if shown is not None:
            yield shown


def _unhexed(lines: Iterable[bytes]) -> Chunks:
    for line in lines:
        digits = line.translate(None, b" \t\r\n:-")
        try:
            yield binascii.unhexlify(digits)
        except binascii.Error as error:
            yield f"not hexadecimal ({error}): {_printable(line.strip())}"


def _printable(raw: bytes, limit: int = 120) -> str:
    text = raw.decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)[:limit]


_DECODERS: dict[str, tuple[Decoder, frozenset[str]]] = {
    "mt-sics": (_mt_sics, frozenset({"after_command"})),
    "impinj-r700": (_impinj_r700, frozenset()),
}
