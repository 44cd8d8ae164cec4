"""Which devices a facing's count rests on, and how far it may be believed when they are silent."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from edge_agent.stock.pan import PlateKey

STALE_LEVELS = ((30.0, 0.9), (300.0, 0.7), (1800.0, 0.4))
"""A facing whose sensor is silent this many seconds is believed at most this much."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What lies where: plates to facings, antennas to facings, and the antennas over the back room."""

    plates: Mapping[PlateKey, list[str]]
    antennas: Mapping[tuple[str, int | None], str]
    back_room: Collection[tuple[str, int | None]] = ()


class Sensors:
    """Of all facings: the scales of one that is `weighed`, else the readers that hear it (`covering`)."""

    def __init__(self, wiring: Wiring, weighed: Collection[str]) -> None:
        self.covering: dict[str, set[str]] = {}
        for (device, _), name in wiring.antennas.items():
            self.covering.setdefault(name, set()).add(device)
        self._of = {name: devices for name, devices in self.covering.items() if name not in weighed}
        for (device, _), names in wiring.plates.items():
            for name in names:
                if name in weighed:
                    self._of.setdefault(name, set()).add(device)
        self._facings: dict[str, list[str]] = {}
        for name, devices in self._of.items():
            for device in devices:
                self._facings.setdefault(device, []).append(name)
        self._lost_s: dict[str, float] = {}

    def facings(self, device: str) -> list[str]:
        """The facings whose count rests on a device."""
        return self._facings.get(device, [])

    def lost(self, device: str, at_s: float) -> None:
        """The device is silent from now on."""
        self._lost_s.setdefault(device, at_s)

    def heard(self, device: str) -> bool:
        """The device speaks; True where it had been silent."""
        return bool(self._lost_s) and self._lost_s.pop(device, None) is not None

    def silent(self) -> Iterator[str]:
        """The facings that rest on a silent device."""
        for device in self._lost_s:
            yield from self.facings(device)

    def limit(self, name: str, at_s: float) -> float:
        """How far a facing may be believed at most."""
        if not self._lost_s:
            return 1.0
        lost_s = [self._lost_s[one] for one in self._of.get(name, ()) if one in self._lost_s]
        silent_s = at_s - min(lost_s, default=at_s)
        return min((level for after_s, level in STALE_LEVELS if silent_s >= after_s), default=1.0)
