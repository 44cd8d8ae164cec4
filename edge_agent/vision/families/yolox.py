"""Family `yolox`: a raw head of centre offset, log size, objectness and class scores for each cell."""

from __future__ import annotations

import numpy as np

from edge_agent.config.cameras import VisionModel
from edge_agent.vision.families.picture import (
    SHADES,
    Boxes,
    Floats,
    Picture,
    Shades,
    around_centres,
    boxes_of,
    fit,
)
from edge_agent.vision.families.trial import (
    are_shares,
    cells,
    grid,
    input_size,
    person_class,
    run,
    try_empty,
    wrong,
)
from edge_agent.vision.model import Family, Session

_SIDE = 416
_GREY = 114
_LARGEST_LOG = 10.0
"""e^10 strides are 176,000 pixels: sizes in pixels are no logarithms."""


class Yolox:
    """One output [1, cells, 5 + classes] at strides 8, 16, 32; BGR from 0 to 255, a grey margin.

    Megvii-BaseDetection/YOLOX, tools/export_onnx.py without --decode_in_inference, and decode_outputs of
    yolox/models/yolo_head.py.
    """

    def __init__(self, session: Session, family: Family, chosen: VisionModel) -> None:
        self._session = session
        self._size = input_size(session, family, chosen, usual=_SIDE)
        self._shades = Shades(chosen.normalisation or SHADES)
        outputs = try_empty(session, self._size, family)
        count = cells(self._size)
        if (
            len(outputs) != 1
            or outputs[0].ndim != 3
            or outputs[0].shape[1] != count
            or outputs[0].shape[2] < 6
        ):
            raise wrong(family, outputs, f"one output [1, {count}, 5 + classes]")
        if not are_shares(outputs[0][..., 4:]) or outputs[0][..., 2:4].max() > _LARGEST_LOG:
            wanted = f"one output [1, {count}, 5 + classes] of raw offsets, and scores between 0 and 1"
            raise wrong(family, outputs, wanted)
        self._person = 5 + person_class(chosen, outputs[0].shape[2] - 5)

    def candidates(self, picture: Picture, lowest_score: float) -> Boxes:
        """See `Decoder`."""
        fitted, scale = fit(picture, self._size, grey=_GREY)
        output = run(self._session, self._shades.tensor(fitted))[0][0]
        score = output[:, 4] * output[:, self._person]
        kept = np.flatnonzero(score >= lowest_score)
        edges = around_centres(_centres(output[kept, :4], grid(*fitted.shape[:2])[kept]))
        return boxes_of([edge / scale for edge in edges], score[kept])


def _centres(raw: Floats, where: Floats) -> Floats:
    column, row, stride = where.T
    sizes = np.exp(np.minimum(raw[:, 2:4], _LARGEST_LOG)).T * stride
    return np.stack([(raw[:, 0] + column) * stride, (raw[:, 1] + row) * stride, *sizes], axis=1)
