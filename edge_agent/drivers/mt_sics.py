"""Scales that speak MT-SICS (Mettler-Toledo, Ohaus, Kern) over a serial line or TCP.

Protocol facts: Mettler-Toledo reference manual "MT-SICS" 11780711, levels 0 and 1. Lines end with CR LF;
a reply is `ID status [value unit]` or `ID status "text"…`. Field widths differ between makers, so replies
are read by white space, never by column.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from edge_agent.config.devices import MtSics
from edge_agent.contract.errors import DeviceSilent, LinkLost
from edge_agent.drivers.link import Link, device_link
from edge_agent.drivers.mass import grams
from edge_agent.drivers.plate_watch import PlateWatch
from edge_agent.drivers.tap import Heard, Tap, deaf, printable
from edge_agent.readings import DeviceAnswered, Emit, EnvironmentReading, Flag, Reading, WeightReading

LINE_LIMIT = 256
"""The longest line kept, in bytes; of a longer one only the end can still be a reply."""

REPLY_TIMEOUT_S = 1.0
IDENTITY_EVERY_S = 60.0
"""How often a scale is asked who it is: on a port server it can be changed while the link stays."""
SILENT_AFTER = 3
"""Questions without any reply until the scale counts as silent."""

_FLAGS: dict[str, Flag] = {"+": "over", "-": "under", "I": "error", "L": "error", "": "error"}
_MEANING = {
    "+": "overload: too much on the plate",
    "-": "underload: the plate is not in place",
    "I": "busy: it cannot weigh now",
    "L": "does not know the command SI",
    "": "does not understand the line: check its parity, baud rate and mode",
}
_PLATE = frozenset({"S", "SI", "SIR", "SR", "SNR"})
_REFUSALS = frozenset({"ES", "ET", "EL"})
_SEVEN_BITS = bytes(byte & 0x7F for byte in range(256))
_BABBLE_SHOWN = 40
_LAST_WORD_S = 0.05
"""How long a port stays open behind the last command: closing it discards what is not sent yet."""

# Replies of known commands only, at the end of a line: so one is found again behind a broken one's bytes.
_WEIGHT = re.compile(
    r"(?P<id>SIR|SI|SNR|SR|S|TI|TA|T) +(?P<status>[SDA])"
    r" +(?P<value>[-+]?(?:\d+\.?\d*|\.\d+)) +(?P<unit>[A-Za-z%]+)$"
)
_OTHER = re.compile(
    r"(?:"
    r"(?P<weighing>SIR|SI|SNR|SR|S) +(?P<condition>[-+IL])"
    r"|(?P<doing>TAC|TA|TI|T|ZI|Z|SR|SNR|I\d{1,2}|M\d{1,2}|@) +(?P<outcome>[-+ILASD])"
    r'|(?P<telling>I\d{1,2}) +(?P<more>[AB])(?P<told>(?: +(?:"[ !#-~]*"|\d[\w.-]*))+)'
    r"|(?P<probing>M28) +(?P<another>[AB])(?P<celsius> +\d+ +-?\d+(?:\.\d+)?)"
    r"|(?P<refusal>ES|ET|EL)"
    r")$"
)
_ANY_OUTCOME = re.compile(r"([A-Z][A-Z0-9]{0,4}) +([AIL])")
"""Whatever command somebody else sent: done, not now, wrong parameter. Believed as a whole line only."""
_FIELD = re.compile(r'"([^"]*)"|(\S+)')

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """One line of a scale: the ID it answers, and the status letter behind it ("" for ES, ET and EL)."""

    command: str
    status: str
    value: str | None = None
    unit: str | None = None
    fields: tuple[str, ...] = ()

    @property
    def weight_g(self) -> float | None:
        """The weight in grams; None without one, or in a unit that is no mass (PCS, %)."""
        if self.value is None or self.unit is None:
            return None
        return grams(self.value, self.unit)


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that are no reply: a broken line, or what stood before a reply on its line."""

    line: bytes


