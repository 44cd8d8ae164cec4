"""Family `nanodet`: a score for each class and each edge's distance as a distribution over whole strides."""

from __future__ import annotations

import numpy as np

from edge_agent.config.cameras import Normalisation, VisionModel
from edge_agent.vision.families.picture import Boxes, Floats, Picture, Shades, boxes_of, fit
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
_NORMAL = Normalisation(
    mean=(103.53, 116.28, 123.675), sd=(57.375, 57.12, 58.395), channels="bgr"
)  # RangiLyu/nanodet, config/legacy_v0.x_configs/nanodet-g.yml


class NanoDet:
    """One output [1, cells, classes + 4 * bins] at strides 8, 16, 32; a black margin.

    RangiLyu/nanodet, nanodet/model/head/gfl_head.py: cell centres at (index + 0.5) * stride, distance =
    the mean of the distribution.
    """

    def __init__(self, session: Session, family: Family, chosen: VisionModel) -> None:
        self._session = session
        self._size = input_size(session, family, chosen, usual=_SIDE)
        self._shades = Shades(chosen.normalisation or _NORMAL)
        outputs = try_empty(session, self._size, family)
        wanted = f"one output [1, {cells(self._size)}, classes + 4 * bins], scores between 0 and 1"
        if len(outputs) != 1 or outputs[0].ndim != 3 or outputs[0].shape[1] != cells(self._size):
            raise wrong(family, outputs, wanted)
        channels = outputs[0].shape[2]
        self._classes = 80 if channels > 80 else 1
        if (channels - self._classes) % 4 or channels - self._classes < 8:
            raise wrong(family, outputs, wanted)
        if not are_shares(outputs[0][..., : self._classes]):
            raise wrong(family, outputs, wanted)
        self._person = person_class(chosen, self._classes)
        self._bins = np.arange((channels - self._classes) // 4, dtype=np.float32)

    def candidates(self, picture: Picture, lowest_score: float) -> Boxes:
        """See `Decoder`."""
        fitted, scale = fit(picture, self._size, grey=0)
        output = run(self._session, self._shades.tensor(fitted))[0][0]
        score = output[:, self._person]
        kept = np.flatnonzero(score >= lowest_score)
        centre_x, centre_y, stride = (grid(*fitted.shape[:2])[kept] + (0.5, 0.5, 0)).T
        left, top, right, bottom = (self._distances(output[kept, self._classes :]) * stride).astype(
            np.float32
        )
        x, y = centre_x * stride, centre_y * stride
        edges = (x - left, y - top, x + right, y + bottom)
        return boxes_of([edge / scale for edge in edges], score[kept])

    def _distances(self, logits: Floats) -> Floats:
        powers = np.exp(logits.reshape(-1, 4, self._bins.size))
        shares = powers / powers.sum(axis=2, keepdims=True)
        distances: Floats = (shares @ self._bins).T
        return distances
