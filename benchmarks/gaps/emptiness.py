"""Is this slot empty? One picture, no baseline: the net's mask, the few edges of a bare shelf, both."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.vision.gap_net import GapView

Floats = npt.NDArray[np.float64]
Boxes = npt.NDArray[np.float32]
FALSE_ALARMS = 0.05
_STEEP = 40.0


def mask_share(view: GapView, places: Boxes, size: tuple[int, int]) -> Floats:
    """Mean of the mask in each place; `size` is the picture's width and height."""
    rows, columns = view.mask.shape
    scale = np.array([columns / size[0], rows / size[1]] * 2)
    return np.array([_inside(view.mask, place * scale).mean() for place in places])


def bareness(picture: npt.NDArray[np.uint8], places: Boxes) -> Floats:
    """Minus the share of steep pixels in each place."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    steep = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)) > _STEEP
    return np.array([-_inside(steep, place).mean() for place in places])


def recall(empty: Floats, stocked: Floats) -> float:
    """Share of empty slots above the score that `FALSE_ALARMS` of the stocked ones exceed."""
    return float((empty > np.quantile(stocked, 1 - FALSE_ALARMS, method="higher")).mean())


def ranked(empty: Floats, stocked: Floats) -> tuple[Floats, Floats]:
    """Both as ranks 0..1 among all, so that unlike scores can be averaged."""
    everything = np.concatenate([empty, stocked])
    order = everything.argsort().argsort() / max(1, len(everything) - 1)
    return order[: len(empty)], order[len(empty) :]


def spread(empty: Floats, stocked: Floats, rounds: int = 1000) -> tuple[float, float]:
    """The 5 % and 95 % points of recall over slots drawn again with repeats."""
    random = np.random.default_rng(1)
    values = [
        recall(random.choice(empty, len(empty)), random.choice(stocked, len(stocked))) for _ in range(rounds)
    ]
    low, high = np.percentile(values, [5, 95])
    return float(low), float(high)


def _inside(cells: npt.NDArray[np.generic], place: Boxes) -> npt.NDArray[np.generic]:
    left, top = np.floor(place[:2]).astype(int)
    right, bottom = np.ceil(place[2:]).astype(int)
    top, left = min(max(0, top), cells.shape[0] - 1), min(max(0, left), cells.shape[1] - 1)
    return cells[top : max(top + 1, bottom), left : max(left + 1, right)]
