"""What cameras see in zones and in cells of the picture becomes totals of an hour; the last total counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from edge_agent.moment import LONGEST_LATE
from edge_agent.readings import HeatSeen, ZoneWatched

HOUR_S = 3600
KEPT_FOR = timedelta(days=800)
"""So long the hours that are over are kept."""
_FRESH_FOR = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class ZoneHour:
    """The totals of one zone in the hour that starts at `start`. Visits belong to the hour they ended in."""

    device: str
    zone: str
    start: datetime
    watched_s: float = 0.0
    person_s: float = 0.0
    visits: int = 0
    dwell_s: float = 0.0
    longest_s: float = 0.0

    @property
    def key(self) -> tuple[object, ...]:
        """Whose hour it is."""
        return self.device, self.zone

    def plus(self, seen: ZoneWatched) -> ZoneHour:
        """With what was seen since."""
        return replace(
            self,
            watched_s=self.watched_s + seen.watched_s,
            person_s=self.person_s + seen.person_s,
            visits=self.visits + seen.visits,
            dwell_s=self.dwell_s + seen.dwell_s,
            longest_s=max(self.longest_s, seen.longest_s),
        )


@dataclass(frozen=True, slots=True)
class HeatHour:
    """Person-seconds of each cell of a camera's picture, row by row, in the hour that starts at `start`.
    Grids of another size are kept apart."""

    device: str
    columns: int
    rows: int
    start: datetime
    watched_s: float
    cells: tuple[float, ...]

    @property
    def key(self) -> tuple[object, ...]:
        """Whose hour it is."""
        return self.device, self.columns, self.rows

    def plus(self, seen: HeatSeen) -> HeatHour:
        """With what was seen since, in a grid of the same size."""
        cells = tuple(one + more for one, more in zip(self.cells, seen.cells, strict=True))
        return replace(self, watched_s=self.watched_s + seen.watched_s, cells=cells)


Hour = ZoneHour | HeatHour
_H = TypeVar("_H", ZoneHour, HeatHour)


class PresenceHours:
    """The open hour of every zone and heat map. What comes late joins it: hours that are over are final."""

    def __init__(self, hours: Sequence[Hour] = ()) -> None:
        self._zones = {hour.key: hour for hour in hours if isinstance(hour, ZoneHour)}
        self._heat = {hour.key: hour for hour in hours if isinstance(hour, HeatHour)}
        self._before: dict[tuple[object, ...], Hour] = {}
        self._occupancy: dict[tuple[str, str], tuple[datetime, int | None]] = {}

    def seen(self, seen: ZoneWatched | HeatSeen) -> Hour:
        """The hour of what was seen, with its new total."""
        return self._in_zone(seen) if isinstance(seen, ZoneWatched) else self._in_cells(seen)

    def _in_zone(self, seen: ZoneWatched) -> ZoneHour:
        self._occupancy[seen.device, seen.zone] = (seen.occurred_at, seen.occupancy)
        new = ZoneHour(seen.device, seen.zone, hour_of(seen.occurred_at))
        self._zones[new.key] = hour = self._open(self._zones.get(new.key, new), new).plus(seen)
        return hour

    def _in_cells(self, seen: HeatSeen) -> HeatHour:
        nothing, start = (0.0,) * len(seen.cells), hour_of(seen.occurred_at)
        new = HeatHour(seen.device, seen.columns, seen.rows, start, 0.0, nothing)
        self._heat[new.key] = hour = self._open(self._heat.get(new.key, new), new).plus(seen)
        return hour

    def _open(self, last: _H, new: _H) -> _H:
        """The hour to go on with: the last one, a new one, or after a clock that was ahead the one before."""
        if timedelta(0) <= last.start - new.start <= LONGEST_LATE:
            return last
        before, self._before[last.key] = self._before.get(last.key), last
        return before if isinstance(before, type(new)) and before.start == new.start else new

    def occupancy(self, device: str, zone: str, now: datetime) -> int | None:
        """People in the zone now; None when its camera has not just said so."""
        at, count = self._occupancy.get((device, zone), (None, None))
        return count if at is not None and abs(now - at) <= _FRESH_FOR else None


def hour_of(moment: datetime) -> datetime:
    """When the hour began that `moment` (aware UTC) is in."""
    return moment.replace(minute=0, second=0, microsecond=0)