class MtSicsFramer:
    """Bytes to replies. Pure: however the bytes are split, the result is the same; it never raises.

    `seven_bits` clears bit 7: on a line with 7 data bits it is the parity, where the port delivers it.
    """

    def __init__(self, *, seven_bits: bool = False) -> None:
        self._seven_bits = seven_bits
        self._rest = b""
        self.skipped_bytes = 0

    def feed(self, chunk: bytes) -> list[Reply | Noise]:
        """What `chunk` completes, in order. A line without an end waits; at most LINE_LIMIT bytes do."""
        if self._seven_bits:
            chunk = chunk.translate(_SEVEN_BITS)
        *lines, rest = (self._rest + chunk).replace(b"\r", b"\n").split(b"\n")
        self._rest = self._end_of(rest)
        found: list[Reply | Noise] = []
        for line in lines:
            if line:
                found += self._read(self._end_of(line))
        return found

    def _end_of(self, line: bytes) -> bytes:
        self.skipped_bytes += max(0, len(line) - LINE_LIMIT)
        return line[-LINE_LIMIT:]

    def _read(self, raw: bytes) -> Iterable[Reply | Noise]:
        line = raw.decode("latin-1").rstrip(" ")
        match = _WEIGHT.search(line)
        if match is not None and match.start() == 0:
            return (_weight_reply(match),)
        other = _OTHER.search(line)
        if other is not None and (match is None or other.start() < match.start()):
            return self._behind(raw, other, _other_reply(other))
        if match is not None:
            return self._behind(raw, match, _weight_reply(match))
        outcome = _ANY_OUTCOME.fullmatch(line)
        return self._noise(raw) if outcome is None else (Reply(outcome[1], outcome[2]),)

    def _behind(self, raw: bytes, match: re.Match[str], reply: Reply) -> Iterable[Reply | Noise]:
        return (*self._noise(raw[: match.start()]), reply)

    def _noise(self, raw: bytes) -> tuple[Noise, ...]:
        if not raw.strip(b" "):
            return ()
        self.skipped_bytes += len(raw)
        return (Noise(raw),)


def _weight_reply(match: re.Match[str]) -> Reply:
    command, status, value, unit = match.groups()
    return Reply(command, status, value, unit)


def _other_reply(match: re.Match[str]) -> Reply:
    part = match.groupdict()
    if part["refusal"]:
        return Reply(part["refusal"], "")
    if part["weighing"]:
        return Reply(part["weighing"], part["condition"])
    if part["doing"]:
        return Reply(part["doing"], part["outcome"])
    command, status = part["telling"] or part["probing"], part["more"] or part["another"]
    texts = _FIELD.findall(part["told"] or part["celsius"])
    return Reply(command, status, fields=tuple(quoted or bare for quoted, bare in texts))


def weight_reading(device: str, reply: Reply) -> WeightReading | None:
    """What a weighing reply says about the plate; None for replies that say nothing about it.

    `S I` and refusals (ES, ET, EL, L) carry the flag error: the scale is there and has no weight to give.
    """
    if reply.value is not None:
        weight_g = reply.weight_g
        flags: tuple[Flag, ...] = () if weight_g is not None else ("error",)
        return WeightReading(device, None, weight_g, reply.status != "D", flags)
    if reply.command in _REFUSALS or (reply.command in _PLATE and reply.status in _FLAGS):
        return WeightReading(device, None, None, None, (_FLAGS[reply.status],))
    return None


