"""The golden frame: real detectors pass it, and what would count nobody or everything does not."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent.config.cameras import VisionModel
from edge_agent.contract.errors import AssetsMissing, ModelError
from edge_agent.vision import golden
from edge_agent.vision.detect import Detector, overlaps
from edge_agent.vision.detectors import load_checked
from edge_agent.vision.golden import check_golden, golden_frame

ROOT = Path(golden.__file__).parents[2]
YOLOX = "models/yolox_nano_416_coco.onnx"


def test_the_committed_frame_is_what_the_camera_simulator_draws() -> None:
    specification = importlib.util.spec_from_file_location(
        "golden_frame", ROOT / "models" / "golden_frame.py"
    )
    assert specification is not None
    assert specification.loader is not None
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    drawn, people = script.draw()
    picture, kept = golden_frame()
    assert kept.tolist() == [list(box) for box in people]
    assert picture.shape == drawn.shape
    assert np.abs(picture.astype(int) - drawn).mean() < 6  # noise and JPEG
    assert golden.PICTURE.stat().st_size < 80_000


@pytest.mark.parametrize("name", ["coco-ssd", "nanodet"])
def test_each_packed_model_finds_both_people_surely_and_nobody_else(name: Any) -> None:
    check_both_found(load_checked(VisionModel(name=name)).detector)


def test_an_operators_yolox_finds_both_people_surely_and_nobody_else(outside_data: Path) -> None:
    check_both_found(load_checked(VisionModel(path=outside_data / YOLOX, family="yolox")).detector)


def check_both_found(detector: Detector) -> None:
    """Well above what is asked for, so that no other processor or version fails it by a hair."""
    picture, people = golden_frame()
    found = detector.people(picture)
    sure = found[found[:, 4] > 0.3]
    assert len(sure) == 2
    assert sure[:, 4].min() > 0.75
    assert overlaps(people, sure).max(axis=1).min() > 0.75


def end_to_end(*boxes: Any) -> dict[str, Any]:
    """Outputs of an end-to-end YOLO of 640x480 pixels."""
    rows = np.zeros((1, 300, 6), np.float32)
    for row, box in zip(rows[0], boxes, strict=False):
        row[:5] = box
    return {"output0": rows}


FIRST, SECOND = ([*box, 0.6] for box in golden_frame()[1].tolist())
NOBODY, NOBODY_EITHER = [10, 300, 60, 450, 0.9], [500, 300, 560, 450, 0.9]


@pytest.mark.parametrize(
    ("boxes", "told"),
    [
        ([], "it found nobody on the golden frame, where 2 people stand"),
        ([FIRST], "it found 1 of them on the golden frame, where 2 people stand"),
        ([FIRST, [*SECOND[:4], 0.45]], "it found 1 of them"),
        ([FIRST, [value * 0.9 for value in SECOND[:4]] + [0.9]], "it found 1 of them"),
        ([FIRST, SECOND, NOBODY, NOBODY_EITHER], "it found 2 people on the golden frame where nobody stands"),
    ],
)
def test_who_misses_somebody_or_sees_too_many_is_refused_and_told(
    boxes: list[Any], told: str, known_model: Callable[..., Path]
) -> None:
    path = known_model(end_to_end(*boxes), shape=(1, 3, 480, 640))
    with pytest.raises(ModelError, match=rf"model known\.onnx: {told}") as caught:
        load_checked(VisionModel(path=path, family="yolo11"))
    assert "model.checked: false" in caught.value.hint
    assert load_checked(VisionModel(path=path, family="yolo11", checked=False)).rules.new_score == 0.5


def test_one_box_that_shows_nobody_is_forgiven(known_model: Callable[..., Path]) -> None:
    path = known_model(end_to_end(FIRST, SECOND, NOBODY), shape=(1, 3, 480, 640))
    check_golden(Detector(VisionModel(path=path, family="yolo11")), least_score=0.5)


def test_the_score_that_starts_a_person_is_the_models_own(known_model: Callable[..., Path]) -> None:
    path = known_model(end_to_end([*FIRST[:4], 0.3], [*SECOND[:4], 0.3]), shape=(1, 3, 480, 640))
    chosen = {"path": path, "family": "yolo11"}
    with pytest.raises(ModelError, match="nobody"):
        load_checked(VisionModel.model_validate(chosen))
    scores = {"doubtful": 0.1, "sure": 0.2, "new": 0.28}
    rules = load_checked(VisionModel.model_validate({**chosen, "scores": scores})).rules
    assert (rules.doubtful_score, rules.sure_score, rules.new_score) == (0.1, 0.2, 0.28)


def test_an_install_without_the_frame_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "PICTURE", tmp_path / "golden.jpg")
    with pytest.raises(AssetsMissing, match="golden frame"):
        golden_frame()
