"""Tells when a scale that answers, yet gives no weight, counts as degraded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.readings import DeviceDegraded, Flag, Reading, WeightReading

DEGRADED_AFTER_S = 4.0
"""How long a plate may be over, under or in error until its scale counts as degraded."""
RESTLESS_AFTER_S = 60.0
"""How long a plate may only move: somebody fills the shelf; longer than that, something shakes it."""

_WHY: dict[Flag, str] = {
    "over": "overload: too much on the plate",
    "under": "underload: the plate is not in place",
    "error": "answers with an error instead of a weight",
    "motion": "the plate does not come to rest",
}


@dataclass(slots=True)
class _Weightless:
    """One plate without a weight: since when at all, and from when to when not only because it moves."""

    since_s: float
    why: str = ""
    faulty_since_s: float | None = None
    faulty_last_s: float = 0.0
    moving_since_s: float | None = None

    def note(self, now_s: float, *, only_moves: bool) -> None:
        """Motion between two faults ends them not; motion alone for long does, since somebody is at work."""
        if not only_moves:
            self.faulty_since_s = now_s if self.faulty_since_s is None else self.faulty_since_s
            self.faulty_last_s, self.moving_since_s = now_s, None
            return
        self.moving_since_s = now_s if self.moving_since_s is None else self.moving_since_s
        if now_s - self.moving_since_s >= DEGRADED_AFTER_S:
            self.faulty_since_s = None

    def lasts(self, now_s: float) -> bool:
        if self.faulty_since_s is not None and self.faulty_last_s - self.faulty_since_s >= DEGRADED_AFTER_S:
            return True
        return now_s - self.since_s >= RESTLESS_AFTER_S


class PlateWatch:
    """All plates of one scale. Times are seconds of one clock that never runs back."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._weightless: dict[int | None, _Weightless] = {}

    def judged(
        self, readings: Iterable[WeightReading], now_s: float, *, why: str | None = None
    ) -> list[Reading]:
        """What to emit for the readings of one answer, in their order.

        A weight passes. A condition without a weight passes as long as it is short; one that lasts is left
        out, and while there is one the answer ends with `DeviceDegraded`: a good plate beside it does
        not clear it. `why` says it better than the flags of these readings can.
        """
        passed: list[Reading] = [r for r in readings if not self._lasting(r, now_s, why)]
        reasons = [
            why if channel is None else f"plate {channel}: {why}"
            for channel, why in ((c, w.why) for c, w in self._weightless.items() if w.lasts(now_s))
        ]
        return [*passed, DeviceDegraded(self._device, "; ".join(reasons))] if reasons else passed

    def _lasting(self, reading: WeightReading, now_s: float, why: str | None) -> bool:
        """Whether this plate has been without a weight for too long."""
        if reading.weight_g is not None:
            self._weightless.pop(reading.channel, None)
            return False
        flag: Flag = next((known for known in _WHY if known in reading.flags), "error")
        state = self._weightless.setdefault(reading.channel, _Weightless(now_s))
        state.why = why or _WHY[flag]
        state.note(now_s, only_moves=flag == "motion")
        return state.lasts(now_s)
