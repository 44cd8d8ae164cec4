"""One facing's place on a rack with so many items in it, seen straight from the front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from device_sims.figure import Sprite, blend
from device_sims.package import draw_package
from device_sims.rack import overhead_light
from device_sims.shelf_layout import BOARD_DEPTH_MM, Item, Place
from device_sims.shelf_view import FINE, Front

Pixels = NDArray[np.uint8]

_SINE_STEP = 0.04
"""Packages are drawn for views this far apart."""
_TURN_RAD = 0.3


class PlacePicture:
    """Draws a place on the front's canvas; `rows` and `columns` say where there, `empty` is how it looks."""

    def __init__(self, place: Place, front: Front, rack: Pixels) -> None:
        self._place, self._front = place, front
        self.rows, self.columns = (
            slice(*(round(front.y(z)) for z in (place.floor_mm + place.clear_mm, place.floor_mm))),
            slice(*(round(front.x(x)) for x in (place.spot.x_mm, place.spot.x_mm + place.spot.width_mm))),
        )
        self._empty = rack[self.rows, self.columns]
        self._light = overhead_light(len(self._empty))
        self._packages: dict[tuple[float, float, int], Sprite] = {}
        self._drawn: tuple[int, Pixels] | None = None

    @property
    def corners(self) -> list[tuple[float, float]]:
        """Its corners on the canvas, clockwise from the top left."""
        rows, columns = self.rows, self.columns
        return [
            (columns.start, rows.start),
            (columns.stop, rows.start),
            (columns.stop, rows.stop),
            (columns.start, rows.stop),
        ]

    def shown(self, count: int) -> int:
        """How many of `count` items there is room for."""
        return min(max(count, 0), len(self._place.items))

    def with_items(self, count: int) -> Pixels:
        """The place with `count` items. Not to be written to."""
        if self._drawn is None or self._drawn[0] != count:
            self._drawn = (count, self._draw(self._place.items[:count]))
        return self._drawn[1]

    def _draw(self, items: Sequence[Item]) -> Pixels:
        picture = np.round(self._empty * (1 - self._shade(items)[:, :, None])).astype(np.uint8)
        for item in sorted(items, key=lambda item: (-item.row, item.lift_mm)):
            sprite = self._posed(item)
            if sprite is not None:
                blend(picture, sprite)
        return picture

    def _shade(self, items: Sequence[Item]) -> NDArray[np.float32]:
        """What the items take from the light on the board (h, w), nothing at the sides of the place."""
        import cv2

        shade = np.zeros(self._empty.shape[:2], np.float32)
        for item in items:
            if item.lift_mm == 0:
                x, y, scale = self._stand(item)
                across = self._place.look.width_mm * self._place.size * scale * 0.54
                along = max(across * self._sine_down(item), 2.0)
                cv2.ellipse(shade, (round(x), round(y)), (round(across), round(along)), 0, 0, 360, 0.75, -1)
        shade = np.asarray(cv2.GaussianBlur(shade, (0, 0), 4 * FINE), np.float32)
        column = np.arange(self._empty.shape[1])
        sides = np.clip(np.minimum(column, column[::-1]) / (10 * FINE), 0, 1)
        return np.asarray(shade * sides, np.float32)

    def _stand(self, item: Item) -> tuple[float, float, float]:
        """Where in the place the middle of an item's foot is, and its pixels for each millimetre."""
        front, look, spot = self._front, self._place.look, self._place.spot
        depth = item.depth_mm + (look.depth_mm * self._place.size / 2 if look.is_round else 0.0)
        near, middle = front.nearness(depth), spot.x_mm + spot.width_mm / 2
        x = front.x(middle + (item.x_mm - middle) * near)
        y = front.y(front.seen_at(self._place.floor_mm + item.lift_mm, depth))
        return x - self.columns.start, y - self.rows.start, front.px_per_mm * near

    def _sine_down(self, item: Item) -> float:
        """Sine of the angle at which one looks down upon an item's middle."""
        height, away = self._front.eye_mm
        middle = self._place.floor_mm + item.lift_mm + self._place.look.height_mm * self._place.size / 2
        sine = (height - middle) / np.hypot(height - middle, away + item.depth_mm)
        return round(round(float(sine) / _SINE_STEP) * _SINE_STEP, 2)

    def _posed(self, item: Item) -> Sprite | None:
        """The item's package where it stands, lit, cut to the place; None when nothing of it is seen."""
        x, y, scale = self._stand(item)
        whole = self._package(round(scale * self._place.size, 2), self._sine_down(item), item.turn)
        left, top = round(x) + whole.left, round(y) + whole.top
        height, width = self._empty.shape[:2]
        rows = slice(max(-top, 0), min(height - top, len(whole.colour)))
        columns = slice(max(-left, 0), min(width - left, whole.colour.shape[1]))
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return None
        deep = item.tone * (1.06 - 0.58 * min(item.depth_mm / BOARD_DEPTH_MM, 1.0) ** 0.8)
        light = deep * self._light[rows.start + top : rows.stop + top, None, None]
        cover = np.ascontiguousarray(whole.cover[rows, columns])
        colour = np.minimum(np.round(whole.colour[rows, columns] * light), cover).astype(np.uint8)
        return Sprite(max(left, 0), max(top, 0), colour, cover)

    def _package(self, px_per_mm: float, sine_down: float, turn: int) -> Sprite:
        key = (px_per_mm, sine_down, turn)
        if key not in self._packages:
            self._packages[key] = draw_package(
                self._place.look, px_per_mm, sine_down=sine_down, turn=(turn - 1) * _TURN_RAD
            )
        return self._packages[key]
