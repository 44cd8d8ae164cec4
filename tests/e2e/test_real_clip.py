"""A real clip through the whole agent: camera driver → detector → tracker → bucket → HQ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PEOPLE = 6
LINE_X = 520
"""Everyone in the clip walks from left to right across this column."""


@pytest.mark.timeout(240)
def test_six_real_people_walk_in_and_hq_knows(world: Any, wait_for: Any, outside_data: Path) -> None:
    clip = outside_data / "video/one-by-one-person-detection.mp4"
    world.write_store(
        f"devices:\n  - {{id: cam-door, driver: camera, source: '{clip}', "
        f"footfall: {{lines: [{{id: door, from: [{LINE_X}, 431], to: [{LINE_X}, 0]}}]}}}}\n"
    )
    world.start_hq()
    world.start_agent()

    def camera() -> dict[str, Any]:
        shown = world.hq("/v1/stores/store-0042/devices")["items"]
        return shown[0] if shown else {"status": "", "reason": ""}

    wait_for(lambda: camera()["status"] == "online", what="the camera is online at HQ")
    wait_for(lambda: "ended" in (camera()["reason"] or ""), seconds=180, what="the end of the clip")
    wait_for(world.caught_up, what="HQ has every row")
    buckets = world.hq("/v1/stores/store-0042/footfall?bucket=1h")["items"]
    assert (sum(b["entered"] for b in buckets), sum(b["exited"] for b in buckets)) == (PEOPLE, 0)
    assert "Traceback" not in world.log("agent")
    world.bridge("audit")
