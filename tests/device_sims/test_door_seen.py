from __future__ import annotations

from random import Random

import numpy as np
import pytest

from device_sims.door_scene import DoorScene
from device_sims.walk import random_walk

SCENE = DoorScene(1)


@pytest.mark.parametrize("seed", range(4))
def test_the_box_of_a_visitor_holds_what_they_change_in_the_picture(seed: int) -> None:
    walk = random_walk(Random(seed), "entered", 0.0, [])
    t_s = walk.crosses_at_s
    (seen,) = SCENE.seen(t_s, [walk])
    left, top, right, bottom = seen.box
    changed = np.abs(SCENE.render(t_s, [walk]).astype(int) - SCENE.render(t_s, [])).max(axis=2) > 40
    assert seen.walk is walk
    assert seen.share > 0.9
    assert changed[top:bottom, left:right].mean() > 0.3
    changed[top - 3 : bottom + 3, left - 3 : right + 3] = False
    assert changed.mean() < 0.002  # the shadow on the floor is no part of a body


def test_who_is_hidden_or_half_out_of_the_picture_is_seen_in_part() -> None:
    walk = random_walk(Random(1), "entered", 0.0, [])
    shares = [
        seen.share for t_s in np.arange(0, walk.ends_at_s, 0.1) for seen in SCENE.seen(float(t_s), [walk])
    ]
    assert max(shares) > 0.95
    assert shares[-1] < 0.5
    assert shares[0] < 0.9


def test_the_nearer_of_two_hides_the_farther() -> None:
    first = random_walk(Random(2), "entered", 0.0, [])
    second = random_walk(Random(2), "entered", 0.5, [])
    farther, nearer = SCENE.seen(second.crosses_at_s, [first, second])
    assert (farther.walk, nearer.walk) == (second, first)
    assert farther.share < nearer.share


def test_nobody_is_seen_in_an_empty_entrance() -> None:
    assert SCENE.seen(0.0, []) == []
