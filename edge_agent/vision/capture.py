"""Brings a camera's frames from its own thread into asyncio: only the newest, or all of a file's."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from types import TracebackType
from typing import Self

from edge_agent.contract.errors import CameraStalled, DeviceError
from edge_agent.contract.times import utc_now
from edge_agent.vision.families import Picture
from edge_agent.vision.frame_size import FrameSize
from edge_agent.vision.picture_health import FROZEN_AFTER_S, PictureHealth
from edge_agent.vision.source import OPEN_TIMEOUT_S, Polygon, Shots, Source, kind_of, open_source, shown

STALLED_AFTER_S = 5.0
_STOP_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture and when it was taken: in seconds on the source's own clock, and on the wall's.

    With a `problem` it is not to be looked at: the camera sees nothing, or no more, or another picture.
    """

    picture: Picture
    at_s: float
    captured_at: datetime
    problem: str | None = None


class Capture:
    """`async with Capture(...) as frames: async for frame in frames`.

    A camera's newest frame wins: what the reader was too slow for is dropped and counted. A file plays
    at its own speed like a camera, but waits for the reader and drops nothing; the loop ends with it.
    Raises LinkLost when the source cannot be opened or hangs up, CameraStalled after STALLED_AFTER_S
    without a frame, or without one that can be decoded. A live picture that repeats for `frozen_after_s` has
    a problem; a file's is taken as it is. `size`: see `Shots`. `dropped` and `damaged` count frames.
    """

    def __init__(
        self,
        source: str,
        *,
        per_s: float,
        masks: Sequence[Polygon] = (),
        frozen_after_s: float = FROZEN_AFTER_S,
        size: FrameSize | None = None,
    ) -> None:
        self._address = source
        self._is_file = kind_of(source) == "file"
        health = PictureHealth(frozen_after_s=math.inf if self._is_file else frozen_after_s)
        self._shots = Shots(per_s=per_s, masks=masks, health=health, size=size)
        self._slot: Frame | None = None
        self._error: DeviceError | None = None
        self._ended = False
        self._stopping = threading.Event()
        self._taken = threading.Event()
        self._source: Source | None = None
        self._heard_s = 0.0
        self.dropped = 0
        self.damaged = 0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._heard_s = monotonic() + OPEN_TIMEOUT_S
        # No daemon: a thread that comes back from FFmpeg while Python ends aborts the process.
        self._thread = threading.Thread(target=self._run, name=f"capture {shown(self._address)}")
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._taken.set()
        if self._source is not None:
            self._source.interrupt()
        await asyncio.to_thread(self._thread.join, _STOP_WITHIN_S)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        while (frame := self._slot) is None:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            await self._wait()
        self._slot = None
        self._taken.set()
        return frame

    async def _wait(self) -> None:
        self._arrived.clear()
        if self._slot is not None or self._error is not None or self._ended:
            return
        silent_s = monotonic() - self._heard_s
        try:
            async with asyncio.timeout(max(STALLED_AFTER_S - silent_s, 0.01)):
                await self._arrived.wait()
        except TimeoutError:
            if not self._is_file and monotonic() - self._heard_s >= STALLED_AFTER_S:
                raise CameraStalled(
                    f"no frame from {shown(self._address)} for {STALLED_AFTER_S:.0f} s",
                    hint="check the camera's power, cable and load",
                ) from None

    # All below runs in the capture thread.

    def _run(self) -> None:
        try:
            self._source = open_source(self._address)
        except DeviceError as error:
            self._error = error
            self._wake()
            return
        try:
            if not self._stopping.is_set():
                self._read(self._source)
        except DeviceError as error:
            self._error = error
        finally:
            self._source.close()
            self._ended = True
            self._wake()

    def _read(self, source: Source) -> None:
        started_at, started_s, first_s = utc_now(), monotonic(), None
        good_s = started_s
        for shot in self._shots.of(source):
            self._heard_s = monotonic()
            first_s = shot.at_s if first_s is None else first_s
            if self._stopping.is_set():
                return
            if shot.is_damaged:
                self._note_damage(self._heard_s - good_s)
            if shot.picture is None:
                continue
            good_s = self._heard_s
            if not self._is_file:
                self._offer(Frame(shot.picture, shot.at_s, utc_now(), shot.problem))
                continue
            passed_s = shot.at_s - first_s
            self._stopping.wait(max(started_s + passed_s - monotonic(), 0))
            moment = started_at + timedelta(seconds=passed_s)
            self._offer(Frame(shot.picture, shot.at_s, moment, shot.problem))
            while self._slot is not None and not self._stopping.is_set():
                self._taken.wait(0.5)
                self._taken.clear()

    def _note_damage(self, lasts_s: float) -> None:
        self.damaged += 1
        if lasts_s >= STALLED_AFTER_S and not self._is_file:
            raise CameraStalled(
                f"no frame from {shown(self._address)} could be read for {STALLED_AFTER_S:.0f} s",
                hint="its pictures arrive damaged: check the network, or choose MJPEG or H.264 in the camera",
            )

    def _offer(self, frame: Frame) -> None:
        if self._slot is not None:
            self.dropped += 1
        self._slot = frame
        self._wake()

    def _wake(self) -> None:
        if not self._stopping.is_set():
            self._loop.call_soon_threadsafe(self._arrived.set)
