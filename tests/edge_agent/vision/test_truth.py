"""How a count is compared with what really happened."""

from __future__ import annotations

import pytest

from edge_agent.vision.footfall import Crossing, Direction
from edge_agent.vision.truth import Truth, compare

TRUTH = Truth.model_validate(
    {
        "clip": "door.mp4",
        "line": [0, 0, 10, 0],
        "window_s": [0, 60],
        "tolerance_s": 1.0,
        "events": [
            {"t_s": 10, "direction": "entered"},
            {"t_s": 20, "direction": "exited"},
            {"t_s": 20.5, "direction": "exited"},
        ],
    }
)


def crossed(at_s: float, direction: Direction) -> Crossing:
    return Crossing("door", direction, at_s, track=1)


def test_direction_and_time_must_agree_and_each_event_is_hit_once() -> None:
    agreement = compare(
        [crossed(10.4, "entered"), crossed(19.5, "exited"), crossed(20.4, "exited"), crossed(20.6, "exited")],
        TRUTH,
    )
    assert (agreement.hits, agreement.missed, agreement.false) == (3, 0, 1)
    assert agreement.precision == pytest.approx(3 / 4)
    assert agreement.recall == 1
    assert agreement.total_error == pytest.approx(1 / 3)


def test_errors_that_cancel_in_the_total_show_in_the_events() -> None:
    agreement = compare([crossed(10, "exited"), crossed(20, "exited"), crossed(40, "exited")], TRUTH)
    assert agreement.total_error == 0
    assert agreement.f1 == pytest.approx(2 / (2 + 2 + 2))


def test_what_is_outside_the_window_does_not_matter() -> None:
    assert compare([crossed(70, "entered")], TRUTH).false == 0
    assert compare([], TRUTH).f1 == 0
