"""Decides who crossed a counting line, from tracks; pure.

Errors of counting come more from these rules than from the detector:

* a dead band around the line: standing on it and turning back on it counts nothing;
* a track counts once per line and direction until it is a body's height away from the line: pacing on it
  counts once, whoever walks away and comes back has crossed again;
* a track counts only once it is confirmed, and surely seen within a second, for what it has done until
  then: doubtful boxes follow a half-hidden person, but they also follow shadows;
* only the line between its two ends counts, not its extension.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from edge_agent.config.cameras import CountingLine
from edge_agent.vision.track import Box, Track

_SHADOW_AFTER_S = 1.0

Direction = Literal["entered", "exited"]
Position = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Crossing:
    """One person crossed `line` at `at_s`, on the clock of the frames."""

    line: str
    direction: Direction
    at_s: float
    track: int


@dataclass(slots=True)
class _Walk:
    """One track at one line. Sides are 1 (right), -1 (left) or 0 (not known yet).

    `position` is the last one clear of the dead band and `side` its side; `counted_side` is where the
    person is according to what was counted.
    """

    side: int = 0
    counted_side: int = 0
    position: Position = (0.0, 0.0)
    counted: set[Direction] = field(default_factory=set)
    seen_at_s: float = 0.0


class LineCounter:
    """Counts the crossings of one camera's lines. `dead_band_share` is in box heights, on either side."""

    def __init__(self, lines: Sequence[CountingLine], *, dead_band_share: float = 0.04) -> None:
        self._lines = lines
        self._share = dead_band_share
        self._walks: dict[tuple[int, str], _Walk] = {}

    def update(self, tracks: Iterable[Track], at_s: float) -> list[Crossing]:
        """Take the tracks seen in one frame; returns the crossings that became certain with it."""
        crossings = []
        for track in tracks:
            for line in self._lines:
                walk = self._walks.setdefault((track.id, line.id), _Walk())
                direction = self._follow(walk, track, line)
                walk.seen_at_s = at_s
                if direction is not None:
                    crossings.append(Crossing(line.id, direction, at_s, track.id))
        self._walks = {key: walk for key, walk in self._walks.items() if at_s - walk.seen_at_s < 10}
        return crossings

    def _follow(self, walk: _Walk, track: Track, line: CountingLine) -> Direction | None:
        position = anchor_of(track.box, line)
        offset = offset_from(line, position)
        height = track.box[3] - track.box[1]
        if abs(offset) > self._share * height:
            side = 1 if offset > 0 else -1
            if walk.side != side and not (walk.side and _meets(line, walk.position, position)):
                walk.counted_side = side  # first sight, or round the end of the line
            walk.side, walk.position = side, position
        if not track.confirmed or track.seen_at_s - track.sure_at_s > _SHADOW_AFTER_S:
            return None
        if abs(offset) > height:
            walk.counted.clear()
        direction: Direction = "entered" if walk.side > 0 else "exited"
        if walk.counted_side == walk.side or direction in walk.counted:
            return None
        walk.counted_side = walk.side
        walk.counted.add(direction)
        return direction


def anchor_of(box: Box, line: CountingLine) -> Position:
    """The point of a person that crosses: the middle of the feet, or of the whole body."""
    left, top, right, bottom = box
    return ((left + right) / 2, bottom if line.anchor == "feet" else (top + bottom) / 2)


def offset_from(line: CountingLine, position: Position) -> float:
    """Distance in pixels to the endless line: positive on the right, seen walking from start to end."""
    (x1, y1), (x2, y2) = line.start, line.end
    length = math.hypot(x2 - x1, y2 - y1)
    return ((x2 - x1) * (position[1] - y1) - (y2 - y1) * (position[0] - x1)) / length


def _meets(line: CountingLine, before: Position, after: Position) -> bool:
    """Whether the way from `before` to `after` passes between the two ends of the line."""
    a, b = offset_from(line, before), offset_from(line, after)
    share = a / (a - b)
    x, y = before[0] + share * (after[0] - before[0]), before[1] + share * (after[1] - before[1])
    (x1, y1), (x2, y2) = line.start, line.end
    along = (x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)
    return 0 <= along <= (x2 - x1) ** 2 + (y2 - y1) ** 2
