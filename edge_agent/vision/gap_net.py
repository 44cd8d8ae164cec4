"""Finds empty places on a shelf in one picture with the packed gap net."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.contract.errors import AssetsMissing, ModelError
from edge_agent.vision.detect import merge_overlapping
from edge_agent.vision.families import Boxes, Picture
from edge_agent.vision.model import FOLDER, Session, opened, unusable

Floats = npt.NDArray[np.float32]

PACKED = FOLDER / "gap-net.onnx"
LOWEST_SCORE = 0.05
_LONG_SIDE = 416
_MULTIPLE, _STRIDE = 32, 4
_CHANNELS = 6  # centre, log distances to left, top, right, bottom in strides, mask
_MARGIN = (114, 114, 114)
_MOST_BOXES = 100
_SAME_GAP_IOU = 0.4
_LARGEST_LOG = 7.0


@dataclass(frozen=True, slots=True)
class GapView:
    """Where a picture shows empty shelf.

    `mask` float32 [rows, columns] covers exactly the picture: the probability, 0..1, that a cell belongs
    to an empty place. `boxes` float32 [n, 5]: left, top, right, bottom in pixels of the picture, within it,
    and the score 0..1; best first, overlapping ones merged.
    """

    mask: Floats
    boxes: Boxes


class GapNet:
    """The loaded net. Not for two threads at once."""

    def __init__(self, path: Path = PACKED) -> None:
        """AssetsMissing when `path` is not there; ModelError when it is not a gap net."""
        import cv2

        cv2.setNumThreads(1)
        if not path.is_file():
            raise AssetsMissing(
                f"the gap net {path.name} is not there", hint="make gap-net, or install again"
            )
        self._session = opened(path)
        _check(self._session, path)

    def look(self, picture: Picture) -> GapView:
        """The empty places of a BGR picture [h, w, 3] of any size."""
        height, width = picture.shape[:2]
        fitted, scale = _fit(picture)
        cells = self._cells(fitted)
        rows, columns = (max(1, -(-round(side * scale) // _STRIDE)) for side in (height, width))
        cells = cells[:, :rows, :columns]
        return GapView(mask=_share(cells[5]), boxes=_boxes(cells, scale, (width, height)))

    def _cells(self, fitted: Picture) -> Floats:
        tensor = np.ascontiguousarray(fitted.transpose(2, 0, 1)[None], np.float32)
        output: Floats = self._session.run(None, {self._session.get_inputs()[0].name: tensor})[0][0]
        return output


def _check(session: Session, path: Path) -> None:
    wrong = ModelError(
        f"model {path.name} is not a gap net",
        hint="use the packed gap-net.onnx or one made by models/train_gap_net.py",
    )
    inputs: list[Any] = session.get_inputs()
    if len(inputs) != 1:
        raise wrong
    blank = np.zeros((1, 3, 2 * _MULTIPLE, 3 * _MULTIPLE), np.float32)
    try:
        outputs = session.run(None, {inputs[0].name: blank})
    except unusable() as error:
        raise wrong from error
    if outputs[0].shape != (1, _CHANNELS, 2 * _MULTIPLE // _STRIDE, 3 * _MULTIPLE // _STRIDE):
        raise wrong


def _fit(picture: Picture) -> tuple[Picture, float]:
    """The picture with its long side at `_LONG_SIDE`, on a grey margin up to the next multiple of 32."""
    import cv2

    height, width = picture.shape[:2]
    scale = _LONG_SIDE / max(height, width)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted = cv2.resize(picture, inner, interpolation=how)
    below, beside = (-side % _MULTIPLE for side in (inner[1], inner[0]))
    framed = cv2.copyMakeBorder(fitted, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=_MARGIN)
    return np.asarray(framed, np.uint8), scale


def _share(logits: Floats) -> Floats:
    shares: Floats = (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)
    return shares


def _boxes(cells: Floats, scale: float, size: tuple[int, int]) -> Boxes:
    """The boxes of the cells whose centre score is highest among their eight neighbours."""
    import cv2

    centre = _share(cells[0])
    highest = cv2.dilate(centre, np.ones((3, 3), np.uint8))
    rows, columns = np.nonzero((centre >= highest) & (centre >= LOWEST_SCORE))
    best = np.argsort(-centre[rows, columns], kind="stable")[:_MOST_BOXES]
    rows, columns = rows[best], columns[best]
    left, top, right, bottom = np.exp(np.clip(cells[1:5, rows, columns], -4, _LARGEST_LOG)) * _STRIDE
    x, y = (columns + 0.5) * _STRIDE, (rows + 0.5) * _STRIDE
    edges = np.stack([x - left, y - top, x + right, y + bottom, centre[rows, columns]], axis=1)
    edges[:, :4] = np.clip(edges[:, :4] / scale, 0, np.array([*size, *size], np.float32))
    solid = (edges[:, 2] - edges[:, 0] >= 1) & (edges[:, 3] - edges[:, 1] >= 1)
    return merge_overlapping(edges[solid].astype(np.float32), _SAME_GAP_IOU)
