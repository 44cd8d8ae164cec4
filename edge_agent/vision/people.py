"""Who is in the frames of one camera: detector, then tracker."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_agent.config.cameras import VisionModel
from edge_agent.vision.capture import Frame
from edge_agent.vision.detectors import IN_USE, SharedDetector
from edge_agent.vision.families import Boxes
from edge_agent.vision.inference import in_turn
from edge_agent.vision.motion import MotionGate
from edge_agent.vision.track import Track, Tracker

_NOBODY: Boxes = np.empty((0, 5), np.float32)


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame, the people that the detector found in it, and the tracks seen in it.

    `skipped`: nothing moved and nobody is followed, so the detector was not asked.
    """

    frame: Frame
    boxes: Boxes
    tracks: Sequence[Track]
    skipped: bool = False


class People:
    """Follows the people before one camera. Cameras with the same model share its detector."""

    def __init__(self, detector: SharedDetector, gate: MotionGate | None = None) -> None:
        self._detector, self._gate = detector, gate
        self._tracker = Tracker(detector.current.rules)

    @classmethod
    async def with_model(cls, chosen: VisionModel, gate: MotionGate | None = None) -> People:
        """With the detector of `chosen`, which is loaded once. Raises ModelError or AssetsMissing."""
        return cls(await in_turn(lambda: IN_USE.get(chosen)), gate)

    async def look(self, frame: Frame) -> Seen:
        """The people in the frame; the detector takes its turn in the inference thread."""
        if self._gate is not None:
            followed = self._tracker.following(frame.at_s)
            if not self._gate.is_open(frame.picture, frame.at_s, people=followed):
                return Seen(frame, _NOBODY, (), skipped=True)
        boxes = await in_turn(functools.partial(self._detector.current.people, frame.picture))
        return Seen(frame, boxes, self._tracker.update(boxes, frame.at_s))
