"""The duty of a camera before a shelf: which of its facings have a gap."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence

import numpy as np

from edge_agent.contract.errors import ConfigError
from edge_agent.readings import DeviceAnswered, GapSeen, Reading
from edge_agent.vision.capture import Frame
from edge_agent.vision.gap_net import GapNet
from edge_agent.vision.inference import in_turn
from edge_agent.vision.people import Seen
from edge_agent.vision.photo import digest_of, read_photo
from edge_agent.vision.shelf import Shelf, shelf_of
from edge_agent.vision.shelf_watch import ShelfWatch
from edge_agent.vision.snapshot import baseline_of, batches, judge, laid_over, sight_of
from edge_agent.vision.stillness import Stillness

ALIVE_EVERY_S = 0.99
SOONER = 4
"""While a facing is in doubt, looks follow each other so many times faster."""
BLIND_AFTER = 10
"""So many looks in a row that were due and not possible are a trouble of the camera."""


class ShelfDuty:
    """A `Duty`: about once a second that the camera is there, and the votes after each clear look."""

    def __init__(self, device: str, watch: ShelfWatch) -> None:
        self._device, self._watch = device, watch
        self._alive_s: float | None = None
        self._looked_s: float | None = None
        self._began_s: float | None = None
        self._file_taken = False

    @property
    def trouble(self) -> str | None:
        """See `Duty`."""
        return self._watch.trouble

    def check(self, frame: Frame) -> None:
        """See `Duty`: places beyond the picture, or too small."""
        height, width = frame.picture.shape[:2]
        self._shelf = shelf_of(self._watch.settings.facings, (width, height), self._watch.masks)
        self._still = Stillness(self._shelf)
        self._watch.open(self._shelf)

    def pause(self) -> Sequence[Reading]:
        """See `Duty`: votes were told already."""
        return ()

    async def readings(self, seen: Seen) -> Sequence[Reading]:
        """See `Duty`."""
        frame = seen.frame
        why_not = self._still.why_not(frame.picture, seen.boxes, frame.at_s)
        readings: list[Reading] = [*self._alive(frame)]
        self._began_s = frame.at_s if self._began_s is None else self._began_s
        if not self._is_due(frame.at_s):
            return readings
        if why_not is None:
            self._looked_s = frame.at_s
            readings += await self._look(frame, self._shelf)
        elif frame.at_s - (self._looked_s or self._began_s) > BLIND_AFTER * self._watch.settings.every_s:
            self._watch.trouble = self._watch.trouble or f"the shelf cannot be judged: {why_not}"
        return readings

    def _alive(self, frame: Frame) -> Sequence[Reading]:
        if self._alive_s is not None and frame.at_s - self._alive_s < ALIVE_EVERY_S:
            return ()
        self._alive_s = frame.at_s
        return (DeviceAnswered(self._device),)

    def _is_due(self, at_s: float) -> bool:
        every_s = self._watch.settings.every_s / (SOONER if self._watch.is_unsure else 1)
        return self._looked_s is None or at_s - self._looked_s >= every_s

    async def _look(self, frame: Frame, shelf: Shelf) -> Sequence[GapSeen]:
        watch = self._watch
        net = await in_turn(_net)
        before = watch.baseline
        try:
            await self._take_file(net, shelf)
        except ConfigError as error:  # people are counted all the same
            watch.trouble = f"{error.message}; {error.hint}"
            return ()
        baseline = None if watch.begins_anew else watch.baseline
        sight = await in_turn(lambda: sight_of(net, shelf, frame.picture))
        snapshot = await in_turn(lambda: laid_over(baseline, sight))
        if snapshot.alignment.moved is None:
            for facings in batches(shelf):
                await in_turn(functools.partial(judge, snapshot, sight, shelf, baseline, facings))
        gaps = watch.saw(snapshot, shelf, frame.captured_at)
        if watch.baseline is not before:
            await asyncio.to_thread(watch.keep)
        return gaps

    async def _take_file(self, net: GapNet, shelf: Shelf) -> None:
        """The configured picture of the stocked shelf, unless the baseline already began with it."""
        path, watch = self._watch.settings.baseline, self._watch
        if path is None or self._file_taken:
            return
        import cv2

        photo, digest = await asyncio.to_thread(read_photo, path), await asyncio.to_thread(digest_of, path)
        if watch.baseline is None or watch.baseline.file != digest:
            shelf.fits(photo, path.name)
            cv2.fillPoly(photo, [np.array(mask, np.int32) for mask in watch.masks], (0, 0, 0))
            watch.baseline = await in_turn(lambda: baseline_of(net, shelf, photo, file=digest))
        self._file_taken = True


@functools.cache
def _net() -> GapNet:
    """One for all cameras: all inference is in one thread."""
    return GapNet()
