"""Family `d-fine`, as RT-DETR and DEIM too: a DETR with its post-processing inside, or without it."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_agent.config.cameras import VisionModel
from edge_agent.vision.families.logits import are_boxes_and_logits, people_of
from edge_agent.vision.families.picture import UNIT_RGB, Boxes, Picture, Shades, boxes_of, stretch
from edge_agent.vision.families.trial import are_shares, person_class, size_of, try_out, wrong
from edge_agent.vision.model import Family, Session

_SIDE = 640
_NUMBERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32}
_WANTED = (
    "labels [1, n], boxes [1, n, 4] and scores [1, n] for a picture and its size, "
    "or logits [1, n, classes], then pred_boxes [1, n, 4] from 0 to 1"
)


class DFine:
    """RGB from 0 to 1, the picture stretched. Two exports are known by their inputs.

    * Inputs `images` and `orig_target_sizes` [1, 2], width then height; outputs `labels` [1, n], `boxes`
      [1, n, 4], left, top, right, bottom in that size, `scores` [1, n]. Peterande/D-FINE,
      tools/deployment/export_onnx.py and tools/inference/onnx_inf.py; the same in lyuwenyu/RT-DETR.
    * One input; outputs `logits` [1, n, classes] and `pred_boxes` [1, n, 4], centre x, centre y, width,
      height from 0 to 1: DFineForObjectDetection of Hugging Face's transformers.
    """

    def __init__(self, session: Session, family: Family, chosen: VisionModel) -> None:
        self._session = session
        self._shades = Shades(chosen.normalisation or UNIT_RGB)
        inputs = session.get_inputs()
        picture = next((given for given in inputs if len(given.shape) == 4), inputs[0])
        self._size = size_of(picture.shape, family, chosen, usual=_SIDE)
        self._picture_name = picture.name
        self._sizes = [given for given in inputs if given is not picture]
        empty = np.zeros((self._size.height, self._size.width, 3), np.uint8)
        outputs = try_out(session, self._feed(empty), family)
        if not (_is_final(outputs) if self._sizes else _is_raw(outputs)):
            raise wrong(family, outputs, _WANTED)
        self._person = chosen.person_class or 0
        if not self._sizes:
            self._person = person_class(chosen, outputs[0].shape[2])

    def candidates(self, picture: Picture, lowest_score: float) -> Boxes:
        """See `Decoder`."""
        outputs = self._session.run(None, self._feed(picture))
        if self._sizes:
            labels, boxes, scores = _by_kind(outputs)
            kept = (scores[0] >= lowest_score) & (labels[0] == self._person)
            return boxes_of(boxes[0, kept].T, scores[0, kept])
        logits, shares = outputs
        height, width = picture.shape[:2]
        person = logits[0, :, self._person]
        return people_of(shares[0], person, width=width, height=height, lowest_score=lowest_score)

    def _feed(self, picture: Picture) -> dict[str, Any]:
        height, width = picture.shape[:2]
        feed: dict[str, Any] = {self._picture_name: self._shades.tensor(stretch(picture, self._size))}
        for given in self._sizes:
            feed[given.name] = np.array([[width, height]], _NUMBERS.get(given.type, np.int64))
        return feed


def _by_kind(outputs: list[Any]) -> tuple[Any, Any, Any]:
    """Labels, boxes and scores, in whatever order the model gives them."""
    boxes = next(output for output in outputs if output.ndim == 3)
    labels = next(output for output in outputs if output.dtype.kind == "i")
    scores = next(output for output in outputs if output.ndim == 2 and output.dtype.kind == "f")
    return labels, boxes, scores


def _is_final(outputs: list[Any]) -> bool:
    kinds = sorted((output.ndim, output.dtype.kind) for output in outputs)
    if kinds != [(2, "f"), (2, "i"), (3, "f")]:
        return False
    labels, boxes, scores = _by_kind(outputs)
    return labels.shape == scores.shape == boxes.shape[:2] and boxes.shape[2] == 4 and are_shares(scores)


def _is_raw(outputs: list[Any]) -> bool:
    return len(outputs) == 2 and are_boxes_and_logits(outputs[1], outputs[0])
