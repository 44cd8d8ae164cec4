"""The duty of a camera over a door: who crosses its lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from edge_agent.config.cameras import CountingLine
from edge_agent.readings import LineCrossing, LineWatched, Reading
from edge_agent.vision.capture import Frame
from edge_agent.vision.footfall import LineCounter
from edge_agent.vision.people import Seen

_WATCHED_EVERY_S = 0.99


class LineDuty:
    """A `Duty`: crossings at capture time, and about once a second that the lines were watched."""

    def __init__(self, device: str, lines: Sequence[CountingLine]) -> None:
        self._device, self._lines = device, lines
        self._counter: LineCounter | None = None
        self._ids = tuple(line.id for line in lines)
        self._watched_s: float | None = None

    @property
    def trouble(self) -> None:
        """See `Duty`: lines can always be watched."""

    def check(self, frame: Frame) -> None:
        """See `Duty`: a line outside of the picture."""
        height, width = frame.picture.shape[:2]
        self._counter = LineCounter(self._lines, (width, height))

    def pause(self) -> Sequence[Reading]:
        """See `Duty`: crossings were told already."""
        return ()

    async def readings(self, seen: Seen) -> Sequence[Reading]:
        """See `Duty`."""
        at_s, captured_at = seen.frame.at_s, seen.frame.captured_at
        crossings = self._counter.update(seen.tracks, at_s) if self._counter is not None else ()
        readings: list[Reading] = [
            LineCrossing(self._device, c.line, c.direction, captured_at - timedelta(seconds=at_s - c.at_s))
            for c in crossings
        ]
        if self._watched_s is None or at_s - self._watched_s >= _WATCHED_EVERY_S:
            self._watched_s = at_s
            readings.append(LineWatched(self._device, self._ids, captured_at))
        return readings
