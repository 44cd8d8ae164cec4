"""Finds people in one picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.config.cameras import VisionModel
from edge_agent.contract.errors import ModelError
from edge_agent.vision.families import Boxes, Picture, decoder
from edge_agent.vision.model import load, unusable

LOWEST_SCORE = 0.1
_SAME_PERSON_IOU = 0.55


class Detector:
    """A loaded detector. Not for two threads at once. Raises ModelError or AssetsMissing when made."""

    def __init__(self, chosen: VisionModel) -> None:
        import cv2

        cv2.setNumThreads(1)  # a second thread costs more than it saves on pictures this small
        session, self.family = load(chosen)
        self._decoder = decoder(session, self.family, chosen)

    def people(self, picture: Picture) -> Boxes:
        """People in a BGR picture: [n, 5] with left, top, right, bottom in pixels, score; best first.

        ModelError when the model fails on a picture of this shape.
        """
        try:
            found = self._decoder.candidates(picture, LOWEST_SCORE)
        except unusable() as error:
            height, width = picture.shape[:2]
            raise ModelError(
                f"the model fails on a picture of {width}x{height}",
                hint="export it with a fixed input size, or set model.input_size",
            ) from error
        return merge_overlapping(found)


def merge_overlapping(boxes: Boxes, iou: float = _SAME_PERSON_IOU) -> Boxes:
    """Keep the best of each group of boxes that overlap by more than `iou` (greedy NMS); best first."""
    if not len(boxes):
        return boxes
    import cv2

    sized = boxes[:, :4].copy()
    sized[:, 2:] -= sized[:, :2]
    suppress: Any = cv2.dnn.NMSBoxes  # its stub knows lists only, it takes arrays too
    best_first: Boxes = boxes[np.asarray(suppress(sized, boxes[:, 4], 0.0, iou)).reshape(-1)]
    return best_first


def overlaps(a: Boxes, b: Boxes) -> npt.NDArray[np.float32]:
    """Intersection over union of every box of `a` [n, 4+] with every box of `b` [m, 4+]: [n, m]."""
    left, top, right, bottom = (a[:, None, i] for i in range(4))
    other_left, other_top, other_right, other_bottom = (b[None, :, i] for i in range(4))
    width = np.minimum(right, other_right) - np.maximum(left, other_left)
    height = np.minimum(bottom, other_bottom) - np.maximum(top, other_top)
    common = np.maximum(width, 0) * np.maximum(height, 0)
    area = (right - left) * (bottom - top)
    other_area = (other_right - other_left) * (other_bottom - other_top)
    shared: npt.NDArray[np.float32] = common / np.maximum(area + other_area - common, 1e-6)
    return shared
