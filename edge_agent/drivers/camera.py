"""A camera over a door: counts the people who cross its lines."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from edge_agent.config.cameras import Camera, CountingLine, Footfall, VisionModel
from edge_agent.contract.errors import ConfigError
from edge_agent.readings import (
    DeviceAnswered,
    DeviceDegraded,
    Emit,
    LineCrossing,
    LineWatched,
    Reading,
)
from edge_agent.service import metrics
from edge_agent.vision.capture import Capture, Frame
from edge_agent.vision.detect import Detector
from edge_agent.vision.footfall import LineCounter
from edge_agent.vision.source import shown
from edge_agent.vision.track import RULES, Tracker

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

# One thread does all inference: a second is slower on a busy machine. Each camera asks for one frame
# at a time and the queue is first in, first out, so every camera gets its fair share.
_INFERENCE = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
_WATCHED_EVERY_S = 0.99


class CameraDriver:
    """Implements `Driver` for one camera.

    When a video file ends, the device is degraded, with that reason, and stays so: it is never
    replayed unasked. Besides `DeviceError`, `run` raises ConfigError when there is nothing that this
    camera could do, and ModelError or AssetsMissing when its detector cannot be used.
    """

    def __init__(self, settings: Camera) -> None:
        self._settings = settings

    async def run(self, emit: Emit) -> None:
        """See `Driver`."""
        duty = _duty(self._settings)
        detector = await _in_turn(lambda: _detector(self._settings.model))
        tracker, counter = Tracker(RULES[detector.family]), LineCounter(duty.lines)
        source, device = self._settings.source, self._settings.id
        lines = tuple(line.id for line in duty.lines)
        watched_s: float | None = None
        dropped = 0
        async with Capture(source, per_s=duty.detections_per_s, masks=duty.masks) as frames:
            async for frame in frames:
                metrics.frames_dropped.labels(device).inc(frames.dropped - dropped)
                dropped = frames.dropped
                readings: list[Reading] = []
                if watched_s is None:
                    _check_lines(duty.lines, frame)
                    _log.info("%s: frames come from %s", device, shown(source))
                    readings.append(DeviceAnswered(device))
                boxes = await _in_turn(functools.partial(detector.people, frame.picture))
                crossings = counter.update(tracker.update(boxes, frame.at_s), frame.at_s)
                readings += [LineCrossing(device, c.line, c.direction, frame.captured_at) for c in crossings]
                if watched_s is None or frame.at_s - watched_s >= _WATCHED_EVERY_S:
                    watched_s = frame.at_s
                    readings.append(LineWatched(device, lines, frame.captured_at))
                if readings:
                    await emit(readings)
        _log.info("%s: the video %s has ended", device, shown(source))
        await emit([DeviceDegraded(device, "the video file has ended")])
        await asyncio.Event().wait()


def _duty(settings: Camera) -> Footfall:
    if settings.shelf_gap is not None:
        raise ConfigError(
            f"{settings.id}: this version cannot watch shelves for gaps",
            hint="remove shelf_gap from the camera",
        )
    if settings.footfall is None:
        raise ConfigError(
            f"{settings.id}: this camera has nothing to do", hint="give it footfall with a line"
        )
    return settings.footfall


def _check_lines(lines: Sequence[CountingLine], frame: Frame) -> None:
    height, width = frame.picture.shape[:2]
    for line in lines:
        if not any(0 <= x <= width and 0 <= y <= height for x, y in (line.start, line.end)):
            raise ConfigError(
                f"line {line.id} lies outside the picture of {width}x{height} pixels",
                hint="give from and to in pixels of the source's frame",
            )


async def _in_turn(work: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(_INFERENCE, work)


@functools.cache
def _detector(chosen: VisionModel) -> Detector:
    """Cameras with the same model share one; safe because all inference is in one thread."""
    return Detector(chosen)
