"""Tracker and counting rules on a detector's boxes of a real crowd: three lines, forwards and backwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent.vision.footfall import Crossing, LineCounter
from edge_agent.vision.track import RULES, Tracker
from edge_agent.vision.truth import Truth, compare

GOLDEN = Path(__file__).parents[2] / "golden"
FRAMES = [
    (at_s, np.array(boxes, np.float32).reshape(-1, 5))
    for at_s, boxes in json.loads((GOLDEN / "vtest.boxes.json").read_text())["frames"]
]
LINES = [
    Truth.model_validate(line) for line in json.loads((GOLDEN / "vtest.crossings.json").read_text())["lines"]
]
END_S = FRAMES[-1][0]


def counted(truth: Truth, frames: list[tuple[float, Any]]) -> list[Crossing]:
    tracker, counter = Tracker(RULES["nanodet"]), LineCounter([truth.counting_line], (768, 576))
    return [c for at_s, boxes in frames for c in counter.update(tracker.update(boxes, at_s), at_s)]


def backwards(truth: Truth) -> Truth:
    """The truth of the film when it is played from its end."""
    turned = {"entered": "exited", "exited": "entered"}
    return Truth.model_validate(
        {
            **truth.model_dump(),
            "events": [{"t_s": END_S - e.t_s, "direction": turned[e.direction]} for e in truth.events],
            "window_s": [END_S - truth.window_s[1], END_S - truth.window_s[0]],
        }
    )


@pytest.mark.parametrize("way", ["forwards", "backwards"])
def test_the_crossings_of_a_crowd_are_counted_wherever_the_line_is(way: str) -> None:
    frames = FRAMES if way == "forwards" else [(END_S - at_s, boxes) for at_s, boxes in reversed(FRAMES)]
    hits = missed = false = 0
    for line in LINES:
        truth = line if way == "forwards" else backwards(line)
        found = compare(counted(truth, frames), truth)
        hits, missed, false = hits + found.hits, missed + found.missed, false + found.false
    assert 2 * hits / (2 * hits + missed + false) >= 0.96, (hits, missed, false)


def test_a_crossing_is_told_for_the_moment_at_which_it_was_seen_to_happen() -> None:
    for truth in LINES:
        at = truth.model_copy(update={"tolerance_s": 0.6})
        assert compare(counted(at, FRAMES), at).recall >= 0.9
