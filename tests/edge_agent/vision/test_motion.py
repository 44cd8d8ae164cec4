"""The motion gate: what opens it, what keeps it open, and what does not."""

from __future__ import annotations

import numpy as np

from edge_agent.vision.families import Picture
from edge_agent.vision.motion import MotionGate

NOISE = [np.random.default_rng(seed).integers(-8, 9, (360, 640, 3), np.int16) for seed in range(10)]


def scene(x: int | None = None, *, light: int = 0, seed: int = 0) -> Picture:
    """640 x 360 with sensor noise; somebody of 20 pixels stands at column `x`."""
    picture = NOISE[seed % len(NOISE)] + np.int16(120 + light)
    if x is not None:
        picture[150:170, x : x + 7] = 20
    return picture.astype(np.uint8)


def opened(gate: MotionGate, pictures: list[Picture], *, start_s: float = 0, people: int = 0) -> list[bool]:
    return [gate.is_open(p, start_s + n / 5, people=people) for n, p in enumerate(pictures)]


def settled() -> MotionGate:
    gate = MotionGate()
    opened(gate, [scene(seed=n) for n in range(20)])
    return gate


def test_a_still_scene_is_looked_at_every_two_seconds_only() -> None:
    looks = opened(settled(), [scene(seed=n) for n in range(100, 150)], start_s=4)
    assert 4 <= sum(looks) <= 6


def test_a_distant_person_who_walks_slowly_opens_it() -> None:
    walk = [scene(300 + n, seed=n) for n in range(30)]  # 5 pixels a second
    assert all(opened(settled(), walk, start_s=4)[10:])


def test_light_that_changes_all_over_does_not_open_it() -> None:
    looks = opened(settled(), [scene(light=2 * n, seed=n) for n in range(40)], start_s=4)
    assert sum(looks) <= 5


def test_whoever_stands_still_keeps_it_open() -> None:
    assert all(opened(settled(), [scene(300, seed=n) for n in range(40)], start_s=4, people=1))


def test_another_size_of_picture_is_motion_and_no_error() -> None:
    assert settled().is_open(scene()[:180, :320], 4.0, people=0)
