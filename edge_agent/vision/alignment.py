"""How a picture lies over the baseline: shifted and turned a little, or from a camera that was moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_agent.vision.families.picture import Floats
from edge_agent.vision.slot import Matrix

LONGEST_SIDE = 320
"""Pictures are aligned by their edges at this size."""
MOST_SHIFT = 0.06
"""A camera that shows more than this share of the shelf elsewhere was moved."""
LEAST_LIKENESS = 0.25
"""Two edge pictures of one shelf correlate more, however differently it is filled."""
_STEPS, _PRECISION = 30, 1e-4
_BLUR = 5


@dataclass(frozen=True, slots=True)
class Alignment:
    """`lies` [3, 3] takes the picture's pixels to the baseline's; `shift` is a share of the longer side."""

    lies: Matrix
    likeness: float
    shift: float

    @property
    def moved(self) -> str | None:
        """Why the slots cannot be trusted any more; None when the camera looks where it looked."""
        if self.likeness < LEAST_LIKENESS:
            return "the camera has been moved or its view is blocked: the shelf is not where it was"
        if self.shift > MOST_SHIFT:
            return f"the camera has been moved: the shelf lies {self.shift:.0%} of the view elsewhere"
        return None


STRAIGHT = Alignment(np.eye(3), 1.0, 0.0)
"""As drawn: without a baseline nothing else is known."""


def shrunk(edges: Floats) -> Floats:
    """Edges [h, w] as they are kept and compared: at most LONGEST_SIDE pixels, blurred, so that pictures that
    are some pixels off still agree."""
    import cv2

    height, width = edges.shape
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    size = max(8, round(width * scale)), max(8, round(height * scale))
    small = cv2.resize(edges, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (_BLUR, _BLUR), 0), np.float32)


def align(baseline: Floats, current: Floats, size: tuple[int, int]) -> Alignment:
    """Lay `current` over `baseline`, both `shrunk` edges of one shape, of pictures of `size` (width, height).

    Phase correlation finds the shift (Kuglin, Hines 1975), ECC then shift and turn (Evangelidis, Psarakis
    2008).
    """
    import cv2

    everywhere = np.full(baseline.shape, 255, np.uint8)
    window = cv2.createHanningWindow(baseline.shape[::-1], cv2.CV_32F)
    (dx, dy), _ = cv2.phaseCorrelate(baseline, current, window)
    guess = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    if np.hypot(dx, dy) > 2 * MOST_SHIFT * max(baseline.shape):
        guess = np.eye(2, 3, dtype=np.float32)
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _STEPS, _PRECISION)
    try:
        likeness, found = cv2.findTransformECC(
            baseline, current, guess.copy(), cv2.MOTION_EUCLIDEAN, stop, everywhere, _BLUR
        )
    except cv2.error:  # it does not converge on pictures that have nothing in common
        return Alignment(np.eye(3), 0.0, 0.0)
    # ECC's matrix takes a pixel of the baseline to the current picture.
    back = np.linalg.inv(np.vstack([found, (0, 0, 1)]))
    middle = np.array([baseline.shape[1] / 2, baseline.shape[0] / 2, 1])
    shift = float(np.hypot(*(back @ middle - middle)[:2])) / max(baseline.shape)
    return Alignment(_enlarged(back, baseline.shape, size), float(likeness), shift)


def _enlarged(matrix: Matrix, shape: tuple[int, ...], size: tuple[int, int]) -> Matrix:
    """The same movement in pixels of the picture."""
    down = np.diag([shape[1] / size[0], shape[0] / size[1], 1])
    return np.linalg.inv(down) @ matrix @ down
