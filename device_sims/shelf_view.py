"""Where the fronts of a rack's boards appear in the picture of a shelf camera."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from device_sims.shelf_layout import Layout

Floats = NDArray[np.float64]

FINE = 2
"""Everything is painted this many times larger and averaged down."""
EYE_AWAY_MM = 1900.0
EYE_HEIGHT = 0.8
"""Share of the rack's height."""
FILLS = 0.93
"""Share of the picture that the rack fills, across or upright."""
_SLACK = 1.12


@dataclass(frozen=True, slots=True)
class Front:
    """The plane of the boards' fronts as a picture: millimetres to pixels. The eye looks from in front of it.

    `eye_mm` is how high and how far in front of the boards it is.
    """

    left_mm: float
    top_mm: float
    px_per_mm: float
    width_px: int
    height_px: int
    eye_mm: tuple[float, float]

    def x(self, x_mm: float) -> float:
        """Pixels from the left."""
        return (x_mm - self.left_mm) * self.px_per_mm

    def y(self, z_mm: float) -> float:
        """Pixels from the top of what is `z_mm` high."""
        return (self.top_mm - z_mm) * self.px_per_mm

    def nearness(self, depth_mm: float) -> float:
        """How large something `depth_mm` behind the fronts looks, 1 at the fronts."""
        return self.eye_mm[1] / (self.eye_mm[1] + depth_mm)

    def seen_at(self, z_mm: float, depth_mm: float) -> float:
        """The height in the plane of the fronts at which something behind it is seen."""
        return self.eye_mm[0] + (z_mm - self.eye_mm[0]) * self.nearness(depth_mm)


def hang(layout: Layout, size: tuple[int, int], random: Random) -> tuple[Front, Floats]:
    """The fronts as a large picture, and the 3x3 homography from it to the camera's, FINE times `size`.

    Every camera hangs a little askew, each a little differently.
    """
    import cv2

    width, height = size[0] * FINE, size[1] * FINE
    left, top, right, bottom = layout.outline_mm
    scale = FILLS * min(width / (right - left), height / (top - bottom))
    front = Front(
        left_mm=(left + right - width * _SLACK / scale) / 2,
        top_mm=(top + bottom + height * _SLACK / scale) / 2,
        px_per_mm=scale,
        width_px=round(width * _SLACK),
        height_px=round(height * _SLACK),
        eye_mm=(bottom + EYE_HEIGHT * (top - bottom), EYE_AWAY_MM),
    )
    middle: Floats = np.array([width / 2, height / 2])
    straight: Floats = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * middle
    lean, yaw = random.uniform(0.012, 0.02), random.uniform(-0.008, 0.008)
    roll = random.uniform(-0.004, 0.004)
    seen = straight * (1 + np.sign(straight[:, ::-1]) * (-lean, yaw))
    seen = seen @ np.array([[1.0, roll], [-roll, 1.0]]) + middle
    from_front = straight + middle * _SLACK
    warp = cv2.getPerspectiveTransform(from_front.astype(np.float32), seen.astype(np.float32))
    return front, np.asarray(warp, np.float64)
