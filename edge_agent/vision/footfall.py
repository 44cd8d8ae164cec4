"""Decides who crossed a counting line, from tracks; pure.

Errors of counting come more from these rules than from the detector:

* a dead band around the line: standing on it and turning back on it counts nothing;
* a track counts once per line and direction until it is a body's height away from the line: pacing on it
  counts once, whoever walks away and comes back has crossed again;
* a track counts only once it is confirmed, and surely seen within a second, for what it has done until
  then: doubtful boxes follow a half-hidden person, but they also follow shadows;
* only the line between its two ends counts, not its extension, but a line to the picture's edge has none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from edge_agent.config.cameras import CountingLine
from edge_agent.contract.errors import ConfigError
from edge_agent.vision.track import Box, Track

_SHADOW_AFTER_S = 1.0
_EDGE_SHARE = 0.03
"""A line that ends so near to the picture's edge, in shares of its shorter side, was meant to reach it."""

Direction = Literal["entered", "exited"]
Position = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Crossing:
    """One person crossed `line` at `at_s`, on the clock of the frames: when the anchor was over the line,
    which is earlier than when that became certain."""

    line: str
    direction: Direction
    at_s: float
    track: int


@dataclass(slots=True)
class _Walk:
    """One track at one line. Sides are 1 (right), -1 (left) or 0 (not known yet).

    `position` is the last one clear of the dead band and `side` its side; `counted_side` is where the
    person is according to what was counted. `offset` is the last one, seen at `seen_at_s`, and
    `over_at_s` when the anchor last was over the line.
    """

    side: int = 0
    counted_side: int = 0
    position: Position = (0.0, 0.0)
    offset: float = 0.0
    over_at_s: float = 0.0
    counted: set[Direction] = field(default_factory=set)
    seen_at_s: float = 0.0


class LineCounter:
    """Counts the crossings of one camera's lines. `dead_band_share` is in box heights, on either side.

    `size` is the picture's width and height. A line that ends at the picture's edge goes on behind it:
    the feet of somebody who is cut off there are outside too. ConfigError for a line outside of it.
    """

    def __init__(
        self, lines: Sequence[CountingLine], size: tuple[int, int], *, dead_band_share: float = 0.04
    ) -> None:
        for line in lines:
            _check(line, size)
        self._lines = [(line, _reach(line, size)) for line in lines]
        self._share = dead_band_share
        self._walks: dict[tuple[int, str], _Walk] = {}

    def update(self, tracks: Iterable[Track], at_s: float) -> list[Crossing]:
        """Take the tracks seen in one frame; returns the crossings that became certain with it."""
        crossings = []
        for track in tracks:
            for line, reach in self._lines:
                walk = self._walks.setdefault((track.id, line.id), _Walk())
                direction = self._follow(walk, track, line, reach)
                if direction is not None:
                    crossings.append(Crossing(line.id, direction, walk.over_at_s, track.id))
        self._walks = {key: walk for key, walk in self._walks.items() if at_s - walk.seen_at_s < 10}
        return crossings

    def _follow(
        self, walk: _Walk, track: Track, line: CountingLine, reach: tuple[float, float]
    ) -> Direction | None:
        position = anchor_of(track.box, line)
        offset = offset_from(line, position)
        height = track.box[3] - track.box[1]
        _time(walk, offset, track.seen_at_s)
        if abs(offset) > self._share * height:
            side = 1 if offset > 0 else -1
            if walk.side != side and not (
                walk.side and reach[0] <= _met(line, walk.position, position) <= reach[1]
            ):
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


def _time(walk: _Walk, offset: float, at_s: float) -> None:
    """Note when the anchor was over the line, on a straight way since the last sight."""
    if walk.offset * offset <= 0 and walk.offset != offset:
        share = walk.offset / (walk.offset - offset)
        walk.over_at_s = walk.seen_at_s + share * (at_s - walk.seen_at_s)
    walk.offset, walk.seen_at_s = offset, at_s


def anchor_of(box: Box, line: CountingLine) -> Position:
    """The point of a person that crosses: the middle of the feet, or of the whole body."""
    left, top, right, bottom = box
    return ((left + right) / 2, bottom if line.anchor == "feet" else (top + bottom) / 2)


def offset_from(line: CountingLine, position: Position) -> float:
    """Distance in pixels to the endless line: positive on the right, seen walking from start to end."""
    (x1, y1), (x2, y2) = line.start, line.end
    length = math.hypot(x2 - x1, y2 - y1)
    return ((x2 - x1) * (position[1] - y1) - (y2 - y1) * (position[0] - x1)) / length


def _met(line: CountingLine, before: Position, after: Position) -> float:
    """Where the way from `before` to `after` meets the endless line: 0 at its start, 1 at its end."""
    a, b = offset_from(line, before), offset_from(line, after)
    share = a / (a - b)
    x, y = before[0] + share * (after[0] - before[0]), before[1] + share * (after[1] - before[1])
    (x1, y1), (x2, y2) = line.start, line.end
    along = (x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)
    return along / ((x2 - x1) ** 2 + (y2 - y1) ** 2)


def _check(line: CountingLine, size: tuple[int, int]) -> None:
    width, height = size
    if not any(0 <= x <= width and 0 <= y <= height for x, y in (line.start, line.end)):
        raise ConfigError(
            f"line {line.id} lies outside the picture of {width}x{height} pixels",
            hint="give from and to in pixels of the source's frame",
        )


def _reach(line: CountingLine, size: tuple[int, int]) -> tuple[float, float]:
    """From where to where the line counts, in its lengths: past an end at the picture's edge, for ever."""
    start, end = _at_edge(line.start, size), _at_edge(line.end, size)
    return (-math.inf if start else 0.0, math.inf if end else 1.0)


def _at_edge(point: Sequence[float], size: tuple[int, int]) -> bool:
    (x, y), (width, height) = point, size
    margin = _EDGE_SHARE * min(size)
    return not (margin < x < width - margin and margin < y < height - margin)
