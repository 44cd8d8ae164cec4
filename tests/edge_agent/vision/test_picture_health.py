"""When a picture tells nothing: black, frozen, or of another shape than the lines were drawn on."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sims.door_scene import DoorScene
from edge_agent.vision.families import Picture
from edge_agent.vision.frame_size import FrameSize
from edge_agent.vision.picture_health import BLACK_AFTER_S, FROZEN_AFTER_S, PictureHealth

PER_S = 5


def noisy(mean: float, sd: float, seed: int) -> Picture:
    """A picture of a real sensor: no two are the same."""
    noise = np.random.default_rng(seed).normal(mean, sd, (360, 640, 3))
    return np.asarray(np.clip(noise, 0, 255), np.uint8)


def problems(pictures: Iterable[Picture], health: PictureHealth | None = None) -> list[str | None]:
    """What is said of each, PER_S of them a second."""
    health = health or PictureHealth()
    return [health.problem(picture, number / PER_S) for number, picture in enumerate(pictures)]


def titled(picture: Picture) -> Picture:
    """With the name and the date that a camera writes into its picture."""
    picture = picture.copy()
    cv2.putText(
        picture, "CAM 01  2026-11-27 22:14:07", (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255)
    )
    return picture


@pytest.mark.parametrize(
    "dark",
    [
        pytest.param(np.zeros((360, 640, 3), np.uint8), id="no light"),
        pytest.param(titled(np.zeros((360, 640, 3), np.uint8)), id="with a title"),
        pytest.param(noisy(8, 6, 1), id="with the noise of an amplifier"),
    ],
)
def test_a_dark_picture_is_black_after_its_time_and_good_again_at_once(dark: Picture) -> None:
    seen = problems([noisy(90, 5, 2), *[dark] * 40, noisy(90, 5, 3)])
    assert seen[: int(BLACK_AFTER_S * PER_S)] == [None] * int(BLACK_AFTER_S * PER_S)
    assert seen[int(BLACK_AFTER_S * PER_S) : -1] == ["the picture is black"] * (
        41 - int(BLACK_AFTER_S * PER_S)
    )
    assert seen[-1] is None


def test_a_camera_that_starts_in_the_dark_is_black_too() -> None:
    assert problems([noisy(4, 2, n) for n in range(30)])[-1] == "the picture is black"


def test_a_dark_room_with_a_lamp_in_it_is_not_black() -> None:
    room = noisy(6, 3, 1)
    room[100:180, 200:300] = 200
    assert set(problems([room] * 40)) == {None}


def test_the_same_picture_to_the_last_bit_is_frozen_until_one_bit_changes() -> None:
    still = noisy(90, 20, 1)
    changed = still.copy()
    changed[359, 639, 2] ^= 1
    seen = problems([*[still] * 200, changed])
    frozen = [word is not None and "frozen" in word for word in seen]
    assert FROZEN_AFTER_S <= frozen.index(True) / PER_S <= FROZEN_AFTER_S + 2 / PER_S
    assert all(frozen[frozen.index(True) : -1])
    assert not frozen[-1]


def test_a_still_scene_with_the_noise_of_a_sensor_is_not_frozen() -> None:
    pictures = [noisy(90, 1, n) for n in range(8)]
    assert set(problems(pictures[n % 8] for n in range(400))) == {None}


def test_a_shape_that_moves_by_whole_words_is_not_frozen() -> None:
    """Its pixels have the same sum wherever it is."""

    def film() -> Iterable[Picture]:
        for number in range(300):
            picture = np.full((360, 640, 3), 90, np.uint8)
            picture[100:150, 64 + number % 8 * 8 :][:, :40] = 200
            yield picture

    assert set(problems(film())) == {None}


def test_how_long_it_may_be_still_can_be_set() -> None:
    seen = problems([noisy(90, 5, 1)] * 30, PictureHealth(frozen_after_s=2))
    assert seen[-1] == "frozen: the same picture for 2 s, to the last bit"


def test_an_empty_entrance_of_a_simulated_store_is_good() -> None:
    scene, health = DoorScene(7), PictureHealth(frozen_after_s=1)
    assert {health.problem(scene.render(n / PER_S, []), n / PER_S) for n in range(20)} == {None}


@given(st.integers(40, 4000), st.integers(40, 4000), st.integers(1, 8))
def test_a_sub_stream_has_the_shape_of_the_main_stream(width: int, height: int, part: int) -> None:
    main = FrameSize(width * part, height * part)
    assert main.has_shape_of(FrameSize(width, height))
    assert not main.has_shape_of(FrameSize(width, height + height // 10 + 1))


def test_what_is_marked_in_the_picture_stays_where_it_was() -> None:
    large = np.zeros((720, 1280, 3), np.uint8)
    large[300:420, 600:800] = 255
    small = np.asarray(cv2.resize(large, (640, 360), interpolation=cv2.INTER_AREA), np.uint8)
    for first, other in ((large, small), (small, large)):
        back = FrameSize.of(first).fitted(other)
        assert back.shape == first.shape
        assert float(np.abs(back.astype(int) - first).mean()) < 1
