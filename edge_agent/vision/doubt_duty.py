"""Doubts a camera before which things move for an hour and in which nobody is ever found."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from edge_agent.readings import DeviceNoted, Reading
from edge_agent.vision.capture import Frame
from edge_agent.vision.people import Seen

_log = logging.getLogger(__name__)

NOTE = "pictures move, nobody was ever found: is it mounted straight down? see docs/cameras.md"
DOUBTED_AFTER_S = 3600.0
"""Moving pictures for so long, still ones left out."""
_LONGEST_STEP_S = 1.0
"""The motion gate lets a still picture through every 2 s: looks so far apart are no motion."""


class DoubtDuty:
    """A `Duty` for cameras with a motion gate: a note once, taken back when somebody is found.

    Each connection begins anew.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._moved_s = 0.0
        self._last: Seen | None = None
        self._is_over = self._doubts = self._is_noted = False

    @property
    def trouble(self) -> None:
        """See `Duty`: a doubt is none."""

    def check(self, frame: Frame) -> None:
        """See `Duty`."""

    async def readings(self, seen: Seen) -> Sequence[Reading]:
        """See `Duty`."""
        if self._is_over:
            return ()
        if any(track.confirmed for track in seen.tracks):
            self._is_over = True
            return [DeviceNoted(self._device, None)]  # the note may be that of an earlier connection
        self._moved_s += self._moving_s(seen)
        self._last = seen
        if self._is_noted or self._moved_s < DOUBTED_AFTER_S:
            return ()
        if not self._doubts:
            _log.warning("%s: %s", self._device, NOTE)
        self._doubts = self._is_noted = True
        return [DeviceNoted(self._device, NOTE)]

    def pause(self) -> Sequence[Reading]:
        """See `Duty`. What has ended the watch takes the note away, so it is made again afterwards."""
        self._last, self._is_noted = None, False
        return ()

    def _moving_s(self, seen: Seen) -> float:
        last = self._last
        if last is None or last.skipped or seen.skipped:
            return 0.0
        step_s = seen.frame.at_s - last.frame.at_s
        return step_s if 0 < step_s <= _LONGEST_STEP_S else 0.0
