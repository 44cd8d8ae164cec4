"""Turns a scene's truth into what the net must answer in each cell, and measures how far off it is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from gap.graph import STRIDE
from gap.scene import Scene, bounds

Floats = npt.NDArray[np.float32]
_CORE = 0.25  # share of a gap's half width and half height whose cells answer with its box
_LARGEST_LOG = 7.0
_NEAR, _WORTH_OF_GAP = 0.1, 4.0


@dataclass(frozen=True, slots=True)
class Target:
    """One picture's cells: `centre`, `mask`, `taught` [h, w] in 0..1; `box` [4, h, w] distances in pixels;
    `boxed` and `worth` [h, w] the weights of the box and of the centre in each cell."""

    centre: Floats
    mask: Floats
    taught: Floats
    box: Floats
    boxed: Floats
    worth: Floats


def target(scene: Scene) -> Target:
    """Centre peaks (CenterNet's, an ellipse in the gap's proportions), distances, mask and where to learn."""
    rows, columns = (side // STRIDE for side in scene.picture.shape[:2])
    made = Target(
        *(np.zeros((rows, columns), np.float32) for _ in range(2)),
        np.ones((rows, columns), np.float32),
        np.zeros((4, rows, columns), np.float32),
        np.zeros((rows, columns), np.float32),
        np.ones((rows, columns), np.float32),
    )
    x, y = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    places = np.stack([x, y, x, y]).astype(np.float32) * STRIDE
    for corners in scene.ignored:
        _fill(made.taught, corners, 0)
    limits = np.array([columns, rows, columns, rows], np.float32) * STRIDE
    for corners, box in zip(scene.gaps, bounds(scene.gaps), strict=True):
        _fill(made.mask, corners, 1)
        _peak(made, places, np.clip(box, 0, limits))
    return made


def _fill(cells: Floats, corners: Floats, value: float) -> None:
    cv2.fillConvexPoly(cells, np.round(corners / STRIDE - 0.5).astype(np.int32), value)


def _peak(made: Target, places: Floats, box: Floats) -> None:
    left, top, right, bottom = box
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    half_x, half_y = max(STRIDE, (right - left) / 2), max(STRIDE, (bottom - top) / 2)
    away_x, away_y = np.abs(places[0] - middle_x) / half_x, np.abs(places[1] - middle_y) / half_y
    bump = np.exp(-(away_x**2 + away_y**2) / (2 * 0.3**2))
    column = min(made.centre.shape[1] - 1, int(middle_x / STRIDE))
    row = min(made.centre.shape[0] - 1, int(middle_y / STRIDE))
    bump[row, column] = 1
    np.maximum(made.centre, bump, out=made.centre)
    near = bump > _NEAR
    made.worth[near] = _WORTH_OF_GAP / max(1.0, float(bump[near].sum()))
    core = (np.maximum(away_x - STRIDE / 2 / half_x, away_y - STRIDE / 2 / half_y) < _CORE).nonzero()
    signs = np.array([1, 1, -1, -1], np.float32)[:, None]
    made.box[:, core[0], core[1]] = (places[:, core[0], core[1]] - box[:, None]) * signs
    made.boxed[core] = 1 / max(1, len(core[0]))


def loss(cells: Tensor, wanted: list[Target]) -> tuple[Tensor, dict[str, float]]:
    """What to make small: focal loss of centres, GIoU of boxes, cross entropy and Dice of the mask."""
    centre, mask, taught, box, boxed, worth = (
        torch.from_numpy(np.stack([getattr(one, name) for one in wanted]))
        for name in ("centre", "mask", "taught", "box", "boxed", "worth")
    )
    gaps = boxed.sum().clamp(min=1)
    parts = {
        "centre": _focal(cells[:, 0], centre, taught * worth) / gaps,
        "box": _boxes_off(cells[:, 1:5], box, boxed) / gaps,
        "mask": _mask_off(cells[:, 5], mask, taught),
    }
    whole = parts["centre"] + 2 * parts["box"] + 2 * parts["mask"]
    return whole, {name: float(part.detach()) for name, part in parts.items()}


def _focal(logits: Tensor, centre: Tensor, worth: Tensor) -> Tensor:
    """Quality focal loss (generalized focal loss, beta 2): the peak's height is the answer in every cell."""
    entropy = functional.binary_cross_entropy_with_logits(logits, centre, reduction="none")
    return ((torch.sigmoid(logits) - centre) ** 2 * entropy * worth).sum()


def _boxes_off(logits: Tensor, box: Tensor, boxed: Tensor) -> Tensor:
    """1 - GIoU of boxes that share their cell; distances are STRIDE * exp(logit)."""
    guess = STRIDE * torch.exp(logits.clamp(-4, _LARGEST_LOG))
    wanted = box.clamp(min=0.5)
    inner = torch.minimum(guess, wanted)
    outer = torch.maximum(guess, wanted)
    areas = [(side[:, 0] + side[:, 2]) * (side[:, 1] + side[:, 3]) for side in (guess, wanted, inner, outer)]
    union = areas[0] + areas[1] - areas[2]
    giou = areas[2] / union - (areas[3] - union) / areas[3]
    return ((1 - giou) * boxed).sum()


def _mask_off(logits: Tensor, mask: Tensor, taught: Tensor) -> Tensor:
    entropy = functional.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    share = torch.sigmoid(logits) * taught
    both = (share * mask).sum((1, 2))
    dice = 1 - (2 * both + 20) / (share.sum((1, 2)) + (mask * taught).sum((1, 2)) + 20)
    return 3 * (entropy * taught).mean() + 0.3 * dice.mean()
