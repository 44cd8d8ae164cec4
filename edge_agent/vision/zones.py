"""Who is in a zone, since when, and for how long they stayed: foot points against polygons, no pictures.

Nothing here knows pictures or clocks of its own; times are seconds on the clock of the frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_agent.vision.track import Track

Corner = Sequence[float]
_BORDER_SHARE = 0.05
"""Whoever is nearer to the border than this share of the box's height stays where they were."""
_GONE_AFTER_S = 3.0
"""A track that is not seen for so long has left. Longer than the tracker keeps a lost one."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One person was in the zone from `from_s` to `to_s`."""

    track: int
    from_s: float
    to_s: float

    @property
    def dwell_s(self) -> float:
        """How long they stayed."""
        return self.to_s - self.from_s


class Zone:
    """One polygon of one camera, corners in pixels. Only confirmed tracks are in it.

    Going out and in at the border is one visit: the border is as wide as `_BORDER_SHARE` says. `person_s`
    grows by the time that people were in it, also by that of visits which have not ended.
    """

    def __init__(self, polygon: Sequence[Corner]) -> None:
        self._polygon = np.array(polygon, np.float32)
        self._inside: dict[int, Visit] = {}
        self.person_s = 0.0

    @property
    def occupancy(self) -> int:
        """People in it now."""
        return len(self._inside)

    def update(self, tracks: Sequence[Track], at_s: float) -> list[Visit]:
        """Take the tracks seen in one frame; returns the visits that ended with it."""
        ended = [visit for visit in self._inside.values() if at_s - visit.to_s > _GONE_AFTER_S]
        for visit in ended:
            del self._inside[visit.track]
        for track in tracks:
            if track.confirmed and self._holds(track):
                self._stay(track.id, at_s)
            elif track.id in self._inside:
                ended.append(self._inside.pop(track.id))
        return ended

    def close(self) -> list[Visit]:
        """Nobody looks any more: everybody's visit ended when they were last seen."""
        ended, self._inside = list(self._inside.values()), {}
        return ended

    def _stay(self, track: int, at_s: float) -> None:
        before = self._inside.get(track, Visit(track, at_s, at_s))
        self.person_s += at_s - before.to_s
        self._inside[track] = Visit(track, before.from_s, at_s)

    def _holds(self, track: Track) -> bool:
        left, top, right, bottom = track.box
        depth = depth_in(self._polygon, ((left + right) / 2, bottom))
        border = _BORDER_SHARE * (bottom - top)
        return depth > -border if track.id in self._inside else depth > border


def depth_in(polygon: npt.NDArray[np.float32], point: tuple[float, float]) -> float:
    """Pixels from the border of the polygon [n, 2]: positive inside, negative outside."""
    import cv2

    return float(cv2.pointPolygonTest(polygon, point, measureDist=True))
