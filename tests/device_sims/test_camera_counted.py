"""The agent's own detector and counter look at drawn visitors; nothing but pixels goes between the two."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from device_sims.door_scene import DoorScene
from device_sims.walk import Walk, random_walk
from edge_agent.config.cameras import CountingLine, VisionModel
from edge_agent.contract.errors import AssetsMissing
from edge_agent.vision.clip import count_video
from edge_agent.vision.model import locate

FPS = 10


@pytest.fixture(autouse=True)
def _model() -> None:
    try:
        locate(VisionModel())
    except AssetsMissing as missing:
        pytest.skip(f"{missing}; {missing.hint} builds it")


def arrivals(seed: int, gaps_s: list[float]) -> list[Walk]:
    random, walks, start_s = Random(seed), [], 0.5
    for gap_s in gaps_s:
        start_s += gap_s
        under_way = [walk for walk in walks if walk.ends_at_s > start_s]
        walks.append(random_walk(random, random.choice(("entered", "exited")), start_s, under_way))
    return walks


def film(path: Path, scene: DoorScene, walks: list[Walk]) -> None:
    import cv2

    size = (scene.view.width_px, scene.view.height_px)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, size)
    for frame in range(int((max(walk.ends_at_s for walk in walks) + 0.5) * FPS)):
        video.write(scene.render(frame / FPS, walks))
    video.release()


def test_the_default_detector_counts_the_visitors_it_is_shown(tmp_path: Path) -> None:
    scene = DoorScene(2)
    walks = arrivals(2, [0.0, 0.4, 4.0, 0.3, 4.5, 3.0])
    film(tmp_path / "door.avi", scene, walks)
    (x1, y1), (x2, y2) = scene.line
    line = CountingLine.model_validate({"id": "door", "from": [x1, y1], "to": [x2, y2]})
    counted = count_video(tmp_path / "door.avi", [line])
    truth = sorted((walk.crosses_at_s, walk.direction) for walk in walks)
    assert sorted(crossing.direction for crossing in counted) == sorted(direction for _, direction in truth)
    for direction in ("entered", "exited"):
        seen = sorted(crossing.at_s for crossing in counted if crossing.direction == direction)
        true = [moment for moment, way in truth if way == direction]
        assert seen == pytest.approx(true, abs=1.0)