class MtSicsDriver:
    """One scale, asked `poll_hz` times a second for its weight now (`SI`), or streaming it (`SIR`).

    Replies carry no number, so a late one cannot be told from the right one. Hence: whatever waits before a
    question is no answer to it; a reply of another command answers nothing; a weight is a weight whenever
    it comes. The scale's `I4` line, which it also sends by itself after power-up, tells who it is; it is
    asked again once a minute and after each silence. A stream that stalls is asked by `SI` before the scale
    counts as silent. A scale that answers without a weight for long is reported as degraded.
    """

    def __init__(
        self,
        settings: MtSics,
        tap: Tap = deaf,
        *,
        reply_timeout_s: float = REPLY_TIMEOUT_S,
        silent_after: int = SILENT_AFTER,
    ) -> None:
        self._settings, self._tap = settings, tap
        self._reply_timeout_s = reply_timeout_s
        self._silent_after = silent_after
        self._framer = MtSicsFramer(seven_bits=settings.serial_format.startswith("7"))
        self._identity: str | None = None
        self._claimed: str | None = None
        self._missed = 0
        self._babble = b""
        self._streaming = False
        self._identity_due = 0.0
        self._plate = PlateWatch(settings.id)

    async def run(self, emit: Emit) -> None:
        """Weigh until cancelled. Raises LinkLost, LinkDenied, or DeviceSilent after 3 questions in vain."""
        clock = asyncio.get_running_loop().time
        async with device_link(self._settings, self._tap) as link:
            await self._greet(link)
            self._identity_due = clock() + IDENTITY_EVERY_S
            await emit([DeviceAnswered(self._settings.id, self._identity)])
            try:
                if self._settings.stream:
                    await self._begin_stream(link)
                due = clock()
                while True:
                    readings = self._readings(await self._listen(link), clock())
                    if readings:
                        await emit(readings)
                    due = clock() if self._streaming else max(due + 1 / self._settings.poll_hz, clock())
                    await asyncio.sleep(due - clock())
            finally:
                if self._streaming:
                    await _end_stream(link)

    @property
    def skipped_bytes(self) -> int:
        """Bytes that were no part of a reply, since this driver was made."""
        return self._framer.skipped_bytes

    async def _listen(self, link: Link) -> list[Reply]:
        """What the scale says next, and now and then who it is."""
        missed = self._missed
        heard = await (self._overhear(link) if self._streaming else self._ask_weight(link))
        now = asyncio.get_running_loop().time()
        if self._identity is not None and (now >= self._identity_due or (missed and not self._missed)):
            self._identity_due = now + IDENTITY_EVERY_S
            heard += await self._ask(link, "I4", frozenset({"I4"}))
            if self._streaming:
                await self._begin_stream(link)
        return heard

    async def _ask_weight(self, link: Link) -> list[Reply]:
        return await self._ask(link, "SI", _PLATE | {"I4"})

    async def _begin_stream(self, link: Link) -> None:
        self._streaming = True
        await link.write(b"SIR\r\n")

    async def _overhear(self, link: Link) -> list[Reply]:
        """The next replies of a stream; one that has stalled, or whose scale has restarted, is begun anew."""
        heard: list[Reply] = []
        try:
            async with asyncio.timeout(0 if self._missed else self._reply_timeout_s / 2):
                while not heard:
                    heard = self._take(await link.read())
        except TimeoutError:
            self._identity_due = 0.0  # whoever answers now may be another scale
            heard = await self._ask_weight(link)
            if heard and not self._missed:
                await self._begin_stream(link)
            return heard
        self._missed = 0
        if any(map(_cannot_stream, heard)):
            _log.info("%s: scale %s does not stream; it is polled", self._settings.id, self._identity)
            self._streaming = False
        elif any(map(_names_itself, heard)):
            await self._begin_stream(link)
        return heard

    async def _greet(self, link: Link) -> None:
        """Cancel what an earlier session started, throw away its replies, and learn the serial number."""
        heard: list[Reply] = []
        for question in ("@", *["I4"] * self._silent_after):
            heard = await self._ask(link, question, frozenset({"I4"}))
            if any(reply.command == "I4" for reply in heard):
                break
            if question == "I4" and any(reply.command in _REFUSALS for reply in heard):
                break
        self._identity = next((reply.fields[0] for reply in heard if _names_itself(reply)), None)

    async def _ask(self, link: Link, question: str, answers: frozenset[str]) -> list[Reply]:
        """Everything heard up to the answer or the time-out, what waited before the question included."""
        self._babble = b""
        heard = self._take(link.read_nowait())
        await link.write(question.encode() + b"\r\n")
        fresh: list[Reply] = []
        try:
            async with asyncio.timeout(self._reply_timeout_s):
                while not any(reply.command in answers or reply.command in _REFUSALS for reply in fresh):
                    fresh = self._take(await link.read())
                    heard += fresh
        except TimeoutError:
            self._count_silence(heard)
        else:
            self._missed = 0
        return heard

    def _take(self, chunk: bytes) -> list[Reply]:
        self._babble = (self._babble + chunk)[-_BABBLE_SHOWN:]
        replies = []
        for item in self._framer.feed(chunk):
            if isinstance(item, Reply):
                replies.append(item)
            else:
                _log.debug("%s: not a reply: %r", self._settings.id, item.line)
        return replies

    def _count_silence(self, heard: list[Reply]) -> None:
        self._missed = 0 if heard else self._missed + 1
        if self._missed < self._silent_after:
            return
        if self._babble:
            raise DeviceSilent(
                f"{self._settings.port}: what comes is not MT-SICS",
                hint=f"it sends {printable(self._babble, _BABBLE_SHOWN)}"
                "; check baudrate, serial_format, driver, and that the scale is set to MT-SICS",
            )
        raise DeviceSilent(
            f"{self._settings.port} is open, yet no scale answers",
            hint="is it switched on, set to MT-SICS, and at the configured baud rate?",
        )

    def _readings(self, heard: list[Reply], now: float) -> list[Reading]:
        readings: list[Reading] = []
        for reply in heard:
            if _names_itself(reply):
                readings += self._powered_up(reply.fields[0])
            elif reply.command in _PLATE or reply.command in _REFUSALS:
                reading = weight_reading(self._settings.id, reply)
                if reading is not None:
                    readings += self._plate.judged([reading], now, why=_why(reply))
        return readings

    def _powered_up(self, identity: str) -> list[Reading]:
        # A line has no checksum: another number is believed when it is told twice.
        claimed, self._claimed = self._claimed, identity
        if identity not in (self._identity, claimed):
            self._identity_due = 0.0
            return []
        if identity != self._identity:
            _log.warning("%s: scale %s is now scale %s", self._settings.id, self._identity, identity)
        self._identity = identity
        return [DeviceAnswered(self._settings.id, identity)]


