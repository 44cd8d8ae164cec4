"""A camera: its frames, the people in them, and what its duties make of both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from edge_agent.config.cameras import Camera, Footfall
from edge_agent.contract.errors import ConfigError, DeviceError
from edge_agent.readings import DeviceAnswered, DeviceDegraded, Emit, Reading
from edge_agent.service import metrics
from edge_agent.vision.capture import Capture, Frame
from edge_agent.vision.doubt_duty import DoubtDuty
from edge_agent.vision.duty import Duty
from edge_agent.vision.frame_size import FrameSize
from edge_agent.vision.line_duty import LineDuty
from edge_agent.vision.motion import MotionGate
from edge_agent.vision.people import People
from edge_agent.vision.source import shown
from edge_agent.vision.view import CameraView, Show
from edge_agent.vision.zone_duty import ZoneDuty

if TYPE_CHECKING:
    from edge_agent.vision.shelf_watch import ShelfWatch

_log = logging.getLogger(__name__)


class CameraDriver:
    """Implements `Driver` for one camera.

    While its pictures tell nothing (see `PictureHealth`) the device is degraded, and nothing is watched.
    When a video file ends, the device is degraded, with that reason, and stays so: it is never
    replayed unasked. `shelf` is what is known of the shelf that it watches, if it does. With a `view` it
    shows there what it sees, and need have nothing else to do: its lines may be drawn there. Besides
    `DeviceError`, `run` raises ConfigError when there is nothing that this camera could do, and
    ModelError or AssetsMissing when its models cannot be used.
    """

    def __init__(
        self, settings: Camera, shelf: ShelfWatch | None = None, view: CameraView | None = None
    ) -> None:
        self._settings, self._shelf = settings, shelf
        self._show = view.shower() if view is not None else None

    async def run(self, emit: Emit) -> None:
        """See `Driver`."""
        settings, device = self._settings, self._settings.id
        duties = _duties(settings, self._shelf)
        if not duties and self._show is None:
            raise ConfigError(
                f"{device}: this camera has nothing to do",
                hint="give it footfall with a line, a zone or a heat map, or shelf_gap",
            )
        watch = _Watch(device, await People.with_model(settings.model, _gate(settings)), duties, self._show)
        async with _capture(settings) as frames:
            losses = _Losses(device)
            try:
                async for frame in frames:
                    losses.count(frames)
                    if readings := await watch.readings(frame):
                        await emit(readings)
            except (DeviceError, asyncio.CancelledError):
                await emit(watch.pause())
                raise
        await emit(watch.pause())
        _log.info("%s: the video %s has ended", device, shown(settings.source))
        await emit([DeviceDegraded(device, "the video file has ended")])
        await asyncio.Event().wait()


class _Watch:
    """What one connection to a camera says, frame by frame."""

    def __init__(self, device: str, people: People, duties: Sequence[Duty], show: Show | None) -> None:
        self._device, self._people, self._duties, self._show = device, people, duties, show
        self._is_checked = False
        self._said: str | None = "nothing yet"

    async def readings(self, frame: Frame) -> list[Reading]:
        """What follows from the frame; of one with a problem only that, once."""
        said, self._said = self._said, frame.problem
        if frame.problem is not None:
            degraded = DeviceDegraded(self._device, frame.problem)
            return [*self.pause(), degraded] if frame.problem != said else []
        self._check(frame)
        # Without a duty nothing else would say that the camera is there.
        readings: list[Reading] = [DeviceAnswered(self._device)] if said or not self._duties else []
        seen = await self._people.look(frame)
        metrics.looks_skipped.labels(self._device).inc(seen.skipped)
        for duty in self._duties:
            readings += await duty.readings(seen)
        readings = [*readings, *self._troubles()] if readings else []
        if self._show is not None:
            self._show(seen, readings)
        return readings

    def _troubles(self) -> Sequence[Reading]:
        """Last, because any other reading says that all is well."""
        return [
            DeviceDegraded(self._device, duty.trouble) for duty in self._duties if duty.trouble is not None
        ]

    def pause(self) -> list[Reading]:
        """What the duties have left to say; nothing is watched until the next good frame."""
        return [reading for duty in self._duties for reading in duty.pause()]

    def _check(self, frame: Frame) -> None:
        if not self._is_checked:
            for duty in self._duties:
                duty.check(frame)
            _log.info("%s: frames come, of %s pixels", self._device, FrameSize.of(frame.picture))
            self._is_checked = True


class _Losses:
    """Into the metrics, what one connection has lost."""

    def __init__(self, device: str) -> None:
        self._device, self._dropped, self._damaged = device, 0, 0

    def count(self, frames: Capture) -> None:
        """Count what has been lost since the last time."""
        metrics.frames_dropped.labels(self._device).inc(frames.dropped - self._dropped)
        metrics.frames_damaged.labels(self._device).inc(frames.damaged - self._damaged)
        self._dropped, self._damaged = frames.dropped, frames.damaged


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


def _duties(settings: Camera, shelf: ShelfWatch | None) -> Sequence[Duty]:
    footfall, duties = settings.footfall, list[Duty]()
    if footfall is not None:
        duties += _floor_duties(settings.id, footfall)
    if shelf is not None:
        from edge_agent.vision.shelf_duty import ShelfDuty

        duties.append(ShelfDuty(settings.id, shelf))
    return duties


def _floor_duties(device: str, footfall: Footfall) -> Iterator[Duty]:
    if footfall.lines:
        yield LineDuty(device, footfall.lines)
    if footfall.zones or footfall.heat_map is not None:
        yield ZoneDuty(device, footfall.zones, footfall.heat_map)
    if footfall.motion_gate:
        yield DoubtDuty(device)
