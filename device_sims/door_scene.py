"""What the door camera would see at any time: pure pictures of walks, without a clock.

The counting line lies on the floor, left to right in the picture; who comes in from the street crosses it
downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device_sims.backdrop import AISLE_M, Occluder, paint_backdrop
from device_sims.figure import Sprite, blend, draw_figure, draw_shadow
from device_sims.grain import Grain
from device_sims.perspective import Perspective
from device_sims.walk import LINE_Y_M, Walk

Pixels = NDArray[np.uint8]
Line = tuple[tuple[int, int], tuple[int, int]]
Posed = tuple[Walk, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Seen:
    """A visitor in the picture: `box` (left, top, right, bottom) holds what is seen, `share` of the body."""

    walk: Walk
    box: tuple[int, int, int, int]
    share: float


class DoorScene:
    """The entrance seen from 3 m up, tilted 30°; the same seed and time give the same bytes."""

    def __init__(self, seed: int, *, size: tuple[int, int] = (640, 480)) -> None:
        width, height = size
        self.view = Perspective(width, height, focal_px=0.66 * width, height_m=3.0, tilt_deg=30.0)
        self._backdrop = paint_backdrop(self.view, seed)
        self._grain = Grain(seed, size=size)

    @property
    def line(self) -> Line:
        """The counting line in pixels, from left to right: whoever passes it downwards enters."""
        (x1, y1), (x2, y2) = (self.view.pixel(x, LINE_Y_M) for x in (-AISLE_M + 0.6, AISLE_M - 0.6))
        return (round(x1), round(y1)), (round(x2), round(y2))

    def render(self, t_s: float, walks: Sequence[Walk]) -> Pixels:
        """The BGR picture (height, width, 3) at `t_s` with all `walks` that are under way."""
        picture = self._backdrop.picture.copy()
        for draw in (draw_shadow, draw_figure):
            for walk, corners in _posed(t_s, walks):
                sprite = draw(walk.body, corners, self.view)
                if sprite is not None:
                    self._lay(picture, sprite, walk.place(t_s)[1])
        return self._grain.add(picture, t_s)

    def seen(self, t_s: float, walks: Sequence[Walk]) -> list[Seen]:
        """Who is to be seen at `t_s`, farthest first: truth for a detector, and never in the stream."""
        found: list[tuple[Walk, NDArray[np.bool_], float]] = []
        for walk, corners in _posed(t_s, walks):
            sprite = draw_figure(walk.body, corners, self.view)
            if sprite is None:
                continue
            body = self._mask(sprite)
            for _, farther, _ in found:
                farther[body] = False
            whole = np.count_nonzero(body) / max(self._share_inside(corners), 1e-6)
            for occluder in self._backdrop.occluders:
                if occluder.y_m < walk.place(t_s)[1]:
                    body &= ~self._mask(occluder.sprite)
            found.append((walk, body, whole))
        return [
            Seen(walk, _box_around(body), float(np.count_nonzero(body) / whole))
            for walk, body, whole in found
            if body.any()
        ]

    def _mask(self, sprite: Sprite) -> NDArray[np.bool_]:
        """Where on the picture the sprite hides more than half of what is behind it."""
        mask = np.zeros((self.view.height_px, self.view.width_px), np.bool_)
        height, width = sprite.cover.shape[:2]
        mask[sprite.top : sprite.top + height, sprite.left : sprite.left + width] = (
            sprite.cover[:, :, 0] > 127
        )
        return mask

    def _share_inside(self, corners: NDArray[np.float64]) -> float:
        """How much of the box around a body lies in the picture, 0 to 1."""
        pixels, _ = self.view.project(corners)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        inside = np.clip(high, 0, (self.view.width_px, self.view.height_px)) - np.clip(low, 0, None)
        return float(np.prod(np.maximum(inside, 0)) / np.prod(high - low))

    def _lay(self, picture: Pixels, sprite: Sprite, depth: float) -> None:
        """Lay a sprite at `depth`, then again what stands in front of it."""
        left, top, right, bottom = blend(picture, sprite)
        for occluder in self._backdrop.occluders:
            if occluder.y_m < depth:
                part = _cut(occluder, left, top, right, bottom)
                if part is not None:
                    blend(picture, part)


def _posed(t_s: float, walks: Sequence[Walk]) -> list[Posed]:
    """Who is under way, with the body's corners, farthest first."""
    posed = [(walk, walk.corners(t_s)) for walk in walks if walk.under_way(t_s)]
    return sorted(posed, key=lambda item: -item[0].place(t_s)[1])


def _box_around(body: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _cut(occluder: Occluder, left: int, top: int, right: int, bottom: int) -> Sprite | None:
    whole = occluder.sprite
    height, width = whole.cover.shape[:2]
    left, top = max(left, whole.left), max(top, whole.top)
    right, bottom = min(right, whole.left + width), min(bottom, whole.top + height)
    if right <= left or bottom <= top:
        return None
    part = (slice(top - whole.top, bottom - whole.top), slice(left - whole.left, right - whole.left))
    return Sprite(left, top, whole.colour[part], whole.cover[part])
