"""The air in a fridge: how its temperature goes with compressor, door and the store around it."""

from __future__ import annotations

import math
from random import Random
from typing import Annotated

from pydantic import Field

from device_sims.part import Part
from edge_agent.contract.planogram import Identifier

_STEP_S = 1.0
_OPEN_DOOR_C_PER_MIN = 1.2
"""How fast an open door warms a fridge at its set temperature."""
_COOLS_TIMES = 10.0
"""A sound compressor cools so many times faster than the closed fridge warms."""
_SENSOR_SD_C = 0.05


class FridgeSettings(Part):
    """A fridge: what it keeps, how fast it warms without its compressor, which facings are inside."""

    id: Identifier
    facings: list[str] = []
    set_c: float = 4.0
    swing_c: Annotated[float, Field(gt=0)] = 1.0
    warms_c_per_min: Annotated[float, Field(gt=0)] = 0.15
    """At its set temperature, with its door closed and without its compressor."""
    cools_c_per_min: Annotated[float, Field(gt=0)] | None = None
    """What the compressor takes away; None: ten times `warms_c_per_min`."""
    ambient_c: float = 22.0
    alarm_c: float | None = None
    """The limit that the agent is told; None: 3 °C above the warmest of its swing."""
    alarm_for_s: Annotated[float, Field(ge=0)] = 60.0

    @property
    def limit_c(self) -> float:
        """Above it the agent should raise an alarm."""
        return self.set_c + self.swing_c + 3.0 if self.alarm_c is None else self.alarm_c


class Fridge:
    """Newton's law: it warms towards the store, faster with an open door; the compressor cools."""

    def __init__(self, settings: FridgeSettings, *, seed: str) -> None:
        self.settings = settings
        self.failed = False
        self._rng = Random(f"{seed}/{settings.id}/fridge")
        self._celsius = settings.set_c + self._rng.uniform(-0.5, 0.5) * settings.swing_c
        self._running = False
        self._now_s: float | None = None
        self._open_until_s = -math.inf

    def open_door(self, until_s: float) -> None:
        """Somebody holds the door open until then."""
        self._open_until_s = max(self._open_until_s, until_s)

    def door_open(self, now_s: float) -> bool:
        """Whether it stands open."""
        return now_s < self._open_until_s

    def climate(self, now_s: float) -> tuple[float, float]:
        """What a sensor inside shows: °C and % of humidity."""
        self._advance(now_s)
        humid = 80.0 if self.door_open(now_s) else 55.0
        return self._celsius + self._rng.gauss(0, _SENSOR_SD_C), humid + self._rng.gauss(0, 0.5)

    def _advance(self, now_s: float) -> None:
        if self._now_s is None:
            self._now_s = now_s
        while self._now_s < now_s:
            step_s = min(_STEP_S, now_s - self._now_s)
            self._step(step_s / 60.0)
            self._now_s += step_s

    def _step(self, minutes: float) -> None:
        kept = self.settings
        opened = self._now_s is not None and self.door_open(self._now_s)
        warms = kept.warms_c_per_min + (_OPEN_DOOR_C_PER_MIN if opened else 0.0)
        leak = warms / max(1.0, kept.ambient_c - kept.set_c)
        if self._celsius > kept.set_c + kept.swing_c / 2:
            self._running = True
        elif self._celsius < kept.set_c - kept.swing_c / 2:
            self._running = False
        cools = kept.cools_c_per_min or _COOLS_TIMES * kept.warms_c_per_min
        cooling = cools if self._running and not self.failed else 0.0
        self._celsius += ((kept.ambient_c - self._celsius) * leak - cooling) * minutes
