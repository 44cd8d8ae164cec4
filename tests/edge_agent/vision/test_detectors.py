"""A model file is replaced under a running detector: taken up when it is good, left when it is not."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent.config.cameras import VisionModel
from edge_agent.contract.errors import ModelError
from edge_agent.vision.detectors import Detectors, LoadedDetector, SharedDetector, load_checked
from edge_agent.vision.golden import golden_frame
from edge_agent.vision.model import FOLDER

LOOK_EVERY_S = 0.05
KnownModel = Callable[..., Path]


@pytest.fixture
def detectors() -> Iterator[Detectors]:
    made = Detectors(look_every_s=LOOK_EVERY_S)
    yield made
    made.close()


@pytest.fixture
def write(known_model: KnownModel) -> Callable[[str, float], Path]:
    """Writes a model that finds the people of the golden frame with this score."""

    def written(name: str, score: float) -> Path:
        rows = np.zeros((1, 300, 6), np.float32)
        for row, box in zip(rows[0], golden_frame()[1], strict=False):
            row[:5] = (*box, score)
        return known_model({"output0": rows}, shape=(1, 3, 480, 640), name=name)

    return written


def yolo(path: Path, **more: Any) -> VisionModel:
    return VisionModel.model_validate({"path": path, "family": "yolo11", **more})


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def score(shared: SharedDetector) -> float:
    return round(float(shared.current.people(golden_frame()[0])[0, 4]), 2)


def test_cameras_with_the_same_model_share_one_and_others_do_not(detectors: Detectors, write: Any) -> None:
    path = write("people.onnx", 0.9)
    first = detectors.get(yolo(path))
    assert detectors.get(yolo(path)) is first
    assert detectors.get(yolo(path, checked=False)) is not first
    packed = detectors.get(VisionModel(name="nanodet")).report()
    reports = detectors.report()
    assert [report.model for report in reports] == ["people.onnx", "people.onnx", "nanodet"]
    assert (packed.family, packed.problem, len(packed.sha256)) == ("nanodet", None, 12)


def test_a_model_that_fails_at_first_is_tried_again_by_the_next_call(
    detectors: Detectors, write: Any
) -> None:
    path = write("people.onnx", 0.1)
    with pytest.raises(ModelError, match="nobody"):
        detectors.get(yolo(path))
    write("people.onnx", 0.9)
    assert score(detectors.get(yolo(path))) == 0.9


def test_a_good_file_is_taken_up_while_cameras_look(detectors: Detectors, write: Any) -> None:
    path, better = write("people.onnx", 0.9), write("better.onnx", 0.8)
    shared = detectors.get(yolo(path))
    first, seen, over = shared.report(), [score(shared)], threading.Event()

    def camera() -> None:
        while not over.is_set():
            seen.append(score(shared))

    looking = threading.Thread(target=camera)
    looking.start()
    try:
        better.replace(path)
        until(lambda: seen[-1] == 0.8)
    finally:
        over.set()
        looking.join()
    assert seen == sorted(seen, reverse=True)
    second = shared.report()
    assert second.sha256 != first.sha256
    assert second.loaded_at > first.loaded_at
    assert second.problem is None


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ("no model", "people.onnx is not an ONNX model"),
        ("finds nobody", "found nobody on the golden frame, where 2 people stand"),
        ("another family", "not a model of family yolo11"),
        ("gone", "is not there"),
    ],
)
def test_a_bad_file_is_left_and_told_once_until_a_good_one_comes(
    trouble: str, told: str, write: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = write("people.onnx", 0.9)
    shared = SharedDetector(yolo(path))
    before = shared.report()
    match trouble:
        case "no model":
            path.write_bytes(b"not a model")
        case "finds nobody":
            write("people.onnx", 0.1)
        case "another family":
            shutil.copyfile(FOLDER / "coco-ssd.onnx", path)
        case "gone":
            path.unlink()
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            shared.look()
    assert told in str(shared.report().problem)
    assert shared.report().sha256 == before.sha256
    assert score(shared) == 0.9
    (warning,) = caplog.records
    assert warning.getMessage() == f"{shared.report().problem}; the model loaded before goes on"
    write("people.onnx", 0.7)
    shared.look()
    shared.look()
    assert score(shared) == 0.7
    assert shared.report().problem is None


def test_a_file_that_is_written_to_while_it_is_read_is_not_taken_up(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, better = write("people.onnx", 0.9), write("better.onnx", 0.8)
    shared = SharedDetector(yolo(path))

    def slowly(chosen: VisionModel) -> LoadedDetector:
        loaded = load_checked(chosen)
        path.write_bytes(b"half of a model")
        return loaded

    better.replace(path)
    with monkeypatch.context() as patch:
        patch.setattr("edge_agent.vision.detectors.load_checked", slowly)
        shared.look()
        shared.look()
    assert score(shared) == 0.9
    assert shared.report().problem is None
    shared.look()
    shared.look()
    assert "not an ONNX model" in str(shared.report().problem)


def test_a_file_that_is_still_being_written_is_not_read(write: Any, caplog: pytest.LogCaptureFixture) -> None:
    path, whole = write("people.onnx", 0.9), write("better.onnx", 0.8).read_bytes()
    shared = SharedDetector(yolo(path))
    with path.open("wb") as file, caplog.at_level(logging.WARNING):
        for start in range(0, len(whole), 2000):
            file.write(whole[start : start + 2000])
            file.flush()
            shared.look()
            assert shared.report().problem is None
            assert score(shared) == 0.9
    shared.look()
    assert score(shared) == 0.8
    assert caplog.records == []


def test_the_same_content_with_a_new_date_is_not_loaded_again(write: Any) -> None:
    path = write("people.onnx", 0.9)
    shared = SharedDetector(yolo(path))
    loaded = shared.current
    os.utime(path, (1, 1))
    shared.look()
    shared.look()
    assert shared.current is loaded
    assert shared.report().problem is None


def test_a_real_model_goes_back_and_forth(tmp_path: Path, outside_data: Path) -> None:
    """The packed NanoDet under a name of its own, broken and mended."""
    path = tmp_path / "nanodet.onnx"
    shutil.copyfile(FOLDER / "nanodet.onnx", path)
    chosen = VisionModel(path=path, family="nanodet")
    shared = SharedDetector(chosen)
    shutil.copyfile(outside_data / "models" / "yolox_nano_416_coco.onnx", path)
    shared.look()
    shared.look()
    assert "not a model of family nanodet" in str(shared.report().problem)
    assert len(shared.current.people(golden_frame()[0])) >= 2
    shutil.copyfile(FOLDER / "nanodet.onnx", path)
    shared.look()
    shared.look()
    assert shared.report().problem is None
    assert shared.report().sha256 == load_checked(chosen).sha256
