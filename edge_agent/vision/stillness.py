"""Whether a shelf can be seen: nobody before it for some seconds, nothing that moves in it."""

from __future__ import annotations

from collections import deque

import numpy as np

from edge_agent.vision.families import Boxes, Picture
from edge_agent.vision.families.picture import Floats
from edge_agent.vision.shelf import Shelf

CLEAR_FOR_S = 3.0
"""Eocortex waits so long too before it looks at a shelf."""
_PERSON_SCORE = 0.3
_LEAST_LOOKS = 2
_APART_S = 0.5
_LONGEST_APART_S = 2.5
_CLOCK_SLACK_S = 0.05
_THUMB_SIDE = 160
_STEP, _MOVING_SHARE = 12.0, 0.01
"""So many grey levels, in so large a share of the slots, are more than noise."""
_DARK, _FLAT = 10.0, 6.0
"""Mean brightness and its spread below which a picture shows nothing, of 255."""


class Stillness:
    """Follows the looked-at frames of one connection to a camera; times are capture times in seconds."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._since_s: float | None = None
        self._looks = 0
        self._thumbs: deque[tuple[float, Floats]] = deque(maxlen=32)

    def why_not(self, picture: Picture, boxes: Boxes, at_s: float) -> str | None:
        """Take in one frame and its people: why the shelf cannot be judged by it, or None."""
        thumb = self._thumb(picture)
        if self._thumbs and at_s - self._thumbs[-1][0] > _LONGEST_APART_S:
            self._since_s = None
        earlier = self._earlier(at_s)
        self._thumbs.append((at_s, thumb))
        if self._is_hidden(boxes):
            self._since_s = None
            return "people stand before the shelf"
        if self._since_s is None:
            self._since_s, self._looks = at_s, 0
        self._looks += 1
        if at_s - self._since_s < CLEAR_FOR_S - _CLOCK_SLACK_S or self._looks < _LEAST_LOOKS:
            return "people stand before the shelf"
        if float(thumb.mean()) < _DARK or float(thumb.std()) < _FLAT:
            return "it is too dark to see the shelf, or the lens is covered"
        if earlier is None or _moving_share(earlier, thumb) > _MOVING_SHARE:
            return "something moves before the shelf"
        return None

    def _thumb(self, picture: Picture) -> Floats:
        import cv2

        area = self._shelf.area.of(picture)
        scale = min(1.0, _THUMB_SIDE / max(area.shape[:2]))
        small = cv2.resize(area, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.float32)

    def _earlier(self, at_s: float) -> Floats | None:
        """The newest thumb that is old enough to show a slow hand, and young enough for the same light."""
        fit = [thumb for then_s, thumb in self._thumbs if _APART_S <= at_s - then_s <= _LONGEST_APART_S]
        return fit[-1] if fit else None

    def _is_hidden(self, boxes: Boxes) -> bool:
        area, sure = self._shelf.area, boxes[boxes[:, 4] >= _PERSON_SCORE]
        return bool(
            (
                (sure[:, 0] < area.right)
                & (sure[:, 2] > area.left)
                & (sure[:, 1] < area.bottom)
                & (sure[:, 3] > area.top)
            ).any()
        )


def _moving_share(earlier: Floats, thumb: Floats) -> float:
    """Share of pixels that changed by more than all together did."""
    change = thumb - earlier
    return float((np.abs(change - np.median(change)) > _STEP).mean())
