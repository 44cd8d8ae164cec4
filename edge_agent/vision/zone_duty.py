"""The duty of a camera over a floor: who stands in its zones, how long, and where in the picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from edge_agent.config.cameras import HeatGrid, WatchedZone
from edge_agent.contract.errors import ConfigError
from edge_agent.presence_hours import hour_of
from edge_agent.readings import HeatSeen, Reading, ZoneWatched
from edge_agent.vision.capture import Frame
from edge_agent.vision.heat import HeatMap
from edge_agent.vision.people import Seen
from edge_agent.vision.zones import Visit, Zone

_TOLD_EVERY_S = 5.0
"""Half of the silence after which a camera is offline."""
_LONGEST_STEP_S = 5.0
"""A longer pause between frames was an outage: nobody knows who stood where."""


@dataclass(slots=True)
class _ZoneTally:
    """What one zone has to tell since the last time."""

    device: str
    id: str
    zone: Zone
    watched_s: float = 0.0
    visits: int = 0
    dwell_s: float = 0.0
    longest_s: float = 0.0

    def add(self, ended: Sequence[Visit]) -> None:
        """Count visits that ended."""
        self.visits += len(ended)
        self.dwell_s += sum(visit.dwell_s for visit in ended)
        self.longest_s = max([self.longest_s, *(visit.dwell_s for visit in ended)])

    def drain(self, at: datetime) -> ZoneWatched:
        """All of it, and begin at nothing again."""
        zone = self.zone
        told = ZoneWatched(
            self.device,
            self.id,
            at,
            watched_s=self.watched_s,
            person_s=zone.person_s,
            visits=self.visits,
            dwell_s=self.dwell_s,
            longest_s=self.longest_s,
            occupancy=zone.occupancy,
        )
        self.watched_s = self.dwell_s = self.longest_s = zone.person_s = 0.0
        self.visits = 0
        return told


class ZoneDuty:
    """A `Duty`: every few seconds, at the end of every hour and of every visit, what is new since the last
    time, at capture time."""

    def __init__(self, device: str, zones: Sequence[WatchedZone], grid: HeatGrid | None) -> None:
        self._device, self._zones, self._grid = device, zones, grid
        self._tallies: list[_ZoneTally] = []
        self._heat: HeatMap | None = None
        self._heat_watched_s = 0.0
        self._last: Frame | None = None
        self._told_s = 0.0

    @property
    def trouble(self) -> None:
        """See `Duty`: zones can always be watched."""

    def check(self, frame: Frame) -> None:
        """See `Duty`: a zone outside of the picture."""
        height, width = frame.picture.shape[:2]
        for zone in self._zones:
            _check(zone, (width, height))
        self._tallies = [_ZoneTally(self._device, zone.id, Zone(zone.polygon)) for zone in self._zones]
        if self._grid is not None:
            self._heat = HeatMap((width, height), columns=self._grid.columns, rows=self._grid.rows)
        self._told_s = frame.at_s

    async def readings(self, seen: Seen) -> Sequence[Reading]:
        """See `Duty`."""
        frame, last = seen.frame, self._last
        readings: list[Reading] = []
        if last is not None and hour_of(last.captured_at) != hour_of(frame.captured_at):
            readings += self._all(last)
        step_s = frame.at_s - last.at_s if last is not None else 0.0
        self._last = frame
        readings += self._look(seen, step_s if 0 < step_s <= _LONGEST_STEP_S else 0.0)
        if not 0 <= frame.at_s - self._told_s < _TOLD_EVERY_S:
            readings += self._all(frame)
        return readings

    def pause(self) -> Sequence[Reading]:
        """See `Duty`: what was seen until now; whoever is in a zone has left for all that is known."""
        last, self._last = self._last, None
        if last is None:
            return ()
        for tally in self._tallies:
            tally.add(tally.zone.close())
        return [
            replace(told, occupancy=None) if isinstance(told, ZoneWatched) else told
            for told in self._all(last)
        ]

    def _look(self, seen: Seen, step_s: float) -> Iterator[Reading]:
        """Take the frame in; yields of the zones where a visit ended."""
        if self._heat is not None:
            self._heat.update(seen.tracks, step_s)
            self._heat_watched_s += step_s
        for tally in self._tallies:
            tally.watched_s += step_s
            if ended := tally.zone.update(seen.tracks, seen.frame.at_s):
                tally.add(ended)
                yield tally.drain(seen.frame.captured_at)

    def _all(self, frame: Frame) -> Iterator[Reading]:
        """What all have to tell up to `frame`."""
        self._told_s = frame.at_s
        for tally in self._tallies:
            yield tally.drain(frame.captured_at)
        if self._heat is not None and self._grid is not None:
            watched_s, self._heat_watched_s = self._heat_watched_s, 0.0
            yield HeatSeen(
                self._device,
                frame.captured_at,
                watched_s=watched_s,
                columns=self._grid.columns,
                rows=self._grid.rows,
                cells=self._heat.drain(),
            )


def _check(zone: WatchedZone, size: tuple[int, int]) -> None:
    """ConfigError unless the zone's bounds and the picture overlap."""
    for values, end in zip(zip(*zone.polygon, strict=True), size, strict=True):
        if max(values) <= 0 or min(values) >= end:
            raise ConfigError(
                f"zone {zone.id} lies outside the picture of {size[0]}x{size[1]} pixels",
                hint="give polygon in pixels of the source's frame",
            )
