"""Which changes of devices are told while the disk is nearly full: one a device and quarter of an hour."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_agent.fullness import COARSE_S
from edge_agent.health import Condition


@dataclass(frozen=True, slots=True)
class _Told:
    at_s: float
    what: tuple[str, str | None]


@dataclass(slots=True)
class HealthNews:
    """While `is_sparing`, a device's first change is told at once, and what it is when a quarter of an hour
    is over, if that is another thing. Times are monotonic seconds."""

    is_sparing: bool = False
    _told: dict[str, _Told] = field(default_factory=dict)
    _held: dict[str, Condition] = field(default_factory=dict)

    def changed(self, condition: Condition, now_s: float) -> bool:
        """Whether this change is told now."""
        told = self._told.get(condition.device)
        if self.is_sparing and told is not None and now_s - told.at_s < COARSE_S:
            self._held[condition.device] = condition
            return False
        self.told(condition, now_s)
        return True

    def told(self, condition: Condition, now_s: float) -> None:
        """It is told now, whoever does so."""
        self._held.pop(condition.device, None)
        self._told[condition.device] = _Told(now_s, (condition.status, condition.reason))

    def due(self, now_s: float) -> list[Condition]:
        """What was held back and is told now."""
        return self._release(
            [d for d in self._held if not self.is_sparing or now_s - self._told[d].at_s >= COARSE_S], now_s
        )

    def close(self, now_s: float) -> list[Condition]:
        """The process stops: all that was held back."""
        return self._release(list(self._held), now_s)

    def _release(self, devices: list[str], now_s: float) -> list[Condition]:
        held = [self._held.pop(device) for device in devices]
        news = [c for c in held if (c.status, c.reason) != self._told[c.device].what]
        for condition in news:
            self.told(condition, now_s)
        return news
