"""Writes a video of what was counted: boxes, ways, lines and totals over the looked-at frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from edge_agent.config.cameras import CountingLine
from edge_agent.contract.errors import ConfigError
from edge_agent.vision.families import Picture
from edge_agent.vision.footfall import Crossing, Position
from edge_agent.vision.track import Track

if TYPE_CHECKING:
    import cv2

_SEEN, _UNSURE, _LINE, _CROSSED = (80, 220, 80), (150, 150, 150), (0, 200, 255), (0, 0, 255)
_WAY = 25


class Overlay:
    """`with Overlay(path, ...) as overlay: overlay.draw(...)`. The file holds pictures of people: keep it as
    the recording is kept. ConfigError when it cannot be written."""

    def __init__(self, path: Path, lines: Sequence[CountingLine], *, per_s: float) -> None:
        self._path, self._lines, self._per_s = path, lines, per_s
        self._video: cv2.VideoWriter | None = None
        self._ways: dict[int, deque[Position]] = {}
        self._totals = {"entered": 0, "exited": 0}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._video is not None:
            self._video.release()

    def draw(
        self, picture: Picture, _at_s: float, tracks: Sequence[Track], crossed: Sequence[Crossing]
    ) -> None:
        """An `OnFrame`."""
        import cv2

        canvas = picture.copy()
        for crossing in crossed:
            self._totals[crossing.direction] += 1
        for track in tracks:
            self._person(canvas, track, over=any(c.track == track.id for c in crossed))
        for line in self._lines:
            cv2.line(canvas, _point(line.start), _point(line.end), _LINE, 2)
        text = "  ".join(f"{name} {count}" for name, count in self._totals.items())
        cv2.putText(canvas, text, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, _LINE, 2)
        self._writer(canvas).write(canvas)

    def _person(self, canvas: Picture, track: Track, *, over: bool) -> None:
        import cv2

        left, top, right, bottom = track.box
        colour = _CROSSED if over else _SEEN if track.confirmed else _UNSURE
        cv2.rectangle(canvas, _point((left, top)), _point((right, bottom)), colour, 2)
        cv2.putText(canvas, str(track.id), _point((left, top - 4)), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1)
        way = self._ways.setdefault(track.id, deque(maxlen=_WAY))
        way.append(((left + right) / 2, bottom))
        for before, after in zip(way, list(way)[1:], strict=False):
            cv2.line(canvas, _point(before), _point(after), colour, 1)

    def _writer(self, canvas: Picture) -> cv2.VideoWriter:
        import cv2

        if self._video is None:
            height, width = canvas.shape[:2]
            self._video = cv2.VideoWriter(
                str(self._path), cv2.VideoWriter.fourcc(*"mp4v"), self._per_s, (width, height)
            )
            if not self._video.isOpened():
                raise ConfigError(f"{self._path} cannot be written", hint="give a file that ends in .mp4")
        return self._video


def _point(position: Sequence[float]) -> tuple[int, int]:
    return round(position[0]), round(position[1])
