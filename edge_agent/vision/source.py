"""What a camera's `source` may be, and the frames that it gives."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

import numpy as np

from edge_agent.vision.families import Picture
from edge_agent.vision.frame_size import FrameSize
from edge_agent.vision.picture_health import PictureHealth

_log = logging.getLogger(__name__)

Kind = Literal["rtsp", "http", "usb", "file"]
Polygon = Sequence[Sequence[float]]
"""Corners in pixels of the frame."""

OPEN_TIMEOUT_S = 5.0
_EARLY_SHARE = 0.1
"""A frame that comes this share of the interval too early is due: a camera's frames arrive unevenly."""
_KINDS: dict[str, Kind] = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http", "usb": "usb"}


class Source(Protocol):
    """One open camera or file, read by one thread.

    Opening and reading raise LinkLost when the source cannot be opened or has hung up, and
    CameraStalled when it is open and silent.
    """

    def grab(self) -> float | None:
        """Wait for the next frame: its time in seconds on its own clock; None at the end of a file."""
        ...

    def picture(self) -> Picture | None:
        """The grabbed frame in BGR, or None when it is damaged. Costs the decoding, so ask only if needed."""
        ...

    def interrupt(self) -> None:
        """From any thread: let a waiting `grab` return soon, where that is possible."""
        ...

    def close(self) -> None:
        """Let go of the device, connection or file."""
        ...


def kind_of(source: str) -> Kind:
    """What a configured `source` is; all that is no known address is a file."""
    return _KINDS.get(urlsplit(source).scheme, "file")


def shown(source: str) -> str:
    """The source as it may be logged: user, password, path and query of an address are secrets."""
    parts = urlsplit(source)
    match kind_of(source):
        case "usb":
            return source
        case "file":
            return Path(source).name
        case _:
            return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def open_source(source: str) -> Source:
    """Open the camera or file, within OPEN_TIMEOUT_S. Errors: see `Source`."""
    from edge_agent.vision import mjpeg, video

    if kind_of(source) == "http":
        stream = mjpeg.connect(source)
        if stream is not None:
            return stream
    return video.Video(source)


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame of a source: with a picture where it was due, and what is wrong with that.

    `is_damaged`: it was due and cannot be decoded. A picture with a `problem` is not to be looked at.
    """

    at_s: float
    picture: Picture | None = None
    problem: str | None = None
    is_damaged: bool = False


class Shots:
    """Chooses the frames of one source that are due, `per_s` a second by capture time, and prepares them.

    Every picture has the size of the first, or `size` where it is given, so lines stay where they were drawn
    when a camera changes its resolution; one of another shape is blank and has a problem. A damaged frame is
    replaced by the next. The privacy masks are burnt in before anybody sees the picture.
    """

    def __init__(
        self,
        *,
        per_s: float,
        masks: Sequence[Polygon] = (),
        health: PictureHealth | None = None,
        size: FrameSize | None = None,
    ) -> None:
        self._every_s = 1 / per_s
        self._due_s: float | None = None
        self._masks = [np.array(mask, np.int32) for mask in masks]
        self._health = health
        self._size = size

    def of(self, source: Source) -> Iterator[Shot]:
        """One shot for every frame, until the end of a file. Errors: see `Source`."""
        while (at_s := source.grab()) is not None:
            self._due_s = at_s if self._due_s is None else self._due_s
            late_s = at_s - self._due_s + _EARLY_SHARE * self._every_s
            if late_s < 0:
                yield Shot(at_s)
                continue
            picture = source.picture()
            if picture is None:
                yield Shot(at_s, is_damaged=True)
                continue
            self._due_s += self._every_s * (1 + late_s // self._every_s)
            yield self._shot(picture, at_s)

    def _shot(self, picture: Picture, at_s: float) -> Shot:
        import cv2

        size = FrameSize.of(picture)
        wanted = self._size = self._size or size
        if not wanted.has_shape_of(size):
            words = f"the picture is {size} now: another shape than {wanted}, on which the lines are drawn"
            return Shot(at_s, wanted.blank(), words)
        problem = self._health.problem(picture, at_s) if self._health is not None else None
        picture = wanted.fitted(picture)
        if self._masks:
            cv2.fillPoly(picture, self._masks, (0, 0, 0))
        return Shot(at_s, picture, problem)


def frames(
    source: Source, *, per_s: float, masks: Sequence[Polygon] = ()
) -> Iterator[tuple[float, Picture | None]]:
    """The time of every frame of a recording, with its picture where it is due: see `Shots`.

    A picture that is damaged, or of another shape than the first, is left out; the latter is logged.
    """
    said: str | None = None
    for shot in Shots(per_s=per_s, masks=masks).of(source):
        if shot.problem is not None and shot.problem != said:
            said = shot.problem
            _log.warning("left out from %.1f s on: %s", shot.at_s, said)
        yield shot.at_s, shot.picture if shot.problem is None else None
