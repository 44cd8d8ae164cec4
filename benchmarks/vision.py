"""The whole footfall pipeline beside the bare `session.run` on the same frames of real video, one thread.

The pipeline is what a camera costs: decoding every frame of the clip, and for the due ones the motion gate,
shrinking, inference, decoding of boxes, merging, tracker and lines. The baseline runs the session again on the
tensor that the pipeline has just used. Processor time is given beside wall time: it stays true on a busy machine.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np

from edge_agent.config.cameras import CountingLine, VisionModel
from edge_agent.vision.detect import LOWEST_SCORE, merge_overlapping
from edge_agent.vision.families import decoder
from edge_agent.vision.footfall import LineCounter
from edge_agent.vision.model import DEFAULT, PACKED, Session, load
from edge_agent.vision.motion import MotionGate
from edge_agent.vision.source import frames
from edge_agent.vision.track import RULES, Tracker
from edge_agent.vision.truth import compare, read_truth
from edge_agent.vision.video import Video

VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
FROM_S, TO_S = 16.0, 40.0
CROWD, ROUNDS = 8, 400
SIZE = (768, 576)


class Recorder:
    """A session that keeps the last tensor that it was given."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.tensor: Any = None

    def run(self, output_names: None, input_feed: dict[str, Any]) -> list[Any]:
        """As the session does."""
        (self.tensor,) = input_feed.values()
        return self._session.run(output_names, input_feed)

    def get_inputs(self) -> list[Any]:
        """As the session does."""
        return self._session.get_inputs()


class Stopwatch:
    """Wall and processor seconds of the steps that are timed with it."""

    def __init__(self) -> None:
        self.wall_s: list[float] = []
        self.cpu_s: list[float] = []
        self.stages_s: dict[str, float] = {}

    def start(self) -> None:
        """Begin a step."""
        self._wall, self._cpu = perf_counter(), process_time()
        self._stage = self._cpu

    def stage(self, name: str) -> None:
        """What has passed since the last stage was `name`."""
        now = process_time()
        self.stages_s[name] = self.stages_s.get(name, 0.0) + now - self._stage
        self._stage = now

    def stop(self) -> None:
        """End it."""
        self.wall_s.append(perf_counter() - self._wall)
        self.cpu_s.append(process_time() - self._cpu)


def main() -> dict[str, Any]:
    if not VTEST.exists():
        raise SystemExit(f"{VTEST} is not there: install Debian's package opencv-doc")
    figures: dict[str, Any] = {"default_model": DEFAULT}
    for name in sorted(PACKED):
        figures |= {f"{name}_{key}": value for key, value in pipeline(name).items()}
    return figures | {f"tracker_and_line_ms_with_{CROWD}_people": round(tracker_ms(), 3)}


def pipeline(name: str) -> dict[str, float]:
    """Milliseconds a looked-at frame, and the ratio of pipeline to bare session."""
    chosen = VisionModel.model_validate({"name": name})
    session, family = load(chosen)
    recorder = Recorder(session)
    detector, tracker = decoder(recorder, family, chosen), Tracker(RULES[family])
    counter, gate = LineCounter([_line()], SIZE), MotionGate()
    whole, bare = Stopwatch(), Stopwatch()
    crossings, people = [], []
    with closing(Video(str(VTEST))) as video:
        whole.start()
        for at_s, picture in frames(video, per_s=5):
            if picture is None:
                continue
            whole.stage("decode")
            assert gate.is_open(picture, at_s, people=tracker.following(at_s)), "somebody always walks here"
            whole.stage("gate")
            boxes = merge_overlapping(detector.candidates(picture, LOWEST_SCORE))
            whole.stage("detector")
            tracks = tracker.update(boxes, at_s)
            crossings += counter.update(tracks, at_s)
            whole.stage("tracker")
            whole.stop()
            people.append(len(tracks))
            bare.start()
            session.run(None, {session.get_inputs()[0].name: recorder.tensor})
            bare.stop()
            if at_s > TO_S:
                break
            whole.start()
    assert sum(people) > 100, "the pipeline must see the people of the clip"
    figures = {
        "pipeline_ms": median(whole.wall_s) * 1e3,
        "session_run_ms": median(bare.wall_s) * 1e3,
        "pipeline_over_session_run": sum(whole.cpu_s) / sum(bare.cpu_s),
        "people_a_frame": sum(people) / len(people),
        **{f"{name}_cpu_ms": spent_s / len(people) * 1e3 for name, spent_s in whole.stages_s.items()},
    }
    return {key: round(value, 3) for key, value in figures.items()} | _agreement(crossings)


def tracker_ms() -> float:
    """Median processor milliseconds of tracker and line for a crowd that walks to and fro over the line."""
    tracker, counter = Tracker(), LineCounter([_line()], SIZE)
    spent = []
    for step in range(ROUNDS):
        x = 400 + 150 * np.sin(step / 15 + np.arange(CROWD))
        y = 150 + 50 * np.arange(CROWD)
        boxes = np.stack([x - 20, y - 90, x + 20, y, np.full(CROWD, 0.8)], axis=1).astype(np.float32)
        started = process_time()
        tracks = tracker.update(boxes, step / 5)
        counter.update(tracks, step / 5)
        spent.append(process_time() - started)
        assert len(tracks) == CROWD
    return median(spent) * 1e3


def _line() -> CountingLine:
    return CountingLine.model_validate({"id": "square", "from": [400, 575], "to": [400, 60]})


def _agreement(crossings: list[Any]) -> dict[str, float]:
    folder = os.environ.get("SHELF_EDGE_DATA")
    if not folder:
        return {}
    truth = read_truth(Path(folder, "video", "vtest.truth.json"))
    events = [event for event in truth.events if event.t_s < TO_S - truth.tolerance_s]
    part = truth.model_copy(update={"events": events, "window_s": [FROM_S, TO_S]})
    return {"event_f1": round(compare(crossings, part).f1, 3), "true_events": len(events)}
