"""Known output families of detectors: how each wants its picture and what its numbers mean.

A family turns one BGR picture into candidate boxes, before overlapping ones are merged: float32
[n, 5] with left, top, right, bottom in pixels of the picture and the score of being a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edge_agent.contract.errors import ModelError
from edge_agent.vision.model import Family, Session, unusable

Picture = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float32]

_STRIDES = (8, 16, 32)
_SHADES = np.arange(256, dtype=np.float32)
_NANODET_NORMAL = ((103.53, 57.375), (116.28, 57.12), (123.675, 58.395))
_NANODET_TABLES = tuple((_SHADES - mean) / deviation for mean, deviation in _NANODET_NORMAL)
_SSD_TABLES = (_SHADES * (2 / 255) - 1,) * 3
_YOLOX_TABLES = (_SHADES,) * 3
_NAME_IT = "name the family that the model was exported from: ssd, nanodet or yolox"


class Decoder(Protocol):
    """One loaded detector of a family."""

    def candidates(self, picture: Picture, lowest_score: float) -> Boxes:
        """Boxes of people that score at least `lowest_score`."""
        ...


def decoder(session: Session, family: Family) -> Decoder:
    """A decoder of `family` for `session`. ModelError when the model's shapes are not those of the family."""
    kinds: dict[Family, type[Ssd | NanoDet | Yolox]] = {"ssd": Ssd, "nanodet": NanoDet, "yolox": Yolox}
    return kinds[family](session)


