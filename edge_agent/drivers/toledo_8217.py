"""Counter and bin scales that answer `W`: Toledo 8217, and NCI SCP-01 (`dialect: nci`), serial or TCP."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Final

from edge_agent.config.devices import Toledo8217
from edge_agent.contract.errors import DeviceSilent
from edge_agent.drivers.link import Link, device_link
from edge_agent.drivers.plate_watch import PlateWatch
from edge_agent.drivers.tap import Heard, Tap, deaf, printable
from edge_agent.drivers.toledo_frames import Answer, Item, NciFramer, Noise, Toledo8217Framer
from edge_agent.readings import DeviceAnswered, Emit, Reading, WeightReading

REPLY_TIMEOUT_S = 1.0
"""A scale answers at once or within one cycle of its converter; a second is ample (DIVA §6.1.1.1)."""
SILENT_AFTER = 3
"""Questions without any reply until the scale counts as silent."""

_LAYOUT: Final = {3: "kg", 2: "lb"}
"""Decimals of an 8217's weight to its unit: `WW.WWW` are kilograms, `WW.WW` pounds (DIVA §6.1.3.2)."""

_log = logging.getLogger(__name__)


def weight_reading(settings: Toledo8217, answer: Answer) -> WeightReading:
    """What a reply says about the plate. A weight of an unknown unit is no weight; it carries `error`."""
    moving = "motion" in answer.flags
    weight_g = answer.weight_g(_unit(settings, answer))
    if weight_g is not None:
        return WeightReading(settings.id, None, weight_g, not moving, answer.flags)
    lacks_unit = bool(answer.amounts) and "error" not in answer.flags
    flags = (*answer.flags, "error") if lacks_unit else answer.flags
    return WeightReading(settings.id, None, None, False if moving else None, flags)


def _unit(settings: Toledo8217, answer: Answer) -> str | None:
    if settings.unit != "auto" or not answer.amounts:
        return settings.unit
    return _LAYOUT.get(len(answer.amounts[0][0].partition(".")[2]))


def _why(answer: Answer) -> str | None:
    """Why this reply has no weight, where the flags cannot say it."""
    if not answer.amounts:
        return None
    value, unit = answer.amounts[0]
    if unit is None:
        # The reason stays the same while the weight changes: a new one would be news for HQ each time.
        layout = re.sub(r"\d", "W", value)
        return f"sends weights like {layout}, and no unit can be told from that; set `unit` to kg or lb"
    return f"weighs in {unit}; set it to kilograms"


class Toledo8217Driver:
    """One scale, asked `poll_hz` times a second for its weight (`W`).

    Its answer, a weight or a status, is the sign of life: the protocol has no serial number. Whatever
    waits before a question is no answer to it, yet a weight is a weight whenever it comes. Half a reply is
    given up when its time is over, so that it joins no later one.
    """

    def __init__(
        self,
        settings: Toledo8217,
        tap: Tap = deaf,
        *,
        reply_timeout_s: float = REPLY_TIMEOUT_S,
        silent_after: int = SILENT_AFTER,
    ) -> None:
        self._settings, self._tap = settings, tap
        self._reply_timeout_s, self._silent_after = reply_timeout_s, silent_after
        self._framer = _framer(settings)
        self._question = b"W\r" if settings.dialect == "nci" else b"W"
        self._plate = PlateWatch(settings.id)
        self._missed = 0
        self._babble = b""

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled. Raises LinkLost, LinkDenied, or DeviceSilent after 3 unanswered questions."""
        clock = asyncio.get_running_loop().time
        answered = False
        async with device_link(self._settings, self._tap) as link:
            due = clock()
            while True:
                readings = self._readings(await self._ask(link), clock())
                if readings and not answered:
                    answered = True
                    readings.insert(0, DeviceAnswered(self._settings.id))
                if readings:
                    await emit(readings)
                due = max(due + 1 / self._settings.poll_hz, clock())
                await asyncio.sleep(due - clock())

    @property
    def skipped_bytes(self) -> int:
        """Bytes that were no part of a reply, since this driver was made."""
        return self._framer.skipped_bytes

    async def _ask(self, link: Link) -> list[Answer]:
        """Everything heard up to the answer or the time-out, what waited before the question included."""
        heard = self._take(self._framer.feed(link.read_nowait()))
        await link.write(self._question)
        fresh: list[Answer] = []
        try:
            async with asyncio.timeout(self._reply_timeout_s):
                while not fresh:
                    fresh = self._take(self._framer.feed(await link.read()))
        except TimeoutError:
            self._take(self._framer.abandon())
            self._count_silence(heard)
        else:
            self._missed, self._babble = 0, b""
        return heard + fresh

    def _take(self, items: list[Item]) -> list[Answer]:
        for item in items:
            if isinstance(item, Noise):
                self._babble = item.line
                _log.debug("%s: not a reply: %r", self._settings.id, item.line)
        return [item for item in items if isinstance(item, Answer)]

    def _count_silence(self, heard: list[Answer]) -> None:
        self._missed = 0 if heard else self._missed + 1
        if self._missed < self._silent_after:
            return
        if self._babble:
            raise DeviceSilent(
                f"{self._settings.port}: what comes is no answer of dialect {self._settings.dialect}",
                hint=f"it sends {printable(self._babble, 40)}"
                "; check baudrate, serial_format and dialect (8217 or nci)",
            )
        raise DeviceSilent(
            f"{self._settings.port} is open, yet no scale answers",
            hint="is it switched on, set to Toledo 8217 or NCI, and at the configured baud rate?",
        )

    def _readings(self, answers: list[Answer], now: float) -> list[Reading]:
        readings: list[Reading] = []
        for answer in answers:
            reading = weight_reading(self._settings, answer)
            readings += self._plate.judged([reading], now, why=_why(answer))
        return readings


def _framer(settings: Toledo8217) -> Toledo8217Framer | NciFramer:
    return NciFramer() if settings.dialect == "nci" else Toledo8217Framer()


class Toledo8217Decoder:
    """For `decode` and `replay`; `dialect` and `unit` are settings."""

    options: frozenset[str] = frozenset()

    def __init__(self, settings: Toledo8217, _options: Mapping[str, str]) -> None:
        self._settings = settings
        self._framer = _framer(settings)

    def feed(self, heard: Heard) -> Iterator[Reading | str]:
        """What these bytes complete; questions are no readings."""
        return self._told(self._framer.feed(heard.chunk) if heard.direction == "in" else [])

    def end(self) -> Iterator[Reading | str]:
        """Half a reply is no reply."""
        return self._told(self._framer.abandon())

    def _told(self, items: list[Item]) -> Iterator[Reading | str]:
        for item in items:
            if isinstance(item, Noise):
                yield f"not a reply: {printable(item.line)}"
            elif isinstance(item, Answer):
                yield weight_reading(self._settings, item)
