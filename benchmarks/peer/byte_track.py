"""The peer of `benchmarks.peers`: supervision's line and its ByteTrack on recorded boxes; runs in a venv of its own.

Reads an npz (`times_s`, `counts`, `boxes` [n, 5], `line`) and prints JSON: processor milliseconds of every
frame, and the crossings. Ids of -1 are dropped, as supervision's issue 2578 asks for.
"""

from __future__ import annotations

import json
import sys
from time import process_time

import numpy as np
import supervision as sv
from trackers import ByteTrackTracker


def main(path: str) -> None:
    recorded = np.load(path)
    x1, y1, x2, y2 = recorded["line"]
    line = sv.LineZone(sv.Point(x1, y1), sv.Point(x2, y2), triggering_anchors=[sv.Position.BOTTOM_CENTER])
    tracker = ByteTrackTracker(frame_rate=1 / float(np.median(np.diff(recorded["times_s"]))))
    spent_ms, crossings, first = [], [], 0
    for at_s, count in zip(recorded["times_s"], recorded["counts"], strict=True):
        boxes = recorded["boxes"][first : first + count]
        first += count
        started = process_time()
        seen = tracker.update(
            sv.Detections(xyxy=boxes[:, :4], confidence=boxes[:, 4], class_id=np.zeros(count, int))
        )
        into, out = line.trigger(seen[seen.tracker_id != -1])
        spent_ms.append((process_time() - started) * 1e3)
        crossings += [(float(at_s), "in")] * int(into.sum()) + [(float(at_s), "out")] * int(out.sum())
    print(json.dumps({"ms": spent_ms, "crossings": crossings}))


main(sys.argv[1])
