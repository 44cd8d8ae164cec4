from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from device_sims.product_look import look_of
from device_sims.shelf_layout import BOARD_DEPTH_MM, Spot, lay_out
from device_sims.shelf_scene import ShelfScene

GTINS = (
    "06901234100013",
    "06901234101386",
    "06901234102758",
    "06901234104127",
    "06901234106862",
    "06901234110975",
)
CAPACITIES = (23, 16, 5, 12, 1, 24)
SPOTS = [
    Spot(f"A1-0{n + 1}", f"A1-S{n // 3 + 1}", (n % 3) * 180.0, 180.0, capacity, gtin)
    for n, (gtin, capacity) in enumerate(zip(GTINS, CAPACITIES, strict=True))
]
FULL = {spot.facing: spot.capacity for spot in SPOTS}
SCENE = ShelfScene(1, SPOTS)


def still(counts: Mapping[str, int], scene: ShelfScene = SCENE) -> NDArray[np.int64]:
    """Without most of the noise: the middle of several frames."""
    return np.median([scene.render(t_s / 2, counts) for t_s in range(5)], axis=0).astype(np.int64)


def inside(facing: str, *, margin_px: int = 0) -> NDArray[np.bool_]:
    import cv2

    mask = np.zeros((720, 1280), np.uint8)
    cv2.fillPoly(mask, [np.array(SCENE.polygon(facing))], 1)
    return cv2.dilate(mask, np.ones((2 * margin_px + 1,) * 2)).astype(bool)


def change(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.abs(one - other).max(axis=2)


def test_the_same_seed_time_and_counts_give_the_same_bytes() -> None:
    again = ShelfScene(1, SPOTS)
    some = {**FULL, "A1-02": 7}
    for t_s, counts in ((0.0, FULL), (2.5, some), (2.5, {}), (4.0, FULL)):
        assert np.array_equal(SCENE.render(t_s, counts), again.render(t_s, counts))
    assert not np.array_equal(SCENE.render(2.5, FULL), ShelfScene(2, SPOTS).render(2.5, FULL))


def test_what_was_shown_before_does_not_matter() -> None:
    first = SCENE.render(1.0, FULL)
    SCENE.render(1.0, {"A1-01": 3})
    assert np.array_equal(SCENE.render(1.0, FULL), first)


def test_an_untouched_shelf_still_has_sensor_noise() -> None:
    one, other = SCENE.render(0.0, FULL).astype(int), SCENE.render(0.5, FULL).astype(int)
    assert one.shape == (720, 1280, 3)
    assert 1.0 < np.abs(one - other).mean() < 8.0


@pytest.mark.parametrize("facing", FULL)
def test_an_empty_place_differs_from_a_full_one_and_nowhere_else(facing: str) -> None:
    changed = change(
        SCENE.render(0.0, FULL).astype(np.int64), SCENE.render(0.0, {**FULL, facing: 0}).astype(np.int64)
    )
    assert (changed[inside(facing)] > 25).mean() > 0.2
    assert changed[~inside(facing, margin_px=2)].max() == 0


@pytest.mark.parametrize("facing", FULL)
def test_each_item_that_goes_changes_the_picture_of_its_place(facing: str) -> None:
    place = inside(facing)
    pictures = [SCENE.render(0.0, {**FULL, facing: n}).astype(np.int64) for n in range(FULL[facing] + 1)]
    for count, (without, with_it) in enumerate(pairwise(pictures), start=1):
        assert (change(with_it, without)[place] > 10).sum() > 150, count


def test_an_empty_place_is_darker_behind_than_in_front() -> None:
    picture = still({})
    (left, top), (right, _), (_, bottom), _ = SCENE.polygon("A1-04")
    middle = picture[top + 5 : bottom - 5, left + 10 : right - 10].mean(axis=(1, 2))
    assert middle[: len(middle) // 3].mean() < 0.5 * middle[-10:].mean()


def test_places_are_where_the_planogram_has_them() -> None:
    corners = {facing: SCENE.polygon(facing) for facing in FULL}
    for (left, top), (right, _), (_, bottom), (_, floor) in corners.values():
        assert 0 <= left < right - 30 < 1250
        assert 0 <= top < bottom - 30 < 690
        assert abs(floor - bottom) < 8
    for left, right in (("A1-01", "A1-02"), ("A1-02", "A1-03"), ("A1-05", "A1-06")):
        assert corners[left][1] == pytest.approx(corners[right][0], abs=1)
    for upper, lower in (("A1-01", "A1-04"), ("A1-03", "A1-06")):
        assert corners[upper][2][1] < corners[lower][0][1]


def test_unknown_counts_are_none_and_too_many_are_a_full_place() -> None:
    assert np.array_equal(SCENE.render(0.0, {}), SCENE.render(0.0, dict.fromkeys(FULL, 0)))
    assert np.array_equal(SCENE.render(0.0, FULL), SCENE.render(0.0, {**FULL, "A1-01": 99, "elsewhere": 3}))


def test_the_front_row_goes_first_and_nothing_hangs_in_the_air() -> None:
    for place in lay_out(1, SPOTS).places:
        assert len(place.items) == place.spot.capacity
        rows = [item.row for item in place.items]
        assert rows == sorted(rows, reverse=True)
        for row in set(rows):
            lifts = [item.lift_mm for item in place.items if item.row == row]
            assert lifts == sorted(lifts)
        for item in place.items:
            assert 0 <= item.depth_mm <= BOARD_DEPTH_MM
            half = place.look.width_mm * place.size / 2
            assert place.spot.x_mm - 3 <= item.x_mm - half
            assert item.x_mm + half <= place.spot.x_mm + place.spot.width_mm + 3


def test_a_product_always_looks_the_same_and_products_differ() -> None:
    assert look_of(GTINS[0]) == look_of(GTINS[0])
    looks = [look_of(f"{number:014d}") for number in range(60)]
    assert {look.kind for look in looks} == {"bottle", "can", "bag", "box"}
    assert len({(look.kind, look.ground, look.accent, look.brand) for look in looks}) == 60


def test_the_picture_has_the_size_that_was_asked_for() -> None:
    scene = ShelfScene(3, SPOTS, size=(640, 480))
    assert scene.render(0.0, FULL).shape == (480, 640, 3)
    assert all(0 <= x < 640 and 0 <= y < 480 for facing in FULL for x, y in scene.polygon(facing))


@pytest.mark.parametrize("spots", [[], [SPOTS[0], SPOTS[0]]])
def test_a_rack_needs_spots_of_distinct_facings(spots: list[Spot]) -> None:
    with pytest.raises(ValueError, match="spots"):
        ShelfScene(1, spots)
