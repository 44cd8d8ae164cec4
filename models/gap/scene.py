"""A shelf picture with its truth: where it is empty, and where nobody can say."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Quads = npt.NDArray[np.float32]

NO_QUADS: Quads = np.zeros((0, 4, 2), np.float32)


@dataclass(frozen=True, slots=True)
class Scene:
    """`picture` BGR [h, w, 3]; `gaps` and `ignored` [n, 4, 2] are corners x, y in pixels, clockwise.

    An ignored place teaches nothing: head room over a gap, a facing pushed back, a gap behind a person.
    `stocked` are full facings, as far as they are known: nothing is learned from them, they are asked about.
    """

    picture: Picture
    gaps: Quads
    ignored: Quads
    stocked: Quads = field(default_factory=NO_QUADS.copy)


def quad(left: float, top: float, right: float, bottom: float) -> Quads:
    """The corners of a box, [4, 2]."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def quads(boxes: list[Quads]) -> Quads:
    """Corners of many boxes, [n, 4, 2]."""
    return np.stack(boxes) if boxes else NO_QUADS


def bounds(corners: Quads) -> npt.NDArray[np.float32]:
    """left, top, right, bottom around each of the quads, [n, 4]."""
    return np.concatenate([corners.min(1), corners.max(1)], 1).reshape(-1, 4)
