"""Which of our serial protocols answers on a port: listens first, then asks what changes nothing.

Every question is one that a device answers from memory (weight, version, register), at the speeds and formats
in which such devices leave the factory. What comes back is judged by the drivers' own framers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edge_agent.config.devices import M100, R2000, UhfReader18
from edge_agent.contract.errors import LinkDenied, LinkLost
from edge_agent.drivers.link import Link, open_link
from edge_agent.drivers.rfid_serial import Dialect
from edge_agent.drivers.tap import Heard

REPLY_WITHIN_S = 0.4
LONGEST_S = 12.0
"""After this a port is given up, whatever is left to ask."""

_MT_SICS_SERIAL_NUMBER = b"I4\r\n"
_TOLEDO_WEIGHT = b"W\r"
"""An 8217 answers the W and ignores the CR, NCI wants both."""
_LINE_SCALE_WEIGHT = b"Q\r\n"
_MODBUS_FIRST_REGISTER = bytes.fromhex("010300000001840a")


@dataclass(frozen=True, slots=True)
class Found:
    """The driver that a device answered to, who it says it is, and the settings that are not the default."""

    driver: str
    identity: str | None = None
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a port is: `problem` when it cannot be opened, `heard_bytes` that nobody understood."""

    found: Found | None = None
    problem: str | None = None
    heard_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to set the line: how long to listen, then what to ask."""

    baudrate: int
    serial_format: str
    listen_s: float
    questions: tuple[bytes, ...]


def attempts() -> list[Attempt]:
    """In an order in which no device takes the bytes meant for another one for a command."""
    readers = [_asked_by(dialect) for dialect in _dialects()]
    return [
        Attempt(9600, "8N1", 0.8, (_MT_SICS_SERIAL_NUMBER, _LINE_SCALE_WEIGHT)),
        Attempt(9600, "7E1", 0.1, (_TOLEDO_WEIGHT,)),
        # Asked twice: what was meant for others may have spoilt the first one.
        Attempt(9600, "8N1", 0.1, (_MODBUS_FIRST_REGISTER, _MODBUS_FIRST_REGISTER)),
        Attempt(2400, "7E1", 1.0, (_LINE_SCALE_WEIGHT,)),
        Attempt(4800, "8N1", 0.6, ()),
        Attempt(19200, "8N1", 0.1, (_MODBUS_FIRST_REGISTER,)),
        Attempt(57600, "8N1", 0.1, (readers[1],)),
        # An Arduino starts anew when its port is opened, and is mute for two seconds.
        Attempt(115200, "8N1", 0.1, (readers[0], readers[2], _MODBUS_FIRST_REGISTER)),
        Attempt(115200, "8N1", 2.5, ()),
    ]


async def probe(port: str) -> Verdict:
    """Find the protocol of one port; never raises for what a port or a device does."""
    heard_bytes = 0
    try:
        async with asyncio.timeout(LONGEST_S):
            for attempt in attempts():
                async with open_link(port, attempt.baudrate, serial_format=attempt.serial_format) as link:
                    found, heard = await _try(link, attempt)
                heard_bytes += heard
                if found is not None:
                    return Verdict(_at(found, attempt))
    except (LinkLost, LinkDenied) as error:
        return Verdict(problem=error.message, heard_bytes=heard_bytes)
    except TimeoutError:
        return Verdict(heard_bytes=heard_bytes)
    return Verdict(heard_bytes=heard_bytes)


def recognise(heard: bytes) -> Found | None:
    """Whose talk these bytes are; None when no framer of ours understands them."""
    return next((found for judge in _JUDGES if (found := judge(heard)) is not None), None)


async def _try(link: Link, attempt: Attempt) -> tuple[Found | None, int]:
    heard = await _gather(link, attempt.listen_s)
    found, total = recognise(heard), len(heard)
    for question in attempt.questions:
        if found is not None:
            break
        await link.write(question)
        heard = await _gather(link, REPLY_WITHIN_S)
        total += len(heard)
        found = recognise(heard.removeprefix(question))  # some adapters hear themselves
        if found is not None and found.driver == "ascii-scale":
            found = Found(found.driver, settings={"command": question.decode()})
    return found, total


async def _gather(link: Link, seconds: float) -> bytes:
    heard = b""
    try:
        async with asyncio.timeout(seconds):
            while len(heard) < 4096:
                heard += await link.read()
    except TimeoutError:
        return heard
    return heard


def _at(found: Found, attempt: Attempt) -> Found:
    line = {"baudrate": attempt.baudrate, "serial_format": attempt.serial_format}
    return Found(found.driver, found.identity, {**line, **found.settings})


# --- judges ------------------------------------------------------------------------------------


def _mt_sics(heard: bytes) -> Found | None:
    from edge_agent.drivers.mt_sics import MtSicsFramer, Reply

    replies = [item for item in MtSicsFramer().feed(heard + b"\r\n") if isinstance(item, Reply)]
    if not replies:
        return None
    named = (reply.fields[0] for reply in replies if reply.command == "I4" and reply.fields)
    return Found("mt-sics", next(named, None))


_SEVEN_BITS = {"serial_format": "7E1"}
"""The framers clear bit 7, so these scales may answer at 8N1 too."""


def _toledo(heard: bytes) -> Found | None:
    from edge_agent.drivers.toledo_frames import Answer, NciFramer, Toledo8217Framer

    if any(isinstance(item, Answer) for item in Toledo8217Framer().feed(heard)):
        return Found("toledo-8217", settings=_SEVEN_BITS)
    if any(isinstance(item, Answer) for item in NciFramer().feed(heard)):
        return Found("toledo-8217", settings={"dialect": "nci", **_SEVEN_BITS})
    return None


def _modbus(heard: bytes) -> Found | None:
    from edge_agent.drivers.modbus_frames import Noise, RtuFramer, is_request

    framer = RtuFramer()
    messages = [item for item in [*framer.feed(heard), *framer.end()] if not isinstance(item, Noise)]
    if not any(message.dev_id == 1 and not is_request(message) for message in messages):
        return None
    return Found("modbus-scale", settings={"unit_id": 1})


def _dialects() -> list[Dialect]:
    from edge_agent.drivers.m100 import M100Dialect
    from edge_agent.drivers.r2000 import R2000Dialect
    from edge_agent.drivers.uhfreader18 import UhfReader18Dialect

    return [
        R2000Dialect(R2000(id="scan", port="scan", driver="r2000")),
        UhfReader18Dialect(UhfReader18(id="scan", port="scan", driver="uhfreader18")),
        M100Dialect(M100(id="scan", port="scan", driver="m100")),
    ]


def _asked_by(dialect: Dialect) -> bytes:
    return dialect.who().frame


def _readers(heard: bytes) -> Found | None:
    for driver, dialect in zip(("r2000", "uhfreader18", "m100"), _dialects(), strict=True):
        frames = [item for item in dialect.scanner.feed(heard) if isinstance(item, bytes)]
        said = [dialect.hear(frame) for frame in frames]
        if any(one.answers == dialect.who().command or one.reads for one in said):
            return Found(driver, dialect.met()[0])
    return None


def _line_scale(heard: bytes) -> Found | None:
    from edge_agent.config.text_devices import AsciiScale
    from edge_agent.drivers.decode import decoder_for

    decoder = decoder_for(AsciiScale(id="scan", port="scan", driver="ascii-scale"))
    told = [*decoder.feed(Heard("in", heard)), *decoder.end()]
    # The first line may be cut, and so may the last.
    understood = sum(not isinstance(item, str) for item in told)
    return Found("ascii-scale") if understood and understood >= len(told) - 2 else None


_JUDGES: tuple[Callable[[bytes], Found | None], ...] = (_mt_sics, _toledo, _modbus, _readers, _line_scale)
"""The strictest first."""
