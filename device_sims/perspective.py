"""Where a point of the shop appears in the picture of a tilted pinhole camera.

World: metres, x to the right, y into the picture along the floor, z up; the camera stands above the origin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Perspective:
    """A camera `height_m` above the floor, looking `tilt_deg` below the horizon, lens `focal_px`."""

    width_px: int
    height_px: int
    focal_px: float
    height_m: float
    tilt_deg: float

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """World points (..., 3) to pixels (..., 2) and distances along the optical axis (...), in metres."""
        x, y, z = points[..., 0], points[..., 1], points[..., 2] - self.height_m
        cosine, sine = math.cos(math.radians(self.tilt_deg)), math.sin(math.radians(self.tilt_deg))
        distance = np.maximum(y * cosine - z * sine, 1e-3)
        down = -(y * sine + z * cosine)
        scale = self.focal_px / distance
        pixels = np.stack([self.width_px / 2 + x * scale, self.height_px / 2 + down * scale], axis=-1)
        return pixels, distance

    def pixel(self, x_m: float, y_m: float, z_m: float = 0.0) -> tuple[float, float]:
        """One world point in pixels."""
        pixels, _ = self.project(np.array([x_m, y_m, z_m]))
        return float(pixels[0]), float(pixels[1])

    def enlarged(self, factor: int) -> Perspective:
        """The same view on a canvas `factor` times as large, for drawing with soft edges."""
        return Perspective(
            self.width_px * factor,
            self.height_px * factor,
            self.focal_px * factor,
            self.height_m,
            self.tilt_deg,
        )

    @property
    def eye(self) -> Floats:
        """The camera's place in the world."""
        return np.array([0.0, 0.0, self.height_m])
