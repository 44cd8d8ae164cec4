from __future__ import annotations

from random import Random

import numpy as np
import pytest

from device_sims.body import dress
from device_sims.figure import draw_figure, draw_shadow
from device_sims.gait import Joint, joints, stride_length
from device_sims.looks import random_looks
from device_sims.perspective import Perspective

VIEW = Perspective(640, 480, focal_px=420.0, height_m=3.0, tilt_deg=30.0)
TOWARDS = np.array([0.0, -1.0])


@pytest.mark.parametrize("seed", range(6))
def test_a_body_is_as_tall_as_it_looks_and_stands_on_the_floor_through_the_whole_stride(seed: int) -> None:
    looks = random_looks(Random(seed))
    body = dress(looks)
    for walked_m in np.linspace(0, 1.5, 16):
        heights = body.pose(float(walked_m), 1.2, (0.0, 5.0), TOWARDS)[:, 2]
        assert -0.04 < heights.min() < 0.04
        assert heights.max() == pytest.approx(looks.height_m, rel=0.06)


def test_the_standing_foot_hardly_slides_over_the_floor() -> None:
    stride, step, slid = stride_length(1.2, 1.75) / 1.75, 0.02, 0.0
    soles = (Joint.HEEL, Joint.TOE, Joint.LEFT_HEEL, Joint.LEFT_TOE)
    for phase in np.arange(0.0, 2 * np.pi, step):
        now, later = joints(phase, stride), joints(phase + step, stride)
        standing = min(soles, key=lambda joint: now[joint, 2])
        slid += later[standing, 1] - now[standing, 1] + step / (2 * np.pi) * stride
    assert abs(slid) < 0.15 * stride


def test_people_shrink_with_distance_and_vanish_outside_the_picture() -> None:
    body = dress(random_looks(Random(3)))
    heights = []
    for y_m in (3.0, 5.0, 8.0):
        sprite = draw_figure(body, body.pose(0.3, 1.2, (0.0, y_m), TOWARDS), VIEW)
        assert sprite is not None
        heights.append(sprite.cover.shape[0])
    assert heights[0] > heights[1] > heights[2] > 60
    beside = body.pose(0.3, 1.2, (20.0, 5.0), TOWARDS)
    assert draw_figure(body, beside, VIEW) is None
    assert draw_shadow(body, beside, VIEW) is None


def test_a_figure_is_shaded_and_its_edges_are_soft() -> None:
    body = dress(random_looks(Random(4)))
    sprite = draw_figure(body, body.pose(0.0, 1.2, (0.0, 4.0), TOWARDS), VIEW)
    assert sprite is not None
    cover = sprite.cover[:, :, 0]
    assert ((cover > 20) & (cover < 235)).sum() > 100
    assert len(np.unique(sprite.colour[cover == 255], axis=0)) > 200
    assert (sprite.colour.astype(int) <= sprite.cover.astype(int) + 2).all()


def test_the_shadow_lies_at_the_feet() -> None:
    body = dress(random_looks(Random(5)))
    corners = body.pose(0.0, 1.2, (0.0, 4.0), TOWARDS)
    shadow = draw_shadow(body, corners, VIEW)
    assert shadow is not None
    _, feet_y = VIEW.pixel(0.0, 4.0)
    darkest = shadow.top + np.argmax(shadow.cover[:, :, 0].max(axis=1))
    assert abs(darkest - feet_y) < 40
    assert not shadow.colour.any()
