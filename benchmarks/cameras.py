"""How many cameras one core carries, in real time: whole drivers, decoding included, at five detections a second.

A child process is held to one core and runs one `CameraDriver` for each camera on a file that plays at its own
pace: the real one-by-one clip, scaled and encoded as H.264 with 15 frames a second. A file's frames wait for
the reader, so what is too much shows as lag that grows. So many cameras are sustained when in the last third
nothing is later than half a second. Beside it: how late the event loop is while it runs, every 5 ms.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.store import percentile
from edge_agent.config.cameras import Camera
from edge_agent.contract.times import utc_now
from edge_agent.drivers.camera import CameraDriver
from edge_agent.readings import LineWatched, Reading

SECONDS, WARM_UP_S, PER_S = 24, 4, 5
SIZES = {"720p": (1280, 720, "2M"), "1080p": (1920, 1080, "4M")}
FIRST_TRY = {"coco-ssd": 3, "nanodet": 2}
"""The goals of the product."""
MOST = 8
LATE_S, TICK_S = 0.5, 0.005
CORE = min(os.sched_getaffinity(0))


def main() -> dict[str, Any]:
    folder = os.environ.get("SHELF_EDGE_DATA")
    if not folder:
        raise SystemExit("needs SHELF_EDGE_DATA")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for size, (width, height, rate) in SIZES.items():
            clip = Path(scratch, f"{size}.mp4")
            encode(Path(folder, "video/one-by-one-person-detection.mp4"), clip, width, height, rate)
            for model in FIRST_TRY:
                found = sustained(clip, model)
                figures |= {f"{model}_{size}_{key}": value for key, value in found.items()}
    return figures


def encode(source: Path, clip: Path, width: int, height: int, rate: str) -> None:
    """From the sixth second on, when the first person is in view."""
    command = ["ffmpeg", "-v", "error", "-ss", "6", "-t", str(SECONDS + 6), "-i", source]
    command += ["-vf", f"scale={width}:{height},fps=15", "-an", "-c:v", "libx264", "-preset", "fast"]
    subprocess.run([*command, "-b:v", rate, "-g", "30", "-y", clip], check=True)


def sustained(clip: Path, model: str) -> dict[str, Any]:
    """The most cameras without growing lag, and the figures of that run."""
    count = FIRST_TRY[model]
    run = trial(clip, model, count)
    step = 1 if run["late_s"] <= LATE_S else -1
    best = run if step == 1 else None
    while 0 < count + step <= MOST:
        count += step
        run = trial(clip, model, count)
        carried = run["late_s"] <= LATE_S
        if carried:
            best = run
        if carried == (step == -1):
            break
    return best or {"cameras": 0}


def trial(clip: Path, model: str, count: int) -> dict[str, Any]:
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.cameras", str(clip), model, str(count)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    figures: dict[str, Any] = json.loads(said)
    return figures


class Watcher:
    """How old each camera's picture is when its readings come out."""

    def __init__(self) -> None:
        self.late_s: list[tuple[float, float]] = []

    async def emit(self, readings: Sequence[Reading]) -> None:
        """As `Pipeline.emit`."""
        for reading in readings:
            if isinstance(reading, LineWatched):
                late_s = (utc_now() - reading.occurred_at).total_seconds()
                self.late_s.append((time.monotonic(), late_s))


async def watch(clip: str, model: str, count: int) -> dict[str, Any]:
    watcher = Watcher()
    drivers = [CameraDriver(camera(clip, model, number)) for number in range(count)]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(driver.run(watcher.emit), name="camera") for driver in drivers]
        await asyncio.sleep(WARM_UP_S)
        began, cpu_s = time.monotonic(), time.process_time()
        lags_s = await lags(SECONDS - WARM_UP_S)
        wall_s, cpu_s = time.monotonic() - began, time.process_time() - cpu_s
        for task in running:
            task.cancel()
    last = [late_s for at_s, late_s in watcher.late_s if at_s > began + wall_s * 2 / 3]
    return {
        "cameras": count,
        "late_s": round(max(last), 3),
        "cores_used": round(cpu_s / wall_s, 3),
        "loop_lag_p99_ms": round(percentile(lags_s, 0.99) * 1e3, 2),
    }


async def lags(seconds: float) -> list[float]:
    found, until_s = [], time.monotonic() + seconds
    while (asked_s := time.monotonic()) < until_s:
        await asyncio.sleep(TICK_S)
        found.append(time.monotonic() - asked_s - TICK_S)
    return found


def camera(clip: str, model: str, number: int) -> Camera:
    line = {"id": "door", "from": [600, 700], "to": [600, 0]}
    footfall = {"lines": [line], "detections_per_s": PER_S}
    return Camera.model_validate(
        {
            "id": f"cam-{number}",
            "driver": "camera",
            "source": clip,
            "footfall": footfall,
            "model": {"name": model},
        }
    )


def child(clip: str, model: str, count: str) -> None:
    os.sched_setaffinity(0, {CORE})
    print(json.dumps(asyncio.run(watch(clip, model, int(count)))))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(*sys.argv[1:])
    else:
        print(json.dumps(main()))
