"""The part of a camera's picture that holds its slots: all else of the picture is left alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edge_agent.vision.families import Picture
from edge_agent.vision.families.picture import Floats
from edge_agent.vision.slot import Corners

MARGIN = 0.08
"""Beside the slots: rails, frame and price tags, by which the picture is laid over the baseline."""
_DARKEST, _LIGHTEST = 2, 98
_LEAST_CONTRAST = 12.0


@dataclass(frozen=True, slots=True)
class ShelfArea:
    """A rectangle of the picture in whole pixels."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, picture: Picture) -> Picture:
        """The area [h, w, 3] of a BGR picture; not a copy."""
        return picture[self.top : self.bottom, self.left : self.right]

    def inside(self, polygon: Corners) -> list[tuple[float, float]]:
        """The polygon's corners as seen from the area's top left corner."""
        return [(x - self.left, y - self.top) for x, y in polygon]


def area_of(polygons: Iterable[Corners], size: tuple[int, int]) -> ShelfArea:
    """Around all polygons with a margin, inside a picture of `size` (width, height)."""
    points = np.array([corner for polygon in polygons for corner in polygon], np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = MARGIN * float((high - low).max()) + 4
    left, top = (int(max(0, low[i] - margin)) for i in (0, 1))
    right, bottom = (int(min(size[i], np.ceil(high[i] + margin))) for i in (0, 1))
    return ShelfArea(left, top, right, bottom)


def grey_of(picture: Picture) -> Floats:
    """Brightness [h, w], float32, in units of the picture's own contrast, so that dimmed light is the same.

    The contrast is that between the darkest and the lightest 2 %.
    """
    import cv2

    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.float32)
    dark, light = np.percentile(grey[::2, ::2], (_DARKEST, _LIGHTEST))
    return np.asarray((grey - dark) / max(float(light - dark), _LEAST_CONTRAST), np.float32)


def edges_of(grey: Floats) -> Floats:
    """How strong the edge at each pixel is (length of the Sobel gradient), float32 [h, w]."""
    import cv2

    smooth = cv2.GaussianBlur(grey, (3, 3), 0)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, dx, dy, scale=0.125) for dx, dy in ((1, 0), (0, 1)))
    return np.asarray(cv2.magnitude(across, down), np.float32)
