"""What a camera shows to those who look at its page: the newest frame and what is seen in it, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from edge_agent.readings import DeviceDegraded, GapSeen, LineCrossing, Reading

if TYPE_CHECKING:  # an agent without cameras does not load numpy
    from edge_agent.vision.families import Picture
    from edge_agent.vision.people import Seen
    from edge_agent.vision.track import Box

WIDEST_PX = 1280
"""Wider pictures are shown smaller; coordinates stay those of the source's frame."""
_JPEG_QUALITY = 75


@dataclass(frozen=True, slots=True)
class Look:
    """One frame, masks burnt in, and what was seen in it. Boxes and tracks in pixels of the frame."""

    number: int
    picture: Picture
    captured_at: datetime
    boxes: tuple[tuple[float, ...], ...]
    """Left, top, right, bottom, score."""
    tracks: tuple[tuple[int, Box, bool], ...]
    """Id, box, whether confirmed."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the source's frame."""
        height, width = self.picture.shape[:2]
        return width, height


@dataclass(slots=True)
class Crossed:
    """How many crossed one line since the agent started."""

    entered: int = 0
    exited: int = 0


Show = Callable[["Seen", Sequence[Reading]], None]


@dataclass(slots=True)
class CameraView:
    """The newest look of one camera; it outlives the camera's drivers. Nothing of it is ever stored.

    Frames become JPEG only when somebody asks, once for all who ask, and not in the event loop.
    """

    newest: Look | None = None
    crossed: dict[str, Crossed] = field(default_factory=dict)
    places: dict[str, GapSeen] = field(default_factory=dict)
    watchers: int = 0
    _number: int = 0
    _cleared: int = 0
    """The last look that may no longer be shown."""
    _drawing: int = 0
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _encoding: asyncio.Lock = field(default_factory=asyncio.Lock)
    _encoded: tuple[int, bytes] = (0, b"")

    def shower(self) -> Show:
        """`show`, until the next `clear`: what a driver from before it still has was masked otherwise."""
        drawing = self._drawing

        def show(seen: Seen, readings: Sequence[Reading]) -> None:
            if drawing == self._drawing:
                self.show(seen, readings)

        return show

    def show(self, seen: Seen, readings: Sequence[Reading]) -> None:
        """The camera's newest frame, and what its duties made of it; of a degraded one no old verdicts."""
        if any(isinstance(reading, DeviceDegraded) for reading in readings):
            self.places.clear()
        self._number += 1
        boxes = tuple(tuple(box) for box in seen.boxes.tolist())
        tracks = tuple((track.id, track.box, track.confirmed) for track in seen.tracks)
        self.newest = Look(self._number, seen.frame.picture, seen.frame.captured_at, boxes, tracks)
        for reading in readings:
            self._take(reading)
        arrived, self._arrived = self._arrived, asyncio.Event()
        arrived.set()

    def clear(self) -> None:
        """Forget the frame: what a new mask hides may be in it."""
        self._drawing += 1
        self.newest, self._cleared = None, self._number
        self.places.clear()

    async def after(self, number: int) -> Look:
        """The newest look, once there is one later than `number`; those in between are left out."""
        while self.newest is None or self.newest.number <= number:
            await self._arrived.wait()
        return self.newest

    async def jpeg(self, look: Look) -> bytes | None:
        """The look's picture, at most WIDEST_PX wide; None when it was cleared meanwhile."""
        async with self._encoding:
            number, encoded = self._encoded
            if number != look.number:
                encoded = await asyncio.to_thread(_jpeg, look.picture)
                self._encoded = (look.number, encoded)
        return encoded if look.number > self._cleared else None

    def _take(self, reading: Reading) -> None:
        if isinstance(reading, LineCrossing):
            crossed = self.crossed.setdefault(reading.line, Crossed())
            crossed.entered += reading.direction == "entered"
            crossed.exited += reading.direction == "exited"
        elif isinstance(reading, GapSeen):
            self.places[reading.facing] = reading


class Views:
    """The views of all cameras of the store."""

    def __init__(self) -> None:
        self._views: dict[str, CameraView] = {}

    def of(self, camera: str) -> CameraView:
        """The one view of that camera."""
        return self._views.setdefault(camera, CameraView())

    @property
    def watchers(self) -> int:
        """How many look at a camera now."""
        return sum(view.watchers for view in self._views.values())


def _jpeg(picture: Picture) -> bytes:
    import cv2

    height, width = picture.shape[:2]
    scale = min(1.0, WIDEST_PX / width)
    size = (round(width * scale), max(1, round(height * scale)))
    shown = picture if scale == 1.0 else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return encoded.tobytes()
