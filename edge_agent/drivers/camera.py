"""A camera: its frames, the people in them, and what its duties make of both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_agent.config.cameras import Camera
from edge_agent.contract.errors import ConfigError
from edge_agent.readings import DeviceAnswered, DeviceDegraded, Emit, Reading
from edge_agent.service import metrics
from edge_agent.vision.capture import Capture
from edge_agent.vision.duty import Duty
from edge_agent.vision.line_duty import LineDuty
from edge_agent.vision.people import People
from edge_agent.vision.source import shown

if TYPE_CHECKING:
    from edge_agent.vision.shelf_watch import ShelfWatch

_log = logging.getLogger(__name__)


class CameraDriver:
    """Implements `Driver` for one camera.

    When a video file ends, the device is degraded, with that reason, and stays so: it is never
    replayed unasked. `shelf` is what is known of the shelf that it watches, if it does. Besides
    `DeviceError`, `run` raises ConfigError when there is nothing that this camera could do, and
    ModelError or AssetsMissing when its models cannot be used.
    """

    def __init__(self, settings: Camera, shelf: ShelfWatch | None = None) -> None:
        self._settings, self._shelf = settings, shelf

    async def run(self, emit: Emit) -> None:
        """See `Driver`."""
        settings, device = self._settings, self._settings.id
        duties = _duties(settings, self._shelf)
        people = await People.with_model(settings.model)
        answered, dropped = False, 0
        async with Capture(settings.source, per_s=settings.frames_per_s, masks=settings.masks) as frames:
            async for frame in frames:
                metrics.frames_dropped.labels(device).inc(frames.dropped - dropped)
                dropped = frames.dropped
                readings: list[Reading] = []
                if not answered:
                    for duty in duties:
                        duty.check(frame)
                    _log.info("%s: frames come from %s", device, shown(settings.source))
                    readings.append(DeviceAnswered(device))
                    answered = True
                seen = await people.look(frame)
                for duty in duties:
                    readings += await duty.readings(seen)
                if readings:
                    # Last, because any other reading says that all is well.
                    await emit([*readings, *_troubles(device, duties)])
        _log.info("%s: the video %s has ended", device, shown(settings.source))
        await emit([DeviceDegraded(device, "the video file has ended")])
        await asyncio.Event().wait()


def _duties(settings: Camera, shelf: ShelfWatch | None) -> Sequence[Duty]:
    duties: list[Duty] = []
    if settings.footfall is not None:
        duties.append(LineDuty(settings.id, settings.footfall.lines))
    if shelf is not None:
        from edge_agent.vision.shelf_duty import ShelfDuty

        duties.append(ShelfDuty(settings.id, shelf))
    if not duties:
        raise ConfigError(
            f"{settings.id}: this camera has nothing to do", hint="give it footfall with a line, or shelf_gap"
        )
    return duties


def _troubles(device: str, duties: Sequence[Duty]) -> Sequence[DeviceDegraded]:
    return [DeviceDegraded(device, duty.trouble) for duty in duties if duty.trouble is not None]
