"""Turns a BGR picture into a model's input: its size, its shades, its order of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.config.cameras import Normalisation

Picture = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]
"""[n, 5]: left, top, right, bottom in pixels of the picture, score of being a person."""
Floats = npt.NDArray[np.float32]

COARSEST_STRIDE = 32
_SHADES = np.arange(256, dtype=np.float32)
_CHANNELS = {"bgr": (0, 1, 2), "rgb": (2, 1, 0)}

SHADES = Normalisation(mean=(0, 0, 0), sd=(1, 1, 1), channels="bgr")
UNIT_RGB = Normalisation(mean=(0, 0, 0), sd=(255, 255, 255), channels="rgb")
IMAGENET_RGB = Normalisation(
    mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
    sd=(0.229 * 255, 0.224 * 255, 0.225 * 255),
    channels="rgb",
)


@dataclass(frozen=True, slots=True)
class Size:
    """Largest height and width of a model's input; `is_free` when smaller ones work too."""

    height: int
    width: int
    is_free: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """As the input wants it."""
        return (1, 3, self.height, self.width)


class Shades:
    """Looks the shades of each channel up in a table: twice as fast as arithmetic."""

    def __init__(self, normal: Normalisation) -> None:
        self._channels = _CHANNELS[normal.channels]
        self._tables: Sequence[Floats] = [
            ((_SHADES - mean) / sd).astype(np.float32)
            for mean, sd in zip(normal.mean, normal.sd, strict=True)
        ]

    def tensor(self, picture: Picture) -> Floats:
        """[1, 3, height, width] of a BGR picture."""
        import cv2

        tensor = np.empty((1, 3, *picture.shape[:2]), np.float32)
        for plane, channel, table in zip(tensor[0], self._channels, self._tables, strict=True):
            cv2.LUT(cv2.extractChannel(picture, channel), table, plane)
        return tensor


def fit(picture: Picture, size: Size, *, grey: int) -> tuple[Picture, float]:
    """Shrink the picture into `size` without stretching it, at the top left of a `grey` margin.

    Returns it with its scale. With a free size the margin ends at the next multiple of the coarsest
    stride: an empty margin costs time for nothing.
    """
    import cv2

    height, width = size.height, size.width
    scale = min(height / picture.shape[0], width / picture.shape[1])
    inner = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    if size.is_free:
        width, height = (-(-side // COARSEST_STRIDE) * COARSEST_STRIDE for side in inner)
    fitted = cv2.resize(picture, inner, interpolation=cv2.INTER_LINEAR)
    margins = (0, height - inner[1], 0, width - inner[0])
    framed = cv2.copyMakeBorder(fitted, *margins, cv2.BORDER_CONSTANT, value=(grey, grey, grey))
    return np.asarray(framed, np.uint8), scale


def stretch(picture: Picture, size: Size) -> Picture:
    """The picture in exactly `size`."""
    import cv2

    stretched = cv2.resize(picture, (size.width, size.height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(stretched, np.uint8)


def boxes_of(edges: Sequence[Any], score: Any) -> Boxes:
    """Boxes from arrays of left, top, right, bottom and of scores."""
    return np.stack([*edges, score], axis=1).astype(np.float32)


def around_centres(centres: Floats) -> Sequence[Floats]:
    """Left, top, right, bottom of boxes given as centre x, centre y, width, height [n, 4]."""
    x, y, width, height = centres.T
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
