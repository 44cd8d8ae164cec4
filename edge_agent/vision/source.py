"""What a camera's `source` may be, and the frames that it gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

import numpy as np

from edge_agent.vision.families import Picture

Kind = Literal["rtsp", "http", "usb", "file"]
Polygon = Sequence[Sequence[float]]
"""Corners in pixels of the frame."""

OPEN_TIMEOUT_S = 5.0
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


def frames(
    source: Source, *, per_s: float, masks: Sequence[Polygon] = ()
) -> Iterator[tuple[float, Picture | None]]:
    """The time of every frame, with its picture where it is due: `per_s` a second by capture time.

    The privacy masks are burnt in before anybody sees the picture.
    """
    import cv2

    polygons = [np.array(mask, np.int32) for mask in masks]
    every_s, due_s = 1 / per_s, None
    while (at_s := source.grab()) is not None:
        due_s = at_s if due_s is None else due_s
        if at_s < due_s - 1e-3:
            yield at_s, None
            continue
        due_s += every_s * (1 + (at_s - due_s) // every_s)
        picture = source.picture()
        if picture is not None and polygons:
            cv2.fillPoly(picture, polygons, (0, 0, 0))
        yield at_s, picture
