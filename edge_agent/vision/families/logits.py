"""Reads what a DETR gives before its post-processing: boxes as shares, logits for each class."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edge_agent.vision.families.picture import Boxes, Floats, around_centres, boxes_of
from edge_agent.vision.families.trial import are_shares


def are_boxes_and_logits(boxes: Any, logits: Any) -> bool:
    """Whether these are boxes [1, n, 4] of 0 to 1 and logits [1, n, classes], negative where nothing is."""
    if boxes.ndim != 3 or logits.ndim != 3 or boxes.shape[2] != 4 or boxes.shape[1] != logits.shape[1]:
        return False
    return boxes.size > 0 and are_shares(boxes) and bool(logits.min() < 0)


def people_of(boxes: Floats, logits: Floats, *, width: int, height: int, lowest_score: float) -> Boxes:
    """Boxes in pixels of `boxes` [n, 4], centre and size from 0 to 1, whose logit [n] is high enough."""
    kept = np.flatnonzero(logits >= math.log(lowest_score / (1 - lowest_score)))
    edges = around_centres(boxes[kept] * np.array([width, height, width, height], np.float32))
    return boxes_of(edges, 1 / (1 + np.exp(-logits[kept])))
