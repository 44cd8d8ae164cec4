"""Loading detectors: what is packed finds people in real frames; what is wrong says so."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from edge_agent.config.cameras import VisionModel
from edge_agent.contract.errors import AssetsMissing, ModelError
from edge_agent.vision import model
from edge_agent.vision.detect import Detector, merge_overlapping
from edge_agent.vision.families import Picture

YOLOX = "models/yolox_nano_416_coco.onnx"


def frame(clip: Path, number: int) -> Picture:
    video = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    video.set(cv2.CAP_PROP_POS_FRAMES, number)
    good, picture = video.read()
    video.release()
    assert good
    return np.asarray(picture, np.uint8)


def check_woman_in_grey(detector: Detector, clip: Path) -> None:
    """Frame 120: one person, who fills the middle of the picture from top to bottom; frame 20: nobody."""
    people = detector.people(frame(clip, 120))
    left, top, right, bottom, score = people[0]
    assert score > 0.5
    assert 330 < (left + right) / 2 < 570
    assert top < 60
    assert bottom > 330
    assert (people[1:, 4] < 0.4).all()
    empty = detector.people(frame(clip, 20))
    assert (empty[:, 4] < 0.4).all()


@pytest.mark.parametrize("name", ["coco-ssd", "nanodet"])
def test_each_packed_model_finds_the_one_person_of_a_real_frame(
    name: Literal["coco-ssd", "nanodet"], one_by_one: Path
) -> None:
    check_woman_in_grey(Detector(VisionModel(name=name)), one_by_one)


def test_an_operators_own_yolox_finds_the_one_person_of_a_real_frame(
    one_by_one: Path, outside_data: Path
) -> None:
    check_woman_in_grey(Detector(VisionModel(path=outside_data / YOLOX, family="yolox")), one_by_one)


@pytest.mark.parametrize("name", ["coco-ssd", "nanodet"])
@pytest.mark.parametrize("shape", [(1080, 1920), (480, 640), (640, 360), (90, 160)])
def test_any_size_of_picture_gives_boxes_within_reach_of_it(
    name: Literal["coco-ssd", "nanodet"], shape: tuple[int, int]
) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (*shape, 3), np.uint8)
    people = Detector(VisionModel(name=name)).people(noise)
    assert people.shape[1] == 5
    assert np.isfinite(people).all()


@pytest.mark.parametrize(
    ("file", "family"),
    [
        ("coco-ssd.onnx", "nanodet"),
        ("coco-ssd.onnx", "yolox"),
        ("nanodet.onnx", "ssd"),
        ("nanodet.onnx", "yolox"),
    ],
)
def test_a_wrong_family_is_a_clear_error(file: str, family: Literal["nanodet", "yolox", "ssd"]) -> None:
    with pytest.raises(ModelError, match=f"family {family}") as caught:
        Detector(VisionModel(path=model.FOLDER / file, family=family))
    right = {"coco-ssd.onnx": "ssd", "nanodet.onnx": "nanodet"}[file]
    assert caught.value.hint == f"it looks like {right}: set model.family to that"


@pytest.mark.parametrize("family", ["nanodet", "ssd"])
def test_a_wrong_family_for_yolox_is_a_clear_error(
    family: Literal["nanodet", "ssd"], outside_data: Path
) -> None:
    with pytest.raises(ModelError, match=f"family {family}"):
        Detector(VisionModel(path=outside_data / YOLOX, family=family))


def test_a_file_that_is_no_model_is_a_clear_error(tmp_path: Path) -> None:
    broken = tmp_path / "people.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"people\.onnx is not an ONNX model"):
        Detector(VisionModel(path=broken, family="yolox"))
    with pytest.raises(ModelError, match="is not there"):
        Detector(VisionModel(path=tmp_path / "gone.onnx", family="yolox"))


def test_a_packed_model_that_was_not_built_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "FOLDER", tmp_path)
    with pytest.raises(AssetsMissing) as caught:
        Detector(VisionModel(name="nanodet"))
    assert caught.value.hint == "make setup"


def test_of_overlapping_boxes_the_best_is_kept() -> None:
    boxes = np.array([[0, 0, 100, 200, 0.6], [5, 0, 105, 200, 0.9], [300, 0, 400, 200, 0.5]], np.float32)
    assert merge_overlapping(boxes)[:, 4].tolist() == pytest.approx([0.9, 0.5])
    assert merge_overlapping(boxes[:0]).shape == (0, 5)
