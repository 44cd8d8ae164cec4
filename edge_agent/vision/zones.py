"""Who is in a zone, since when, and for how long they stayed: foot points against polygons, no pictures.

Nothing here knows pictures or clocks of its own; times are seconds on the clock of the frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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

    Going out and in at the border is one visit: the border is as wide as `_BORDER_SHARE` says.
    """

    def __init__(self, polygon: Sequence[Corner]) -> None:
        self._polygon = polygon
        self._inside: dict[int, Visit] = {}

    @property
    def occupancy(self) -> int:
        """People in it now."""
        return len(self._inside)

    def update(self, tracks: Sequence[Track], at_s: float) -> list[Visit]:
        """Take the tracks seen in one frame; returns the visits that ended with it."""
        left = [self._inside.pop(t.id) for t in tracks if t.id in self._inside and not self._holds(t)]
        for track in tracks:
            if track.confirmed and self._holds(track):
                began_s = self._inside[track.id].from_s if track.id in self._inside else at_s
                self._inside[track.id] = Visit(track.id, began_s, at_s)
        gone = [v for v in self._inside.values() if at_s - v.to_s > _GONE_AFTER_S]
        for visit in gone:
            del self._inside[visit.track]
        return left + gone

    def _holds(self, track: Track) -> bool:
        left, top, right, bottom = track.box
        depth = depth_in(self._polygon, ((left + right) / 2, bottom))
        border = _BORDER_SHARE * (bottom - top)
        return depth > -border if track.id in self._inside else depth > border


def depth_in(polygon: Sequence[Corner], point: tuple[float, float]) -> float:
    """Pixels from the polygon's border: positive inside, negative outside."""
    import cv2
    import numpy as np

    return float(cv2.pointPolygonTest(np.array(polygon, np.float32), point, measureDist=True))
