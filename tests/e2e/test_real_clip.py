"""A real clip through the whole agent: camera driver → detector → tracker → bucket → HQ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest

PEOPLE, UNTIL_S = 1, 22
LINE_X = 520
"""Everyone in the clip walks from left to right across this column."""


def first_part(clip: Path, part: Path) -> Path:
    """The clip's first UNTIL_S seconds: a file plays at its own pace."""
    video = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    size = int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
    per_s = video.get(cv2.CAP_PROP_FPS)
    written = cv2.VideoWriter(str(part), cv2.VideoWriter.fourcc(*"MJPG"), per_s, size)
    for _ in range(int(UNTIL_S * per_s)):
        written.write(video.read()[1])
    written.release()
    video.release()
    return part


@pytest.mark.timeout(240)
def test_a_real_woman_walks_in_and_hq_knows(
    world: Any, wait_for: Any, outside_data: Path, tmp_path: Path
) -> None:
    clip = first_part(outside_data / "video/one-by-one-person-detection.mp4", tmp_path / "part.avi")
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
