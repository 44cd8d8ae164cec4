"""Brings a camera's frames from its own thread into asyncio: only the newest, or all of a file's."""

from __future__ import annotations

import asyncio
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
from edge_agent.vision.source import OPEN_TIMEOUT_S, Polygon, Source, frames, kind_of, open_source, shown

STALLED_AFTER_S = 5.0
_STOP_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture and when it was taken: in seconds on the source's own clock, and on the wall's."""

    picture: Picture
    at_s: float
    captured_at: datetime


class Capture:
    """`async with Capture(...) as frames: async for frame in frames`.

    A camera's newest frame wins: what the reader was too slow for is dropped and counted. A file plays
    at its own speed like a camera, but waits for the reader and drops nothing; the loop ends with it.
    Raises LinkLost when the source cannot be opened or hangs up, CameraStalled after STALLED_AFTER_S
    without a frame.
    """

    def __init__(self, source: str, *, per_s: float, masks: Sequence[Polygon] = ()) -> None:
        self._address = source
        self._is_file = kind_of(source) == "file"
        self._per_s = per_s
        self._masks = masks
        self._slot: Frame | None = None
        self._error: DeviceError | None = None
        self._ended = False
        self._stopping = threading.Event()
        self._taken = threading.Event()
        self._source: Source | None = None
        self._heard_s = 0.0
        self.dropped = 0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._heard_s = monotonic() + OPEN_TIMEOUT_S
        self._thread = threading.Thread(target=self._run, name=f"capture {shown(self._address)}", daemon=True)
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
            self._read(self._source)
        except DeviceError as error:
            self._error = error
        finally:
            self._source.close()
            self._ended = True
            self._wake()

    def _read(self, source: Source) -> None:
        started_at, started_s, first_s = utc_now(), monotonic(), None
        for at_s, picture in frames(source, per_s=self._per_s, masks=self._masks):
            self._heard_s = monotonic()
            first_s = at_s if first_s is None else first_s
            if self._stopping.is_set():
                return
            if picture is None:
                continue
            if not self._is_file:
                self._offer(Frame(picture, at_s, utc_now()))
                continue
            passed_s = at_s - first_s
            self._stopping.wait(max(started_s + passed_s - monotonic(), 0))
            self._offer(Frame(picture, at_s, started_at + timedelta(seconds=passed_s)))
            while self._slot is not None and not self._stopping.is_set():
                self._taken.wait(0.5)
                self._taken.clear()

    def _offer(self, frame: Frame) -> None:
        if self._slot is not None:
            self.dropped += 1
        self._slot = frame
        self._wake()

    def _wake(self) -> None:
        if not self._stopping.is_set():
            self._loop.call_soon_threadsafe(self._arrived.set)
