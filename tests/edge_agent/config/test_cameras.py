"""A camera's model in store.yaml: what is nonsense is told at its place in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.config.cameras import Camera, VisionModel
from edge_agent.config.store import StoreSettings
from edge_agent.contract.errors import ConfigError
from edge_agent.service.settings import load

FLOOR = """store: {id: s1}
agent: {data_dir: var}
devices:
  - id: cam
    driver: camera
    source: rtsp://10.0.0.7/live
    footfall: FOOTFALL
"""
STORE = """store: {id: s1}
agent: {data_dir: var}
devices:
  - id: cam
    driver: camera
    source: rtsp://10.0.0.7/live
    model:
      MODEL
"""


def written(folder: Path, model: str) -> Path:
    path = folder / "store.yaml"
    path.write_text(STORE.replace("MODEL", model.replace("\n", "\n      ")))
    return path


def test_all_settings_of_an_operators_model(tmp_path: Path) -> None:
    model = (
        "path: people.onnx\n"
        "family: rf-detr\n"
        "person_class: 0\n"
        "input_size: [384, 416]\n"
        "normalisation: {mean: [123.7, 116.3, 103.5], sd: [58.4, 57.1, 57.4], channels: rgb}\n"
        "scores: {doubtful: 0.1, sure: 0.3, new: 0.35}\n"
        "checked: false"
    )
    settings = load(written(tmp_path, model), StoreSettings, env_prefix="X", environ={})
    (camera,) = settings.devices
    assert isinstance(camera, Camera)
    assert camera.model.path == tmp_path / "people.onnx"
    assert camera.model.input_size == (384, 416)
    assert camera.model.normalisation is not None
    assert camera.model.normalisation.sd == (58.4, 57.1, 57.4)
    assert camera.model.scores is not None
    assert (camera.model.checked, camera.model.scores.new) == (False, 0.35)
    assert len({camera.model, VisionModel(), VisionModel(name="nanodet")}) == 3


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("{path: p.onnx, family: yolo8}", "8:30 devices.0.model.family: found 'yolo8', allowed: 'yolox', 'nanodet', 'ssd', 'yolov8', 'yolov9', 'yolo11', 'rf-detr' or 'd-fine'; did you mean 'yolov8'?"),
        ("{path: p.onnx}", "8:7 devices.0.model: path needs family: one of yolox, nanodet, ssd, yolov8, yolov9, yolo11, rf-detr, d-fine"),
        ("{family: yolox}", "8:7 devices.0.model: family says how to read the file of path, and there is no path"),
        ("{name: nanodet, checked: false}", "8:7 devices.0.model: checked says how to read the file of path, and there is no path"),
        ("{name: nanodet, path: p.onnx, family: ssd}", "8:7 devices.0.model: name and path are two models; keep one"),
        ("{path: p.onnx, family: ssd, person_class: -1}", "8:49 devices.0.model.person_class: found -1; input should be greater than or equal to 0"),
        ("{path: p.onnx, family: ssd, input_size: [640]}", "8:47 devices.0.model.input_size.1: is required and missing"),
        ("{path: p.onnx, family: ssd, input_size: [640, 8]}", "8:53 devices.0.model.input_size.1: found 8; input should be greater than or equal to 32"),
        ("{path: p.onnx, family: ssd, normalisation: {mean: [0, 0, 0], sd: [0.229, 1, 1], channels: rgb}}", "8:73 devices.0.model.normalisation.sd.0: found 0.229; sd is in shades, from 1 to 255: multiply one for 0..1 by 255"),
        ("{path: p.onnx, family: ssd, normalisation: {mean: [0, 0, 0], sd: [1, 1, 1], channels: rbg}}", "8:93 devices.0.model.normalisation.channels: found 'rbg', allowed: 'rgb' or 'bgr'; did you mean 'rgb'?"),
        ("{scores: {doubtful: 0.2, sure: 0.5, new: 0.4}}", "8:16 devices.0.model.scores: doubtful, sure and new must rise in this order"),
        ("{scores: {doubtful: 0.01, sure: 0.5, new: 0.6}}", "8:27 devices.0.model.scores.doubtful: found 0.01; input should be greater than or equal to 0.1"),
        ("{scores: {sure: 0.5, new: 0.6}}", "8:16 devices.0.model.scores.doubtful: is required and missing"),
        ("{classes: 1}", "8:8 devices.0.model.classes: is not a setting here; "),
    ],
)  # fmt: skip
def test_nonsense_is_told_at_its_place(model: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, model), StoreSettings, env_prefix="X", environ={})
    (found,) = caught.value.problems
    assert found.removeprefix(f"{tmp_path}/store.yaml:").startswith(problem)


@pytest.mark.parametrize(
    ("footfall", "problem"),
    [
        ("{detections_per_s: 5}", "7:15 devices.0.footfall: has nothing to count; give it lines, zones or a heat_map"),
        ("{lines: [{id: a, from: [0, 0], to: [1, 1]}], zones: [{id: a, polygon: [[0, 0], [1, 0], [1, 1]]}]}", "7:15 devices.0.footfall: zone id 'a' is used twice; ids are unique on a camera"),
        ("{heat_map: {}, detections_per_s: 0.5}", "7:48 devices.0.footfall.detections_per_s: found 0.5; input should be greater than or equal to 1"),
        ("{heat_map: {columns: 65}}", "7:36 devices.0.footfall.heat_map.columns: found 65; input should be less than or equal to 32"),
        ("{zones: [{id: a, polygon: [[0, 0], [1, 0]]}]}", "7:41 devices.0.footfall.zones.0.polygon: list should have at least 3 items"),
    ],
)  # fmt: skip
def test_nonsense_about_the_floor_is_told_at_its_place(footfall: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "store.yaml"
    path.write_text(FLOOR.replace("FOOTFALL", footfall))
    with pytest.raises(ConfigError) as caught:
        load(path, StoreSettings, env_prefix="X", environ={})
    (found,) = caught.value.problems
    assert found.removeprefix(f"{path}:").startswith(problem)


def test_a_heat_map_alone_is_enough_and_has_a_usual_size(tmp_path: Path) -> None:
    path = tmp_path / "store.yaml"
    path.write_text(FLOOR.replace("FOOTFALL", "{heat_map: {}}"))
    (camera,) = load(path, StoreSettings, env_prefix="X", environ={}).devices
    assert isinstance(camera, Camera)
    assert camera.footfall is not None
    assert camera.footfall.heat_map is not None
    assert (camera.footfall.heat_map.columns, camera.footfall.heat_map.rows) == (16, 9)
