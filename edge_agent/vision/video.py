"""Reads RTSP cameras, USB cameras and video files with OpenCV and its FFmpeg."""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.contract.errors import CameraStalled, LinkLost
from edge_agent.vision import rtsp
from edge_agent.vision.families import Picture
from edge_agent.vision.source import OPEN_TIMEOUT_S, Kind, kind_of, shown

if TYPE_CHECKING:
    import cv2

READ_TIMEOUT_S = 5.0
"""FFmpeg cannot be interrupted, so this is also how long a silent stream holds its thread."""

_HINTS: dict[Kind, str] = {
    "http": "the address must serve MJPEG or a video stream",
    "usb": "check that the camera is plugged in and that this user may read it (group video)",
    "file": "check that the file is there and is a video",
}


class Video:
    """A `Source` on OpenCV. Live frames have the time of their arrival, a file's frames its own."""

    def __init__(self, source: str) -> None:
        self._kind = kind_of(source)
        self._shown = shown(source)
        self._capture = _open(source, self._kind)
        self._frame_s = _frame_s(self._capture)
        self._at_s: float | None = None

    def grab(self) -> float | None:
        """See `Source`."""
        asked_s = monotonic()
        if self._capture.grab():
            self._at_s = self._media_time() if self._kind == "file" else monotonic()
            return self._at_s
        if self._kind == "file":
            if self._at_s is None:
                raise LinkLost(f"{self._shown} holds no picture", hint=_HINTS["file"])
            return None
        if monotonic() - asked_s >= READ_TIMEOUT_S * 0.9:
            raise CameraStalled(f"no frame from {self._shown} for {READ_TIMEOUT_S:.0f} s")
        raise LinkLost(f"{self._shown} has hung up")

    def picture(self) -> Picture | None:
        """See `Source`."""
        good, picture = self._capture.retrieve()
        return np.asarray(picture, np.uint8) if good else None

    def interrupt(self) -> None:
        """See `Source`; the read timeout ends the wait."""

    def close(self) -> None:
        """See `Source`."""
        self._capture.release()

    def _media_time(self) -> float:
        import cv2

        stated = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        if self._at_s is None or stated > self._at_s:
            return stated
        return self._at_s + self._frame_s  # a file without time stamps


def _open(source: str, kind: Kind) -> cv2.VideoCapture:
    # FFmpeg would try UDP, of which a busy network loses a part; whoever needs it sets the variable.
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
    # Both would print the address, with its password, on stderr.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    if kind == "usb":
        capture = cv2.VideoCapture(_usb_index(source), cv2.CAP_ANY)
    else:
        limits = {
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: OPEN_TIMEOUT_S * 1000,
            cv2.CAP_PROP_READ_TIMEOUT_MSEC: READ_TIMEOUT_S * 1000,
            cv2.CAP_PROP_N_THREADS: 1,
        }
        flat = [int(number) for pair in limits.items() for number in pair]
        capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, flat)
    if not capture.isOpened():
        capture.release()
        if kind == "rtsp":
            raise rtsp.refusal(source)
        raise LinkLost(f"cannot open {shown(source)}", hint=_HINTS[kind])
    return capture


def _usb_index(source: str) -> int:
    index = source.removeprefix("usb:")
    if not index.isdecimal():
        raise LinkLost(f"{source!r} names no USB camera", hint="write usb:0 for the first one")
    return int(index)


def _frame_s(capture: cv2.VideoCapture) -> float:
    import cv2

    per_s = float(capture.get(cv2.CAP_PROP_FPS))
    return 1 / per_s if per_s > 0 else 0.04
