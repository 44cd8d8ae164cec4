"""Our tracker and line beside supervision's line and its ByteTrack, on the same boxes of real video.

The boxes are those of each packed detector on `vtest.avi`, five frames a second. The peer has a virtual
environment of its own (`make bench` makes it), since it wants another build of OpenCV than ours. Its ways
through the line are named by it; the naming that fits the truth better is taken.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np

from benchmarks.vision import SIZE, VTEST
from edge_agent.config.cameras import VisionModel
from edge_agent.vision.detect import Detector
from edge_agent.vision.families import Boxes
from edge_agent.vision.footfall import Crossing, LineCounter
from edge_agent.vision.model import PACKED
from edge_agent.vision.source import frames
from edge_agent.vision.track import RULES, Tracker
from edge_agent.vision.truth import Truth, compare, read_truth
from edge_agent.vision.video import Video

ROOT = Path(__file__).parents[1]
PEER = ROOT / ".venv-peers/bin/python"
WAYS = ({"in": "entered", "out": "exited"}, {"in": "exited", "out": "entered"})


def main() -> dict[str, Any]:
    folder = os.environ.get("SHELF_EDGE_DATA")
    if not folder or not VTEST.exists():
        raise SystemExit("needs SHELF_EDGE_DATA and Debian's package opencv-doc")
    if not PEER.exists():
        raise SystemExit(f"{PEER} is not there: make bench makes it")
    truth = read_truth(Path(folder, "video", "vtest.truth.json"))
    figures: dict[str, Any] = {}
    for name in sorted(PACKED):
        detector = Detector(VisionModel.model_validate({"name": name}))
        times_s, boxes = recorded(detector, truth.window_s[1] + truth.tolerance_s)
        found = {"ours": ours(detector, times_s, boxes, truth), "peer": peer(times_s, boxes, truth)}
        for who, (ms, crossings) in found.items():
            agreement = max((compare(c, truth) for c in crossings), key=lambda one: one.f1)
            figures |= {
                f"{name}_{who}_ms": round(ms, 3),
                f"{name}_{who}_event_f1": round(agreement.f1, 3),
                f"{name}_{who}_total_error": round(agreement.total_error, 3),
            }
        figures[f"{name}_ms_ratio"] = round(found["ours"][0] / found["peer"][0], 3)
    return figures


def recorded(detector: Detector, until_s: float) -> tuple[list[float], list[Boxes]]:
    times_s, boxes = [], []
    with closing(Video(str(VTEST))) as video:
        for at_s, picture in frames(video, per_s=5):
            if at_s > until_s:
                break
            if picture is not None:
                times_s.append(at_s)
                boxes.append(detector.people(picture))
    return times_s, boxes


def ours(
    detector: Detector, times_s: Sequence[float], boxes: Sequence[Boxes], truth: Truth
) -> tuple[float, list[list[Crossing]]]:
    """Median processor milliseconds a frame, and the crossings."""
    tracker, counter = Tracker(RULES[detector.family]), LineCounter([truth.counting_line], SIZE)
    spent_ms, crossings = [], []
    for at_s, seen in zip(times_s, boxes, strict=True):
        started = process_time()
        crossings += counter.update(tracker.update(seen, at_s), at_s)
        spent_ms.append((process_time() - started) * 1e3)
    return median(spent_ms), [crossings]


def peer(
    times_s: Sequence[float], boxes: Sequence[Boxes], truth: Truth
) -> tuple[float, list[list[Crossing]]]:
    """As `ours`, of the peer; with both namings of its ways."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "boxes.npz")
        np.savez(
            path,
            times_s=times_s,
            counts=[len(seen) for seen in boxes],
            boxes=np.concatenate(boxes),
            line=truth.line,
        )
        said = subprocess.run(
            [PEER, ROOT / "benchmarks/peer/byte_track.py", path], capture_output=True, text=True, check=True
        ).stdout
    answer = json.loads(said)
    ways = [[Crossing("truth", way[to], at_s, 0) for at_s, to in answer["crossings"]] for way in WAYS]
    return median(answer["ms"]), ways


if __name__ == "__main__":
    print(json.dumps(main()))
