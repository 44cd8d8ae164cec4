"""One facing's place in the picture of a camera, and its view from straight ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_agent.vision.families.picture import Floats

SIDE = 96
"""The longer side of an upright view: edges are measured at one scale, near or far."""
SHORTEST_SIDE = 12
_NATIVE_SIDE = 384
Matrix = npt.NDArray[np.float64]
Corners = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Slot:
    """Maps a polygon of the picture to an upright view of `width` x `height`.

    `to_view` is the homography from the picture's pixels to that of the enlarged view, which is shrunk to the
    final size; `inside` [height, width] is 1 where the polygon is.
    """

    to_view: Matrix
    native: tuple[int, int]
    width: int
    height: int
    inside: Floats

    def upright(self, grey: Floats, lies: Matrix) -> Floats:
        """The slot's view [height, width] of a single-channel picture.

        `lies` [3, 3] takes a pixel of `grey` to where the polygon's picture has it. Beyond the edges the last
        pixel is repeated.
        """
        import cv2

        whole = cv2.warpPerspective(
            grey,
            self.to_view @ lies,
            self.native,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if self.native == (self.width, self.height):
            return np.asarray(whole, np.float32)
        return np.asarray(
            cv2.resize(whole, (self.width, self.height), interpolation=cv2.INTER_AREA), np.float32
        )


def slot_of(polygon: Corners) -> Slot:
    """Four corners, in any order, are seen in perspective; any other polygon stays in its bounding box."""
    points = np.array(polygon, np.float64)
    corners = _quadrangle(points) if len(points) == 4 else None
    if corners is None:
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    wide, high = side_lengths(corners)
    scale = SIDE / max(wide, high)
    width, height = (max(SHORTEST_SIDE, round(side * scale)) for side in (wide, high))
    grow = min(_NATIVE_SIDE / SIDE, max(1.0, 1 / scale))
    native = round(width * grow), round(height * grow)
    matrix = _homography(corners, native)
    return Slot(matrix, native, width, height, _inside(points, matrix, native, (width, height)))


def side_lengths(corners: Matrix) -> tuple[float, float]:
    """Mean width and height of a quadrangle, clockwise from its top left corner, in pixels."""
    top, right, bottom, left = (np.linalg.norm(corners[(i + 1) % 4] - corners[i]) for i in range(4))
    return float(top + bottom) / 2, float(left + right) / 2


def shorter_side(polygon: Corners) -> float:
    """The narrower extent of a polygon in pixels."""
    points = np.array(polygon, np.float64)
    corners = _quadrangle(points) if len(points) == 4 else None
    return min(side_lengths(corners)) if corners is not None else float(np.ptp(points, axis=0).min())


def _quadrangle(points: Matrix) -> Matrix | None:
    """Clockwise from the top left; None for one that is not convex."""
    around = points - points.mean(axis=0)
    points = points[np.argsort(np.arctan2(around[:, 1], around[:, 0]))]
    points = np.roll(points, -int(np.argmin(points.sum(axis=1))), axis=0)
    along, after = np.roll(points, -1, axis=0) - points, np.roll(points, -2, axis=0) - np.roll(points, -1, 0)
    turns = along[:, 0] * after[:, 1] - along[:, 1] * after[:, 0]
    return points if (turns > 0).all() else None


def _homography(corners: Matrix, size: tuple[int, int]) -> Matrix:
    import cv2

    width, height = size
    upright = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - 0.5
    return np.asarray(cv2.getPerspectiveTransform(corners.astype(np.float32) - 0.5, upright), np.float64)


def _inside(points: Matrix, matrix: Matrix, native: tuple[int, int], size: tuple[int, int]) -> Floats:
    import cv2

    seen = np.concatenate([points - 0.5, np.ones((len(points), 1))], axis=1) @ matrix.T
    outline = np.round(seen[:, :2] / seen[:, 2:]).astype(np.int32)
    mask = np.zeros((native[1], native[0]), np.float32)
    cv2.fillPoly(mask, [outline], 1.0)
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.float32)