class Ssd:
    """Boxes as shares of the picture and a sigmoid score for each class; the picture is stretched."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._side = _square_side(session, "ssd")
        outputs = _try(session, (1, 3, self._side, self._side), "ssd")
        wanted = "boxes [1, n, 4] and scores [1, n, classes]"
        if len(outputs) != 2:
            raise _wrong("ssd", outputs, wanted)
        boxes, scores = outputs
        if boxes.ndim != 3 or scores.ndim != 3 or boxes.shape[2] != 4 or boxes.shape[1] != scores.shape[1]:
            raise _wrong("ssd", outputs, wanted)

    def candidates(self, picture: Picture, lowest_score: float) -> Boxes:
        """See `Decoder`. The first class is person."""
        boxes, scores = self._run(picture)
        person = scores[0, :, 0]
        kept = np.flatnonzero(person >= lowest_score)
        height, width = picture.shape[:2]
        top, left, bottom, right = boxes[0, kept].T
        return _boxes(left * width, top * height, right * width, bottom * height, person[kept])

    def _run(self, picture: Picture) -> list[Floats]:
        import cv2

        stretched = cv2.resize(picture, (self._side, self._side), interpolation=cv2.INTER_LINEAR)
        return _run(self._session, _tensor(stretched, _SSD_TABLES, channels=(2, 1, 0)))


class NanoDet:
    """A score for each class and each edge's distance as a distribution over whole strides.

    RangiLyu/nanodet: cell centres at (index + 0.5) * stride, distance = the mean of the distribution.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._height, self._width, self._free_size = _side_limits(session, "nanodet")
        self._grids: dict[tuple[int, int], Floats] = {}
        outputs = _try(session, (1, 3, self._height, self._width), "nanodet")
        cells = _grid(self._height, self._width).shape[0]
        if len(outputs) != 1 or outputs[0].ndim != 3 or outputs[0].shape[1] != cells:
            raise _wrong("nanodet", outputs, f"one output [1, {cells}, classes + 4 * bins]")
        channels = outputs[0].shape[2]
        self._classes = 80 if channels > 80 else 1
        if (channels - self._classes) % 4 or channels - self._classes < 8:
            raise _wrong("nanodet", outputs, f"one output [1, {cells}, classes + 4 * bins]")
        self._bins = np.arange((channels - self._classes) // 4, dtype=np.float32)

    def candidates(self, picture: Picture, lowest_score: float) -> Boxes:
        """See `Decoder`. The first class is person."""
        fitted, scale = _fit(picture, self._height, self._width, free_size=self._free_size, grey=0)
        output = _run(self._session, _tensor(fitted, _NANODET_TABLES))[0][0]
        kept = np.flatnonzero(output[:, 0] >= lowest_score)
        size = fitted.shape[:2]
        if size not in self._grids:
            self._grids[size] = _grid(*size)
        centre_x, centre_y, stride = (self._grids[size][kept] + (0.5, 0.5, 0)).T
        left, top, right, bottom = (self._distances(output[kept, self._classes :]) * stride).astype(
            np.float32
        )
        x, y = centre_x * stride, centre_y * stride
        return _boxes(
            (x - left) / scale, (y - top) / scale, (x + right) / scale, (y + bottom) / scale, output[kept, 0]
        )

    def _distances(self, logits: Floats) -> Floats:
        powers = np.exp(logits.reshape(-1, 4, self._bins.size))
        shares = powers / powers.sum(axis=2, keepdims=True)
        distances: Floats = (shares @ self._bins).T
        return distances


class Yolox:
    """Raw head: centre offset, log size, objectness, class scores. Pixels 0..255, BGR, grey margin."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._height, self._width, _ = _side_limits(session, "yolox")
        self._grid = _grid(self._height, self._width)
        outputs = _try(session, (1, 3, self._height, self._width), "yolox")
        cells = self._grid.shape[0]
        if (
            len(outputs) != 1
            or outputs[0].ndim != 3
            or outputs[0].shape[1] != cells
            or outputs[0].shape[2] < 6
        ):
            raise _wrong("yolox", outputs, f"one output [1, {cells}, 5 + classes]")
        if (
            outputs[0].min() < -100
            or not 0 <= float(outputs[0][..., 4:].min()) <= outputs[0][..., 4:].max() <= 1
        ):
            raise _wrong("yolox", outputs, "objectness and class scores between 0 and 1")

    def candidates(self, picture: Picture, lowest_score: float) -> Boxes:
        """See `Decoder`. The first class is person."""
        fitted, scale = _fit(picture, self._height, self._width, free_size=False, grey=114)
        output = _run(self._session, _tensor(fitted, _YOLOX_TABLES))[0][0]
        score = output[:, 4] * output[:, 5]
        kept = np.flatnonzero(score >= lowest_score)
        column, row, stride = self._grid[kept].T
        raw = output[kept]
        x, y = (raw[:, 0] + column) * stride, (raw[:, 1] + row) * stride
        half_width, half_height = (np.exp(raw[:, 2:4].T) * stride) / 2
        return _boxes(
            (x - half_width) / scale,
            (y - half_height) / scale,
            (x + half_width) / scale,
            (y + half_height) / scale,
            score[kept],
        )


def _run(session: Session, tensor: Any) -> list[Floats]:
    return session.run(None, {session.get_inputs()[0].name: tensor})


def _try(session: Session, shape: tuple[int, ...], family: Family) -> list[Floats]:
    """The outputs for an empty picture. ModelError when the model does not take one."""
    try:
        return _run(session, np.zeros(shape, np.float32))
    except unusable() as error:
        raise ModelError(
            f"this is not a model of family {family}: it does not take float32 {list(shape)}",
            hint=_NAME_IT,
        ) from error


def _fit(picture: Picture, height: int, width: int, *, free_size: bool, grey: int) -> tuple[Picture, float]:
    """Shrink the picture into height x width without stretching it, at the top left of a grey margin.

    With `free_size` the margin ends at the next multiple of 32: an empty margin costs time for nothing.
    """
    import cv2

    scale = min(height / picture.shape[0], width / picture.shape[1])
    inner = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    if free_size:
        width, height = (-(-side // _STRIDES[-1]) * _STRIDES[-1] for side in inner)
    fitted = cv2.resize(picture, inner, interpolation=cv2.INTER_LINEAR)
    margins = (0, height - inner[1], 0, width - inner[0])
    framed = cv2.copyMakeBorder(fitted, *margins, cv2.BORDER_CONSTANT, value=(grey, grey, grey))
    return np.asarray(framed, np.uint8), scale


def _tensor(picture: Any, tables: Sequence[Floats], channels: tuple[int, int, int] = (0, 1, 2)) -> Floats:
    """[1, 3, height, width] with the shades of `channels` looked up: twice as fast as arithmetic."""
    import cv2

    tensor = np.empty((1, 3, *picture.shape[:2]), np.float32)
    for plane, channel, table in zip(tensor[0], channels, tables, strict=True):
        cv2.LUT(cv2.extractChannel(picture, channel), table, plane)
    return tensor


def _grid(height: int, width: int) -> Floats:
    """Column, row and stride of each output cell, [n, 3]."""
    levels = []
    for stride in _STRIDES:
        rows, columns = np.indices((-(-height // stride), -(-width // stride)), np.float32).reshape(2, -1)
        levels.append(np.stack([columns, rows, np.full_like(rows, stride)], axis=1))
    return np.concatenate(levels)


def _boxes(left: Any, top: Any, right: Any, bottom: Any, score: Any) -> Boxes:
    return np.stack([left, top, right, bottom, score], axis=1).astype(np.float32)


def _square_side(session: Session, family: Family) -> int:
    height, width, free_size = _side_limits(session, family)
    if height != width or free_size:
        raise ModelError(
            f"family {family} needs an input [1, 3, side, side]; this model has {_input(session)}",
            hint=_NAME_IT,
        )
    return height


def _side_limits(session: Session, family: Family) -> tuple[int, int, bool]:
    """Largest height and width of the input, and whether smaller ones work too."""
    shape = _input(session)
    if len(session.get_inputs()) != 1 or len(shape) != 4 or shape[1] != 3:
        raise ModelError(
            f"family {family} needs one input [1, 3, height, width]; this model has {shape}",
            hint=_NAME_IT,
        )
    height, width = shape[2:]
    if isinstance(height, int) and isinstance(width, int):
        return height, width, False
    return 416, 416, True


def _input(session: Session) -> list[int | str]:
    shape: list[int | str] = session.get_inputs()[0].shape
    return shape


def _wrong(family: Family, outputs: list[Floats], wanted: str) -> ModelError:
    found = ", ".join(str(list(output.shape)) for output in outputs)
    return ModelError(
        f"this is not a model of family {family}: it gives {found}, wanted {wanted}",
        hint=_NAME_IT,
    )
