"""Scales and simple sensors that send lines of text: A&D, ST/GS, Sartorius, Adam, Ohaus, SMA, Arduino."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterator, Mapping
from decimal import Decimal
from typing import TypeVar

from edge_agent.config.devices import UNITS
from edge_agent.config.text_devices import AsciiScale
from edge_agent.contract.errors import DeviceSilent
from edge_agent.drivers import ascii_lines as lines
from edge_agent.drivers.ascii_lines import DOOR_WORDS, Grammar, LineFramer, Noise, Shown
from edge_agent.drivers.link import Link, device_link
from edge_agent.drivers.mass import grams
from edge_agent.drivers.plate_watch import PlateWatch
from edge_agent.drivers.tap import Heard, Tap, deaf, printable
from edge_agent.readings import DeviceAnswered, Emit, EnvironmentReading, Reading, WeightReading

SILENT_AFTER_S = 3.5
"""Silence of a device that sends by itself, until it counts as silent; `expect_every_s` may allow more."""
REPLY_TIMEOUT_S = 1.0
SILENT_AFTER = 3
"""Questions without any reply until a device that is asked counts as silent."""

_PRESETS: dict[str, Grammar] = {
    "auto": lines.any_scale,
    "and": lines.headed,
    "st-gs": lines.headed,
    "sartorius": lines.sbi,
    "adam": lines.named,
    "ohaus": lines.settled,
    "sma": lines.sma,
    "hx711": lines.bare,
}
_BABBLE_SHOWN = 40
_NO_VALUE = "sends an error instead of a value"

_log = logging.getLogger(__name__)
T = TypeVar("T")


def make_framer(settings: AsciiScale) -> LineFramer:
    """The framer of a configured device. Lines of scales have seven bits; sketches may print any text."""
    pattern = settings.compiled()
    if pattern is not None:
        grammar = lines.by_pattern(pattern)
    else:
        grammar = lines.bare if settings.quantity else _PRESETS[settings.preset]
    is_scale = pattern is None and grammar is not lines.bare
    return LineFramer(grammar, seven_bits=is_scale or settings.serial_format.startswith("7"))


def reading_of(settings: AsciiScale, shown: Shown) -> WeightReading | EnvironmentReading | None:
    """What a line says; None for a tare, and for a quantity that has no value now."""
    if shown.is_tare:
        return None
    if settings.quantity is not None:
        value = _quantity(settings, shown)
        unit = UNITS[settings.quantity]
        return None if value is None else EnvironmentReading(settings.id, settings.quantity, unit, value)
    weight_g = _weight_g(settings, shown)
    # While it moves, Sartorius leaves out the unit: that is no error, yet a weight in pieces is one.
    is_error = shown.value is not None and weight_g is None and (shown.unit or shown.stable is not False)
    flags = (*shown.flags, "error") if is_error else shown.flags
    return WeightReading(settings.id, None, weight_g, shown.stable, flags)


def _weight_g(settings: AsciiScale, shown: Shown) -> float | None:
    unit = shown.unit or settings.unit
    if shown.value is None or unit is None or shown.value.lower() in DOOR_WORDS:
        return None
    return grams(str(_scaled(settings, shown.value)), unit)


def _quantity(settings: AsciiScale, shown: Shown) -> float | None:
    if shown.value is None:
        return None
    word = DOOR_WORDS.get(shown.value.lower())
    value = _scaled(settings, shown.value) if word is None else Decimal(word)
    if settings.quantity == "door":
        return float(value != 0)
    if settings.quantity == "temperature_c":
        value = _celsius(value, (shown.unit or settings.unit or "C").strip("° ").upper())
    return float(value)


def _celsius(value: Decimal, unit: str) -> Decimal:
    if unit in ("F", "DEGF"):
        return (value - 32) / Decimal("1.8")
    return value - Decimal("273.15") if unit == "K" else value


def _scaled(settings: AsciiScale, value: str) -> Decimal:
    return Decimal(value) if settings.scale == 1 else Decimal(value) * Decimal(repr(settings.scale))


def _why(settings: AsciiScale, shown: Shown) -> str | None:
    """Why this line has no weight, where the flags cannot say it."""
    if "over" in shown.flags and "under" in shown.flags:
        return "underload: out of range at the lower end"
    if shown.value is None or settings.quantity is not None:
        return None
    if shown.unit is None:
        return "its lines have no unit: set `unit`"
    return f"weighs in {shown.unit}; set it to grams"


class AsciiScaleDriver:
    """One device, which sends by itself or is asked `poll_hz` times a second with `command`.

    A line that makes sense is the sign of life; no such line has an identity. What was being sent when the
    link was opened may have lost its beginning: of a device that sends by itself it is thrown away.
    """

    def __init__(
        self,
        settings: AsciiScale,
        tap: Tap = deaf,
        *,
        silent_after_s: float = SILENT_AFTER_S,
        reply_timeout_s: float = REPLY_TIMEOUT_S,
    ) -> None:
        self._settings, self._tap = settings, tap
        self._silent_after_s = max(silent_after_s, settings.expect_every_s or 0)
        self._reply_timeout_s = reply_timeout_s
        self._framer = make_framer(settings)
        self._watch = PlateWatch(settings.id)
        self._babble = b""
        self._answered = False

    @property
    def skipped_bytes(self) -> int:
        """Bytes that were no line of the device."""
        return self._framer.skipped_bytes

    async def run(self, emit: Emit) -> None:
        """Read until cancelled. Raises LinkLost, LinkDenied, or DeviceSilent when no line makes sense."""
        async with device_link(self._settings, self._tap) as link:
            if self._settings.command is None:
                await self._listen(link, emit)
            else:
                await self._poll(link, self._settings.command.encode("latin-1"), emit)

    async def _listen(self, link: Link, emit: Emit) -> None:
        shown = self._take(await self._before_silence(self._behind_first_line(link)))
        while True:
            await self._tell(shown, emit)
            shown = await self._before_silence(self._next_line(link))

    async def _behind_first_line(self, link: Link) -> bytes:
        whole: bytes | None = None
        while whole is None:
            chunk = await link.read()
            self._note_babble(chunk)
            whole = self._framer.skip_to_line_end(chunk)
        return whole

    async def _poll(self, link: Link, question: bytes, emit: Emit) -> None:
        clock = asyncio.get_running_loop().time
        due, missed = clock(), 0
        while True:
            heard = self._take(link.read_nowait())
            await link.write(question)
            try:
                async with asyncio.timeout(self._reply_timeout_s):
                    heard += await self._next_line(link)
            except TimeoutError:
                missed = 0 if heard else missed + 1
                if missed >= SILENT_AFTER:
                    raise self._silent() from None
                due = clock()
            else:
                missed, due = 0, max(due + 1 / self._settings.poll_hz, clock())
            await self._tell(heard, emit)
            await asyncio.sleep(due - clock())

    async def _next_line(self, link: Link) -> list[Shown]:
        shown: list[Shown] = []
        while not shown:
            shown = self._take(await link.read())
        self._babble = b""
        return shown

    async def _before_silence(self, heard: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._silent_after_s):
                return await heard
        except TimeoutError:
            raise self._silent() from None

    def _take(self, chunk: bytes) -> list[Shown]:
        shown = []
        items = self._framer.feed(chunk)
        for item in items:
            if isinstance(item, Shown):
                shown.append(item)
            else:
                self._babble = item.line
                _log.debug("%s: not understood: %r", self._settings.id, item.line)
        if not items and not self._answered:
            self._note_babble(chunk)
        return shown

    def _note_babble(self, chunk: bytes) -> None:
        self._babble = (self._babble + chunk)[-_BABBLE_SHOWN:]

    async def _tell(self, shown: list[Shown], emit: Emit) -> None:
        if not shown:
            return
        readings: list[Reading] = [] if self._answered else [DeviceAnswered(self._settings.id)]
        self._answered = True
        now = asyncio.get_running_loop().time()
        for line in shown:
            readings += self._readings(line, now)
        await emit(readings or [DeviceAnswered(self._settings.id)])

    def _readings(self, shown: Shown, now: float) -> list[Reading]:
        if shown.is_tare:
            return []
        reading = reading_of(self._settings, shown)
        if isinstance(reading, WeightReading):
            return self._watch.judged([reading], now, why=_why(self._settings, shown))
        # A sensor without a value for long is as degraded as a scale without a weight.
        value = None if reading is None else reading.value
        state = WeightReading(self._settings.id, None, value, None, ("error",))
        judged = self._watch.judged([state], now, why=_NO_VALUE)
        readings: list[Reading] = [] if reading is None else [reading]
        return readings + [said for said in judged if not isinstance(said, WeightReading)]

    def _silent(self) -> DeviceSilent:
        port = self._settings.port
        if self._babble:
            return DeviceSilent(
                f"{port}: what comes is not understood",
                hint=f"it sends {printable(self._babble, _BABBLE_SHOWN)}"
                "; check baudrate, serial_format, and preset or pattern",
            )
        if self._settings.command is None:
            return DeviceSilent(
                f"{port} is open, yet no line comes",
                hint="is it switched on and set to send by itself? one that must be asked needs `command`",
            )
        return DeviceSilent(
            f"{port} is open, yet nothing answers",
            hint="is it on, at the configured baud rate, and `command` what it wants (with \\r\\n)?",
        )


class AsciiScaleDecoder:
    """For `decode` and `replay`; `preset`, `pattern`, `unit`, `scale` and `quantity` are settings."""

    options: frozenset[str] = frozenset()

    def __init__(self, settings: AsciiScale, _options: Mapping[str, str]) -> None:
        self._settings, self._framer = settings, make_framer(settings)

    def feed(self, heard: Heard) -> Iterator[Reading | str]:
        """What these bytes complete."""
        for item in self._framer.feed(heard.chunk):
            if isinstance(item, Noise):
                yield f"not understood: {printable(item.line)}"
                continue
            reading = reading_of(self._settings, item)
            if reading is not None:
                yield reading
            elif not item.is_tare:
                yield "no value"

    def end(self) -> Iterator[Reading | str]:
        """The last line may lack its end."""
        return self.feed(Heard("in", b"\r\n"))