def _cannot_stream(reply: Reply) -> bool:
    return reply.command in ("ES", "EL") or (reply.command in _PLATE and reply.status == "L")


async def _end_stream(link: Link) -> None:
    with suppress(LinkLost):  # what is unplugged streams no more
        await link.write(b"SI\r\n")
        await asyncio.sleep(_LAST_WORD_S)


def _why(reply: Reply) -> str | None:
    return f"weighs in {reply.unit}; set it to grams" if reply.unit else _MEANING.get(reply.status)


def _names_itself(reply: Reply) -> bool:
    return reply.command == "I4" and bool(reply.fields)


def _temperatures(device: str, reply: Reply) -> Iterator[EnvironmentReading]:
    """What the probes of a scale with `M28` measure, in °C."""
    if reply.command == "M28" and len(reply.fields) == 2:
        yield EnvironmentReading(device, "temperature_c", "°C", float(reply.fields[1]))


class MtSicsDecoder:
    """For `decode` and `replay`. Option `after_command=CMD`: only replies to CMD."""

    options = frozenset({"after_command"})

    def __init__(self, settings: MtSics, options: Mapping[str, str]) -> None:
        self._device, self._only = settings.id, options.get("after_command")
        self._framer = MtSicsFramer(seven_bits=settings.serial_format.startswith("7"))

    def feed(self, heard: Heard) -> Iterator[Reading | str]:
        """What these bytes complete."""
        if heard.direction == "out":
            return
        for item in self._framer.feed(heard.chunk):
            if isinstance(item, Noise):
                yield f"not a reply: {printable(item.line)}"
            elif self._only is None or item.command == self._only:
                reading = weight_reading(self._device, item)
                if reading is not None:
                    yield reading
                yield from _temperatures(self._device, item)

    def end(self) -> Iterator[Reading | str]:
        """The last line may lack its end."""
        return self.feed(Heard("in", b"\r\n"))
