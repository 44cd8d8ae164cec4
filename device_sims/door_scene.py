"""What the door camera would see at any time: pure pictures of walks, without a clock.

The counting line lies on the floor, left to right in the picture; who comes in from the street crosses it
downwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from device_sims.backdrop import AISLE_M, Occluder, paint_backdrop
from device_sims.figure import Sprite, blend, draw_figure, draw_shadow
from device_sims.perspective import Perspective
from device_sims.walk import LINE_Y_M, Walk

Pixels = NDArray[np.uint8]
Line = tuple[tuple[int, int], tuple[int, int]]

NOISE_SD = 3.0
GRAIN_FRAMES = 4


class DoorScene:
    """The entrance seen from 3 m up, tilted 30°; the same seed and time give the same bytes."""

    def __init__(self, seed: int, *, size: tuple[int, int] = (640, 480)) -> None:
        width, height = size
        self.view = Perspective(width, height, focal_px=0.66 * width, height_m=3.0, tilt_deg=30.0)
        self._seed = seed
        self._backdrop = paint_backdrop(self.view, seed)
        noise = np.random.default_rng(seed).normal(0, NOISE_SD, (GRAIN_FRAMES, height, width, 3))
        self._grain = np.round(noise).astype(np.int16)

    @property
    def line(self) -> Line:
        """The counting line in pixels, from left to right: whoever passes it downwards enters."""
        (x1, y1), (x2, y2) = (self.view.pixel(x, LINE_Y_M) for x in (-AISLE_M + 0.6, AISLE_M - 0.6))
        return (round(x1), round(y1)), (round(x2), round(y2))

    def render(self, t_s: float, walks: Sequence[Walk]) -> Pixels:
        """The BGR picture (height, width, 3) at `t_s` with all `walks` that are under way."""
        import cv2

        picture = self._backdrop.picture.copy()
        posed = [(walk, walk.corners(t_s)) for walk in walks if walk.under_way(t_s)]
        posed.sort(key=lambda item: -item[0].place(t_s)[1])
        for draw in (draw_shadow, draw_figure):
            for walk, corners in posed:
                sprite = draw(walk.body, corners, self.view)
                if sprite is not None:
                    self._lay(picture, sprite, walk.place(t_s)[1])
        return np.asarray(cv2.add(picture, self._noise(t_s), dtype=cv2.CV_8U), np.uint8)

    def _lay(self, picture: Pixels, sprite: Sprite, depth: float) -> None:
        """Lay a sprite at `depth`, then again what stands in front of it."""
        left, top, right, bottom = blend(picture, sprite)
        for occluder in self._backdrop.occluders:
            if occluder.y_m < depth:
                part = _cut(occluder, left, top, right, bottom)
                if part is not None:
                    blend(picture, part)

    def _noise(self, t_s: float) -> NDArray[np.int16]:
        frame = np.random.default_rng((self._seed, round(t_s * 1000)))
        grain = self._grain[frame.integers(GRAIN_FRAMES)]
        return np.roll(grain, int(frame.integers(grain.shape[0])), axis=0)


def _cut(occluder: Occluder, left: int, top: int, right: int, bottom: int) -> Sprite | None:
    whole = occluder.sprite
    height, width = whole.cover.shape[:2]
    left, top = max(left, whole.left), max(top, whole.top)
    right, bottom = min(right, whole.left + width), min(bottom, whole.top + height)
    if right <= left or bottom <= top:
        return None
    part = (slice(top - whole.top, bottom - whole.top), slice(left - whole.left, right - whole.left))
    return Sprite(left, top, whole.colour[part], whole.cover[part])
