"""Says which frames are worth the detector: those in which something moves, and one every few seconds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_agent.vision.families import Picture

_WIDTH, _BLOCK = 320, 4
_SHADES = 12.0
"""So much the middle of a block's differences must change; noise and compression change less."""
_OPEN_FOR_S, _ALWAYS_EVERY_S = 2.0, 2.0
_REFERENCE_S = 1.0

_Grey = npt.NDArray[np.float32]


class MotionGate:
    """Compares small grey pictures block by block, so that a distant person opens it, and with a reference of
    about a second ago, so that a slow one does. A change of light of the whole picture is taken out."""

    def __init__(self) -> None:
        self._reference: _Grey | None = None
        self._reference_s = 0.0
        self._looked_s = -np.inf
        self._open_until_s = -np.inf

    def is_open(self, picture: Picture, at_s: float, *, people: int) -> bool:
        """Whether to look at the picture. `people` is how many are followed: they keep it open, since whoever
        stands still must not be lost."""
        if self._moved(picture, at_s) or people:
            self._open_until_s = at_s + _OPEN_FOR_S
        if at_s > self._open_until_s and at_s - self._looked_s < _ALWAYS_EVERY_S:
            return False
        self._looked_s = at_s
        return True

    def _moved(self, picture: Picture, at_s: float) -> bool:
        small = _small(picture)
        before, age_s = self._reference, at_s - self._reference_s
        if before is None or before.shape != small.shape or not 0 <= age_s < _REFERENCE_S:
            self._reference, self._reference_s = small, at_s
        if before is None or before.shape != small.shape:
            return True
        change = small - before
        return bool(np.abs(change - np.median(change)).max() >= _SHADES)


def _small(picture: Picture) -> _Grey:
    """Mean shades of 80 blocks a row, as high as they are wide."""
    import cv2

    columns = _WIDTH // _BLOCK
    rows = max(1, round(picture.shape[0] * columns / picture.shape[1]))
    # Single pixels are enough for a mean, and all of them would cost more than all the rest.
    points = cv2.resize(picture, (_WIDTH, rows * _BLOCK), interpolation=cv2.INTER_NEAREST)
    grey = cv2.cvtColor(points, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
