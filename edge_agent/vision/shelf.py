"""One camera's slots: from a picture to the view of each, laid over the baseline."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_agent.contract.errors import ConfigError
from edge_agent.vision.families import Picture
from edge_agent.vision.shelf_area import ShelfArea, area_of
from edge_agent.vision.slot import Corners, Slot, shorter_side, slot_of

SHORTEST_SIDE_PX = 16
"""A slot that is narrower than this shows no product."""


_MOST_MASKED = 0.25


@dataclass(frozen=True, slots=True)
class Shelf:
    """The slots by facing in pixels of `area`; `geometry` is another one when anything of it was redrawn."""

    area: ShelfArea
    slots: Mapping[str, Slot]
    geometry: str
    size: tuple[int, int]

    def fits(self, photo: Picture, name: str) -> None:
        """ConfigError when the photo called `name` has another size than the pictures of the camera."""
        height, width = photo.shape[:2]
        if (width, height) != self.size:
            raise ConfigError(
                f"the baseline {name} has {width}x{height} pixels, the camera {self.size[0]}x{self.size[1]}",
                hint="take it with this camera, from the stream that the agent reads",
            )


def shelf_of(facings: Mapping[str, Corners], size: tuple[int, int], masks: Sequence[Corners] = ()) -> Shelf:
    """The slots in a picture of `size` (width, height) in which `masks` are black.

    ConfigError for a polygon that reaches beyond the picture, is too small to see anything in it, or lies
    mostly under a mask.
    """
    for facing, polygon in facings.items():
        _check(facing, polygon, size)
        _check_masks(facing, polygon, size, masks)
    area = area_of(facings.values(), size)
    slots = {facing: slot_of(area.inside(polygon)) for facing, polygon in facings.items()}
    places = sorted((name, [list(c) for c in polygon]) for name, polygon in facings.items())
    drawn = json.dumps([size, places, *([list(c) for c in mask] for mask in masks)])
    return Shelf(area, slots, hashlib.sha256(drawn.encode()).hexdigest()[:16], size)


def _check_masks(facing: str, polygon: Corners, size: tuple[int, int], masks: Sequence[Corners]) -> None:
    import cv2

    place, dark = (np.zeros((size[1], size[0]), np.uint8) for _ in range(2))
    cv2.fillPoly(place, [np.array(polygon, np.int32)], (1,))
    cv2.fillPoly(dark, [np.array(mask, np.int32) for mask in masks], (1,))
    if (place & dark).sum() > _MOST_MASKED * place.sum():
        raise ConfigError(
            f"the place of {facing} lies mostly under a mask", hint="move the mask, or leave the place out"
        )


def _check(facing: str, polygon: Corners, size: tuple[int, int]) -> None:
    width, height = size
    if not all(0 <= x <= width and 0 <= y <= height for x, y in polygon):
        raise ConfigError(
            f"the place of {facing} reaches beyond the picture of {width}x{height} pixels",
            hint="give its corners in pixels of the source's frame",
        )
    if (side := shorter_side(polygon)) < SHORTEST_SIDE_PX:
        raise ConfigError(
            f"the place of {facing} is only {side:.0f} pixels wide or high: nothing can be told of it",
            hint=f"use a larger picture or a camera that is nearer; {SHORTEST_SIDE_PX} pixels are the least",
        )
