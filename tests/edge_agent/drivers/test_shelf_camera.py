"""A camera with lines and a shelf on a real stream: both duties, and what it says when it sees nothing."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from device_sims.shelf_layout import Spot
from device_sims.shelf_scene import ShelfScene
from edge_agent.config.cameras import Camera
from edge_agent.contract.errors import ConfigError
from edge_agent.drivers import Resources, make_driver
from edge_agent.readings import DeviceAnswered, DeviceDegraded, GapSeen, LineWatched
from edge_agent.vision import shelf_duty

SIZE = (640, 360)
SPOTS = [Spot(f"A1-0{n}", "A1", 300.0 * n, 300.0, 6, "06901234100013") for n in (1, 2)]
SCENE = ShelfScene(3, SPOTS, SIZE)
PLACES = {spot.facing: [list(corner) for corner in SCENE.polygon(spot.facing)] for spot in SPOTS}
FULL = {"A1-01": 6, "A1-02": 6}


def camera(source: str, **shelf_gap: Any) -> Camera:
    line = {"id": "aisle", "from": [10, 350], "to": [600, 350]}
    return Camera.model_validate(
        {
            "id": "cam-a",
            "driver": "camera",
            "source": source,
            "footfall": {"lines": [line]},
            "shelf_gap": {"facings": PLACES, "every_s": 1, **shelf_gap},
        }
    )


def stream(mjpeg: Any, counts: dict[str, int], light: list[float]) -> Any:
    """A film of the shelf with `counts`, which the test may change."""

    def film(write: Any, over: threading.Event) -> None:
        t_s = 0.0
        while not over.wait(0.1):
            t_s += 0.1
            write(mjpeg.part(np.asarray(SCENE.render(t_s, counts) * light[0], np.uint8)))

    return film


async def test_lines_and_shelf_of_one_camera_are_watched_and_darkness_is_a_trouble_that_passes(
    mjpeg: Any, emitted: Any, running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf_duty, "BLIND_AFTER", 2)
    counts, light, resources = dict(FULL), [1.0], Resources()
    with mjpeg.serving(stream(mjpeg, counts, light)) as address:
        settings = camera(address)
        driver = make_driver(settings, resources)
        resources.shelves["cam-a"].restocked(None)
        async with running(driver.run(emitted)):
            await emitted.until(lambda all_: sum(isinstance(one, GapSeen) for one in all_) >= 2, 60)
            assert {one.gap for one in emitted.readings if isinstance(one, GapSeen)} == {False}
            assert any(isinstance(one, LineWatched) for one in emitted.readings)
            assert any(isinstance(one, DeviceAnswered) for one in emitted.readings)
            light[0] = 0.02
            await emitted.until(lambda all_: isinstance(all_[-1], DeviceDegraded), 60)
            assert "dark" in emitted.readings[-1].reason
            counts["A1-01"], light[0], before = 0, 1.0, len(emitted.readings)
            await emitted.until(
                lambda all_: any(isinstance(one, GapSeen) and one.gap for one in all_[before:]), 60
            )
            assert not isinstance(emitted.readings[-1], DeviceDegraded)
    gaps = {one.facing for one in emitted.readings[before:] if isinstance(one, GapSeen) and one.gap}
    assert gaps == {"A1-01"}


async def test_a_place_beyond_the_picture_is_a_clear_error(mjpeg: Any, emitted: Any) -> None:
    far = {"A1-01": [[600, 10], [700, 10], [700, 90]]}
    with mjpeg.serving(stream(mjpeg, FULL, [1.0])) as address:
        driver = make_driver(camera(address, facings=far), Resources())
        with pytest.raises(ConfigError, match="beyond the picture of 640x360"):
            await driver.run(emitted)
