"""Keeps lines, masks and places right when a camera changes the size of its picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_agent.vision.families import Picture

SHAPE_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class FrameSize:
    """Width and height in pixels: what all that is drawn on the picture refers to."""

    width: int
    height: int

    @classmethod
    def of(cls, picture: Picture) -> FrameSize:
        """The size of a picture (height, width, 3)."""
        return cls(picture.shape[1], picture.shape[0])

    def has_shape_of(self, other: FrameSize) -> bool:
        """Whether both have the same ratio of width to height, within SHAPE_TOLERANCE."""
        ours, theirs = self.width * other.height, other.width * self.height
        return abs(ours - theirs) <= SHAPE_TOLERANCE * ours

    def fitted(self, picture: Picture) -> Picture:
        """The picture in this size. It has to have this shape, or people in it would be distorted."""
        if FrameSize.of(picture) == self:
            return picture
        import cv2

        shrinks = picture.shape[1] > self.width
        way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(picture, (self.width, self.height), interpolation=way), np.uint8)

    def blank(self) -> Picture:
        """A black picture of this size, for one that nobody may see."""
        return np.zeros((self.height, self.width, 3), np.uint8)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"
