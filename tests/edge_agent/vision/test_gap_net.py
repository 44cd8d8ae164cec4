"""The packed gap net: an empty bay is found where it is, and nothing where nothing is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.contract.errors import AssetsMissing, ModelError
from edge_agent.vision.families import Picture
from edge_agent.vision.gap_net import GapNet
from edge_agent.vision.model import FOLDER

GAP = (240, 175, 400, 290)
ROWS = ((30, 150), (170, 290), (310, 430))
SURE = 0.3


@pytest.fixture(scope="module")
def net() -> GapNet:
    return GapNet()


def stocked() -> Picture:
    """Three boards of packages, 640x480."""
    random = np.random.default_rng(5)
    picture = np.full((480, 640, 3), (150, 155, 160), np.uint8)
    for top, board in ROWS:
        picture[top:board] = np.linspace(110, 190, board - top)[:, None, None]
        for left in range(0, 640, 80):
            colour = random.integers(20, 255, 3).tolist()
            for x in (left, left + 40):
                cv2.rectangle(picture, (x + 1, top + 12), (x + 38, board - 1), colour, -1)
                cv2.rectangle(picture, (x + 6, top + 40), (x + 32, top + 75), (250, 250, 250), -1)
                cv2.putText(picture, "TEA", (x + 7, top + 62), 0, 0.45, (20, 20, 120), 1, cv2.LINE_AA)
                cv2.rectangle(picture, (x + 35, top + 12), (x + 38, board - 1), (40, 40, 40), -1)
        picture[board : board + 18] = 215
        for x in range(20, 620, 90):
            cv2.rectangle(picture, (x, board + 2), (x + 30, board + 14), (255, 255, 255), -1)
            cv2.putText(picture, "1.99", (x + 2, board + 12), 0, 0.3, (0, 0, 0), 1)
    return picture


def with_gap() -> Picture:
    """The same with two facings of the middle board sold out: back wall and shelf floor are seen."""
    picture = stocked()
    left, _, right, bottom = GAP
    picture[170:bottom, left:right] = np.linspace(90, 150, bottom - 170)[:, None, None]
    picture[bottom - 25 : bottom, left:right] = np.linspace(150, 200, 25)[:, None, None]
    return picture


def inside(mask: np.ndarray, box: tuple[int, int, int, int]) -> float:
    """Mean of the mask in a box of the 640x480 picture."""
    scale = mask.shape[1] / 640
    left, top, right, bottom = (round(side * scale) for side in box)
    return float(mask[top:bottom, left:right].mean())


def test_an_empty_bay_is_boxed_and_masked(net: GapNet) -> None:
    view = net.look(with_gap())
    left, top, right, bottom, score = view.boxes[0]
    assert score > SURE
    width = min(right, GAP[2]) - max(left, GAP[0])
    height = min(bottom, GAP[3]) - max(top, GAP[1])
    whole = (right - left) * (bottom - top) + (GAP[2] - GAP[0]) * (GAP[3] - GAP[1]) - width * height
    assert width * height / whole > 0.5
    assert inside(view.mask, GAP) > 0.6
    assert inside(view.mask, (420, 182, 640, 290)) < 0.2


def test_a_full_shelf_has_no_gap(net: GapNet) -> None:
    view = net.look(stocked())
    assert (view.boxes[:, 4] < SURE).all()
    assert view.mask.mean() < 0.1


@pytest.mark.parametrize("shade", [0, 114, 255])
def test_a_plain_picture_such_as_a_margin_has_no_gap(net: GapNet, shade: int) -> None:
    view = net.look(np.full((360, 640, 3), shade, np.uint8))
    assert (view.boxes[:, 4] < SURE).all()
    assert view.mask.mean() < 0.1


def test_a_margin_beside_the_shelf_is_no_gap(net: GapNet) -> None:
    framed = cv2.copyMakeBorder(with_gap(), 0, 0, 160, 160, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    view = net.look(np.asarray(framed, np.uint8))
    sixth = view.mask.shape[1] // 6
    assert view.mask[:, :sixth].mean() < 0.1
    assert view.mask[:, -sixth:].mean() < 0.1


@pytest.mark.parametrize("size", [(1920, 1440), (333, 250), (1001, 751)])
def test_boxes_are_in_pixels_of_the_picture_whatever_its_size(net: GapNet, size: tuple[int, int]) -> None:
    picture = np.asarray(cv2.resize(with_gap(), size, interpolation=cv2.INTER_AREA), np.uint8)
    left, top, right, bottom = net.look(picture).boxes[0, :4] * (640 / size[0])
    assert abs((left + right) / 2 - (GAP[0] + GAP[2]) / 2) < 30
    assert abs((top + bottom) / 2 - (GAP[1] + GAP[3]) / 2) < 30


@pytest.mark.parametrize("shape", [(4000, 3000), (1080, 1920), (37, 640), (500, 3), (1, 1)])
def test_any_picture_gives_boxes_within_it_and_a_mask_in_its_proportions(
    net: GapNet, shape: tuple[int, int]
) -> None:
    height, width = shape
    noise = np.random.default_rng(2).integers(0, 255, (*shape, 3)).astype(np.uint8)
    view = net.look(noise)
    assert view.boxes.shape[1] == 5
    assert (view.boxes[:, :4] >= 0).all()
    assert (view.boxes[:, [0, 2]] <= width).all()
    assert (view.boxes[:, [1, 3]] <= height).all()
    assert (np.diff(view.boxes[:, 4]) <= 0).all()
    assert view.mask.dtype == np.float32
    assert 0 <= view.mask.min() <= view.mask.max() <= 1
    rows, columns = view.mask.shape
    assert abs(rows / max(rows, columns) - height / max(shape)) < 0.02
    assert abs(columns / max(rows, columns) - width / max(shape)) < 0.02


def test_a_person_detector_is_not_taken_for_a_gap_net() -> None:
    path = FOLDER / "nanodet.onnx"
    if not path.is_file():
        pytest.skip("the packed detectors are not built: make setup")
    with pytest.raises(ModelError, match="not a gap net"):
        GapNet(path)


def test_a_file_that_is_no_model_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "gap.onnx"
    path.write_text("not a model")
    with pytest.raises(ModelError, match=r"gap\.onnx"):
        GapNet(path)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(AssetsMissing, match="gap-net"):
        GapNet(tmp_path / "gap-net.onnx")
