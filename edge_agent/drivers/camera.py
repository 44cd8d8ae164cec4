"""A camera: its frames, the people in them, and what its duties make of both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from edge_agent.config.cameras import Camera
from edge_agent.contract.errors import ConfigError
from edge_agent.readings import DeviceAnswered, DeviceDegraded, Emit, Reading
from edge_agent.service import metrics
from edge_agent.vision.capture import Capture
from edge_agent.vision.duty import Duty
from edge_agent.vision.frame_size import FrameSize
from edge_agent.vision.line_duty import LineDuty
from edge_agent.vision.motion import MotionGate
from edge_agent.vision.people import People
from edge_agent.vision.source import shown

_log = logging.getLogger(__name__)


class CameraDriver:
    """Implements `Driver` for one camera.

    While its pictures tell nothing (see `PictureHealth`) the device is degraded, and nothing is watched.
    When a video file ends, the device is degraded, with that reason, and stays so: it is never
    replayed unasked. Besides `DeviceError`, `run` raises ConfigError when there is nothing that this
    camera could do, and ModelError or AssetsMissing when its detector cannot be used.
    """

    def __init__(self, settings: Camera) -> None:
        self._settings = settings

    async def run(self, emit: Emit) -> None:
        """See `Driver`."""
        settings, device = self._settings, self._settings.id
        duties = _duties(settings)
        people = await People.with_model(settings.model, _gate(settings))
        answered, problem, dropped, damaged = False, None, 0, 0
        async with _capture(settings) as frames:
            async for frame in frames:
                metrics.frames_dropped.labels(device).inc(frames.dropped - dropped)
                metrics.frames_damaged.labels(device).inc(frames.damaged - damaged)
                dropped, damaged = frames.dropped, frames.damaged
                if frame.problem != problem:
                    problem = frame.problem
                    await emit([DeviceDegraded(device, problem) if problem else DeviceAnswered(device)])
                if problem:
                    continue
                readings: list[Reading] = []
                if not answered:
                    for duty in duties:
                        duty.check(frame)
                    _log.info("%s: frames come from %s", device, shown(settings.source))
                    readings.append(DeviceAnswered(device))
                    answered = True
                seen = await people.look(frame)
                metrics.looks_skipped.labels(device).inc(seen.skipped)
                for duty in duties:
                    readings += await duty.readings(seen)
                if readings:
                    await emit(readings)
        _log.info("%s: the video %s has ended", device, shown(settings.source))
        await emit([DeviceDegraded(device, "the video file has ended")])
        await asyncio.Event().wait()


def _capture(settings: Camera) -> Capture:
    return Capture(
        settings.source,
        per_s=settings.frames_per_s,
        masks=settings.masks,
        frozen_after_s=settings.frozen_after_s,
        size=FrameSize(*settings.drawn_on) if settings.drawn_on else None,
    )


def _gate(settings: Camera) -> MotionGate | None:
    return MotionGate() if settings.footfall is not None and settings.footfall.motion_gate else None


def _duties(settings: Camera) -> Sequence[Duty]:
    if settings.shelf_gap is not None:
        raise ConfigError(
            f"{settings.id}: this version cannot watch shelves for gaps",
            hint="remove shelf_gap from the camera",
        )
    if settings.footfall is None:
        raise ConfigError(
            f"{settings.id}: this camera has nothing to do", hint="give it footfall with a line"
        )
    return [LineDuty(settings.id, settings.footfall.lines)]
