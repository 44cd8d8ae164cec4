"""Families `yolov8`, `yolov9` and `yolo11`: boxes in pixels of the input, no objectness.

Ultralytics' own weights are under AGPL-3.0. They are never shipped with this product; what is used is
the operator's choice.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from edge_agent.config.cameras import VisionModel
from edge_agent.vision.families.picture import (
    UNIT_RGB,
    Boxes,
    Floats,
    Picture,
    Shades,
    Size,
    around_centres,
    boxes_of,
    fit,
)
from edge_agent.vision.families.trial import (
    are_shares,
    cells,
    input_size,
    person_class,
    run,
    try_empty,
    wrong,
)
from edge_agent.vision.model import Family, Session

_SIDE = 640
_GREY = 114
_LAYOUTS = "one output [1, 4 + classes, n], [1, n, 4 + classes] or, end to end, [1, n, 6]"

_Layout = Literal["columns", "rows", "final"]


class Yolo:
    """RGB from 0 to 1, a grey margin. Three exports are known by their shapes.

    * [1, 4 + classes, n]: centre x, centre y, width, height, then a score for each class; github.com/
      ultralytics/ultralytics issues 221 and 751. The same transposed: [1, n, 4 + classes].
    * [1, n, 6], without overlaps: left, top, right, bottom, score, class; docs.ultralytics.com/guides/
      end2end-detection, and what `export nms=True` writes.
    """

    def __init__(self, session: Session, family: Family, chosen: VisionModel) -> None:
        self._session = session
        self._size = input_size(session, family, chosen, usual=_SIDE)
        self._shades = Shades(chosen.normalisation or UNIT_RGB)
        outputs = try_empty(session, self._size, family)
        if len(outputs) != 1 or outputs[0].ndim != 3 or min(outputs[0].shape[1:]) < 5:
            raise wrong(family, outputs, _LAYOUTS)
        self._layout = _layout(outputs[0].shape, cells(self._size))
        if self._layout == "final":
            self._person = 0 if chosen.person_class is None else chosen.person_class
            fits = _is_final(outputs[0][0])
        else:
            columns = self._columns(outputs[0])
            self._person = 4 + person_class(chosen, columns.shape[0] - 4)
            fits = _are_columns(columns, self._size)
        if not fits:
            raise wrong(family, outputs, f"{_LAYOUTS}, boxes in pixels and scores between 0 and 1")

    def candidates(self, picture: Picture, lowest_score: float) -> Boxes:
        """See `Decoder`."""
        fitted, scale = fit(picture, self._size, grey=_GREY)
        output = run(self._session, self._shades.tensor(fitted))[0]
        if self._layout == "final":
            rows = output[0]
            rows = rows[(rows[:, 4] >= lowest_score) & (rows[:, 5] == self._person)]
            return boxes_of([edge / scale for edge in rows[:, :4].T], rows[:, 4])
        columns = self._columns(output)
        score = columns[self._person]
        kept = np.flatnonzero(score >= lowest_score)
        edges = around_centres(columns[:4, kept].T)
        return boxes_of([edge / scale for edge in edges], score[kept])

    def _columns(self, output: Floats) -> Floats:
        """[4 + classes, n] of either layout."""
        columns: Floats = output[0].T if self._layout == "rows" else output[0]
        return columns


def _layout(shape: tuple[int, ...], count: int) -> _Layout:
    """How an output is laid out for a picture with `count` cells; other heads have other counts."""
    first, second = shape[1:]
    if second == 6 and first != count:
        return "final"
    return "rows" if first == count or (second != count and first > second) else "columns"


def _are_columns(columns: Floats, size: Size) -> bool:
    """Whether the centres lie all over the picture, as cells do, and scores are shares."""
    spread_x, spread_y = np.ptp(columns[:2], axis=1)
    in_pixels = bool(spread_x > size.width / 2 and spread_y > size.height / 2)
    return in_pixels and bool(columns[2:4].min() > -1) and are_shares(columns[4:])


def _is_final(rows: Floats) -> bool:
    corners_in_order = bool((rows[:, 2:4] - rows[:, :2] > -1).all())
    return corners_in_order and are_shares(rows[:, 4]) and bool((rows[:, 5] == np.round(rows[:, 5])).all())
