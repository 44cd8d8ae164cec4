"""What a shelf camera would see with so many items in every place: pure pictures, without a clock.

Every place is seen from straight ahead, as if the picture were put together from cameras before each: so
nothing of what stands in a place shows outside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray

from device_sims.grain import Grain
from device_sims.place_picture import PlacePicture
from device_sims.rack import paint_rack
from device_sims.shelf_layout import Spot, lay_out
from device_sims.shelf_view import FINE, hang

Pixels = NDArray[np.uint8]
Corner = tuple[int, int]


class ShelfScene:
    """A rack's front; the same seed, time and counts give the same bytes. Not for two threads at once."""

    def __init__(self, seed: int, spots: Sequence[Spot], size: tuple[int, int] = (1280, 720)) -> None:
        """ValueError without spots, or when a facing has two."""
        layout = lay_out(seed, spots)
        front, self._warp = hang(layout, size, Random(f"{seed}/camera"))
        self._empty = paint_rack(layout, front, seed)
        self._places = {place.spot.facing: PlacePicture(place, front, self._empty) for place in layout.places}
        self._size = size
        self._light = _light(size, Random(f"{seed}/light"))
        self._grain = Grain(seed, size=size)
        self._still: tuple[tuple[int, ...], Pixels] | None = None

    def polygon(self, facing: str) -> list[Corner]:
        """The corners of a facing's place in pixels, clockwise from the top left. KeyError if it has none."""
        corners = np.array([(x, y, 1.0) for x, y in self._places[facing].corners]) @ self._warp.T
        pixels = np.round(corners[:, :2] / corners[:, 2:] / FINE).astype(int)
        return [(int(x), int(y)) for x, y in pixels]

    def render(self, t_s: float, counts: Mapping[str, int]) -> Pixels:
        """The BGR picture (height, width, 3) at `t_s` with `counts` items of each facing.

        A facing that is not named is empty; what is beyond the capacity is not shown.
        """
        shown = tuple(place.shown(counts.get(facing, 0)) for facing, place in self._places.items())
        if self._still is None or self._still[0] != shown:
            self._still = (shown, self._develop(shown))
        return self._grain.add(self._still[1], t_s)

    def _develop(self, shown: Sequence[int]) -> Pixels:
        """The picture without noise."""
        import cv2

        canvas = self._empty.copy()
        for place, count in zip(self._places.values(), shown, strict=True):
            canvas[place.rows, place.columns] = place.with_items(count)
        width, height = self._size
        fine = cv2.warpPerspective(
            canvas, self._warp, (width * FINE, height * FINE), borderMode=cv2.BORDER_REPLICATE
        )
        picture = np.asarray(cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA))
        return np.asarray(np.clip(picture * self._light, 0, 255), np.uint8)


def _light(size: tuple[int, int], random: Random) -> NDArray[np.float32]:
    """How much light each pixel gets (h, w, 1): brighter on one side, darker in the corners."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width - 0.5, y / height - 0.5
    side = random.uniform(-0.16, 0.16)
    return np.asarray(1.05 + side * x - 0.10 * y - 0.34 * np.hypot(x, y) ** 2, np.float32)[:, :, None]
