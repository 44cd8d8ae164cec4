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
from edge_agent.vision.people import People, Seen
from edge_agent.vision.source import shown
from edge_agent.vision.view import CameraView

_log = logging.getLogger(__name__)


class CameraDriver:
    """Implements `Driver` for one camera.

    While its pictures tell nothing (see `PictureHealth`) the device is degraded, and nothing is watched.
    When a video file ends, the device is degraded, with that reason, and stays so: it is never
    replayed unasked. Besides `DeviceError`, `run` raises ConfigError when there is nothing that this
    camera could do, and ModelError or AssetsMissing when its detector cannot be used. With a `view` it
    shows there what it sees, and need have nothing else to do: its lines may be drawn there.
    """

    def __init__(self, settings: Camera, view: CameraView | None = None) -> None:
        self._settings = settings
        self._view = view

    async def run(self, emit: Emit) -> None:
        """See `Driver`."""
        settings, device = self._settings, self._settings.id
        duties = _duties(settings)
        if not duties and self._view is None:
            raise ConfigError(f"{device}: this camera has nothing to do", hint="give it footfall with a line")
        people = await People.with_model(settings.model)
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
                readings += await self._readings(await people.look(frame), duties)
                if readings:
                    await emit(readings)
        _log.info("%s: the video %s has ended", device, shown(settings.source))
        await emit([DeviceDegraded(device, "the video file has ended")])
        await asyncio.Event().wait()

    async def _readings(self, seen: Seen, duties: Sequence[Duty]) -> list[Reading]:
        """What the duties make of it, shown too where somebody may look."""
        readings = [reading for duty in duties for reading in await duty.readings(seen)]
        if self._view is not None:
            self._view.show(seen, readings)
        if not duties:  # nothing else would say that the camera is there
            readings.append(DeviceAnswered(self._settings.id))
        return readings


def _capture(settings: Camera) -> Capture:
    return Capture(
        settings.source,
        per_s=settings.frames_per_s,
        masks=settings.masks,
        frozen_after_s=settings.frozen_after_s,
        size=FrameSize(*settings.drawn_on) if settings.drawn_on else None,
    )


def _duties(settings: Camera) -> Sequence[Duty]:
    if settings.shelf_gap is not None:
        raise ConfigError(
            f"{settings.id}: this version cannot watch shelves for gaps",
            hint="remove shelf_gap from the camera",
        )
    return [LineDuty(settings.id, settings.footfall.lines)] if settings.footfall is not None else []
