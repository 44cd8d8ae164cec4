"""Drawn places on a drawn shelf: alignment, score, fill, votes, the baseline on disk, when a shelf can be seen."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_sims.shelf_layout import Spot
from device_sims.shelf_scene import ShelfScene
from edge_agent.config.cameras import ShelfGap
from edge_agent.contract.errors import ConfigError, NotInPlanogram
from edge_agent.vision import shelf_baseline
from edge_agent.vision.alignment import align, shrunk
from edge_agent.vision.gap_net import GapNet
from edge_agent.vision.gap_vote import CLOSES_AT, NEEDED, OPENS_AT, WINDOW, GapVote
from edge_agent.vision.shelf import shelf_of
from edge_agent.vision.shelf_area import edges_of, grey_of
from edge_agent.vision.shelf_watch import ShelfWatch
from edge_agent.vision.slot import SIDE, slot_of
from edge_agent.vision.slot_score import ALONE, BESIDE, SlotSeen, judged
from edge_agent.vision.slot_signs import Signs
from edge_agent.vision.snapshot import baseline_of, snapshot_of
from edge_agent.vision.stillness import Stillness

Picture = npt.NDArray[np.uint8]

SIZE = (960, 540)
SPOTS = [
    Spot(f"A{row}-0{column}", f"S{row}", column * 260.0, 260.0, 8, gtin)
    for row, column, gtin in (
        (1, 1, "06901234100013"),
        (1, 2, "06901234101386"),
        (2, 1, "06901234104127"),
        (2, 2, "06901234106862"),
    )
]
FULL = {spot.facing: 8 for spot in SPOTS}
SCENE = ShelfScene(5, SPOTS, SIZE)
FACINGS = {spot.facing: [list(corner) for corner in SCENE.polygon(spot.facing)] for spot in SPOTS}
SHELF = shelf_of(FACINGS, SIZE)
AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
NOBODY = np.zeros((0, 5), np.float32)


@pytest.fixture(scope="module")
def net() -> GapNet:
    return GapNet()


def moved(picture: Picture, *, dx: float = 0, dy: float = 0, turn_deg: float = 0, gain: float = 1) -> Picture:
    matrix = cv2.getRotationMatrix2D((SIZE[0] / 2, SIZE[1] / 2), turn_deg, 1)
    matrix[:, 2] += dx, dy
    shifted = cv2.warpAffine(picture, matrix, SIZE, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(np.clip(shifted * gain, 0, 255), np.uint8)


def outline(picture: Picture) -> npt.NDArray[np.float32]:
    return shrunk(edges_of(grey_of(SHELF.area.of(picture))))


AREA_SIZE = (SHELF.area.right - SHELF.area.left, SHELF.area.bottom - SHELF.area.top)
STOCKED = SCENE.render(0, FULL)


@settings(max_examples=6, deadline=None)
@given(
    st.floats(-8, 8), st.floats(-8, 8), st.floats(-1, 1), st.floats(0.6, 1.25),
    st.sets(st.sampled_from(sorted(FULL)), max_size=2),
)  # fmt: skip
def test_a_small_shift_and_turn_is_found_whatever_the_light_and_the_gaps(
    dx: float, dy: float, turn_deg: float, gain: float, emptied: set[str]
) -> None:
    now = SCENE.render(3, {name: 0 if name in emptied else 8 for name in FULL})
    seen = moved(now, dx=dx, dy=dy, turn_deg=turn_deg, gain=gain)
    alignment = align(outline(STOCKED), outline(seen), AREA_SIZE)
    assert alignment.moved is None
    matrix = cv2.getRotationMatrix2D((SIZE[0] / 2, SIZE[1] / 2), turn_deg, 1)
    matrix[:, 2] += dx, dy
    corner = np.array([SHELF.area.left, SHELF.area.top])
    for x, y in ((480.0, 270.0), (300.0, 150.0)):
        appears = matrix @ (x, y, 1) - corner
        lies = alignment.lies @ (*appears, 1)
        assert np.hypot(*(lies[:2] + corner - (x, y))) < 2


def test_a_camera_that_was_turned_away_or_hung_elsewhere_is_noticed() -> None:
    wide = [Spot(f"B{n}", f"S{n // 5}", n % 5 * 180.0, 180.0, 5, SPOTS[n % 4].gtin) for n in range(15)]
    other = ShelfScene(99, wide, SIZE).render(0, {spot.facing: 5 for spot in wide})
    away = moved(STOCKED, dx=160, dy=40)
    for picture in (other, away):
        assert "moved" in (
            align(outline(STOCKED), outline(np.asarray(picture, np.uint8)), AREA_SIZE).moved or ""
        )


@pytest.mark.parametrize("gain", [0.75, 1.0, 1.2])
def test_beside_a_baseline_emptied_places_are_gaps_and_stocked_ones_are_not(net: GapNet, gain: float) -> None:
    baseline = baseline_of(net, SHELF, STOCKED)
    now = moved(SCENE.render(7, {**FULL, "A1-01": 0, "A2-02": 0}), dx=3, dy=-2, turn_deg=0.4, gain=gain)
    seen = snapshot_of(net, SHELF, now, baseline).seen
    assert {name for name, one in seen.items() if one.score >= OPENS_AT} == {"A1-01", "A2-02"}
    assert all((one.fill < 0.4) == (name in ("A1-01", "A2-02")) for name, one in seen.items())


def test_the_last_column_of_products_is_no_gap(net: GapNet) -> None:
    """Left third stocked, the rest as the empty shelf looks."""
    baseline = baseline_of(net, SHELF, STOCKED)
    empty, now = SCENE.render(0, {}), STOCKED.copy()
    left, right = (min(x for x, _ in FACINGS["A1-01"]), max(x for x, _ in FACINGS["A1-01"]))
    top, bottom = (min(y for _, y in FACINGS["A1-01"]), max(y for _, y in FACINGS["A1-01"]))
    third = left + (right - left) * 4 // 10
    now[top:bottom, third:right] = empty[top:bottom, third:right]
    seen = snapshot_of(net, SHELF, now, baseline).seen["A1-01"]
    assert seen.score < OPENS_AT
    assert seen.fill < 0.8


cells = st.lists(st.floats(0, 1), min_size=6, max_size=6)


@given(cells, st.integers(0, 5), st.floats(0, 1), st.sampled_from([ALONE, BESIDE]))
def test_the_fill_never_falls_when_a_cell_looks_less_bare(
    bare: list[float], which: int, less: float, calibration: Any
) -> None:
    def signs(values: list[float]) -> Signs:
        nothing = np.zeros(6)
        odds = np.array(values) * 4 + 1
        return Signs(np.full(6, 1 / 6), odds, np.array(values), nothing, nothing, nothing, columns=3)

    fewer = [*bare]
    fewer[which] *= less
    before, after = judged(signs(bare), calibration), judged(signs(fewer), calibration)
    assert after.fill >= before.fill - 1e-9
    assert after.score <= before.score + 1e-9


@given(st.lists(st.floats(0, 1), max_size=40))
def test_a_vote_changes_only_when_three_of_the_last_five_say_so(scores: list[float]) -> None:
    vote, verdicts = GapVote(), list[bool]()
    for score in scores:
        before = vote.gap
        verdicts.append(score >= (CLOSES_AT if before else OPENS_AT))
        vote.saw(SlotSeen(score, 1 - score))
        if vote.gap != before:
            assert verdicts[-WINDOW:].count(bool(vote.gap)) >= NEEDED
        assert 0 <= vote.fill <= 1
    assert (vote.gap is None) == (max(map(verdicts.count, (True, False))) < NEEDED and len(verdicts) < WINDOW)


def test_a_score_that_wavers_between_both_limits_never_flaps() -> None:
    vote = GapVote()
    for _ in range(3):
        vote.saw(SlotSeen(0.9, 0.1))
    for score in (0.4, 0.6) * 10:
        vote.saw(SlotSeen(score, 0.1))
        assert vote.gap is True


def test_four_corners_in_any_order_give_the_same_upright_view() -> None:
    corners = [[100, 80], [300, 60], [310, 200], [95, 190]]
    grey = grey_of(STOCKED)
    first = slot_of(corners).upright(grey, np.eye(3))
    for turned in (corners[2:] + corners[:2], corners[::-1]):
        assert np.array_equal(slot_of(turned).upright(grey, np.eye(3)), first)
    assert max(first.shape) == SIDE
    odd = slot_of([[100, 80], [300, 60], [310, 200], [200, 120], [95, 190]])
    assert 0.4 < float(odd.inside.mean()) < 0.8


@pytest.mark.parametrize(
    ("polygon", "words"),
    [
        ([[900, 10], [990, 10], [990, 90], [900, 90]], "beyond the picture of 960x540"),
        ([[10, 10], [20, 10], [20, 200], [10, 200]], "only 10 pixels"),
    ],
)
def test_a_place_that_shows_nothing_is_a_clear_error(polygon: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        shelf_of({"A1-01": polygon}, SIZE)


def test_a_baseline_is_kept_without_a_picture_and_void_when_the_places_are_drawn_anew(
    net: GapNet, tmp_path: Path
) -> None:
    taken = baseline_of(net, SHELF, STOCKED, file="abc")
    shelf_baseline.save(taken, tmp_path)
    kept = shelf_baseline.load(tmp_path, SHELF.geometry)
    assert kept is not None
    assert kept.file == "abc"
    for name, view in taken.views.items():
        assert np.abs(kept.views[name].edges - np.minimum(view.edges, 1)).max() < 1 / 255
    drawn_anew = shelf_of({**FACINGS, "A1-01": [[x + 1, y] for x, y in FACINGS["A1-01"]]}, SIZE)
    assert shelf_baseline.load(tmp_path, drawn_anew.geometry) is None
    good = (tmp_path / shelf_baseline.FILE).read_bytes()
    middle = len(good) // 2
    for torn in (b"PK\x03\x04 torn", b"", good[:middle] + bytes(512) + good[middle + 512 :]):
        (tmp_path / shelf_baseline.FILE).write_bytes(torn)
        assert shelf_baseline.load(tmp_path, SHELF.geometry) is None


def test_a_new_mask_ends_the_baseline_and_a_place_under_one_is_a_clear_error() -> None:
    beside = [[0, 0], [4, 0], [4, 4], [0, 4]]
    assert shelf_of(FACINGS, SIZE, [beside]).geometry != SHELF.geometry
    with pytest.raises(ConfigError, match="A1-01 lies mostly under a mask"):
        shelf_of(FACINGS, SIZE, [FACINGS["A1-01"]])


def watch(folder: Path | None = None) -> ShelfWatch:
    return ShelfWatch("cam-a", ShelfGap.model_validate({"facings": FACINGS}), folder)


def test_restocked_takes_the_next_look_as_baseline_but_not_that_of_an_empty_place(
    net: GapNet, tmp_path: Path
) -> None:
    one = watch(tmp_path)
    with pytest.raises(NotInPlanogram, match="B9"):
        one.restocked(["B9"])
    assert one.restocked(None) == sorted(FACINGS)
    now = SCENE.render(1, {**FULL, "A1-02": 0})
    one.saw(snapshot_of(net, SHELF, now, None), SHELF, AT)
    assert one.baseline is not None
    assert {"A1-01", "A2-01"} <= one.baseline.views.keys()
    assert "A1-02" not in one.baseline.views
    assert not one.begins_anew
    one.keep()
    again = watch(tmp_path)
    again.open(SHELF)
    assert again.baseline is not None
    assert again.baseline.views.keys() == one.baseline.views.keys()


def test_a_camera_that_stays_moved_says_so_and_nothing_of_its_facings(net: GapNet) -> None:
    one = watch()
    one.restocked(None)
    one.saw(snapshot_of(net, SHELF, STOCKED, None), SHELF, AT)
    away = moved(STOCKED, dx=160, dy=40)
    for _ in range(3):
        assert one.trouble is None
        assert one.saw(snapshot_of(net, SHELF, away, one.baseline), SHELF, AT) == ()
    assert "moved" in (one.trouble or "")
    one.trouble = "the shelf cannot be judged: people stand before the shelf"
    for _ in range(3):
        one.saw(snapshot_of(net, SHELF, STOCKED, one.baseline), SHELF, AT)
    for _ in range(3):
        one.saw(snapshot_of(net, SHELF, away, one.baseline), SHELF, AT)
    assert "moved" in (one.trouble or "")
    one.saw(snapshot_of(net, SHELF, STOCKED, one.baseline), SHELF, AT)
    assert one.trouble is None


def test_a_shelf_is_seen_when_nobody_stood_before_it_for_three_seconds_and_nothing_moves() -> None:
    still = Stillness(SHELF)
    person = np.array([[400, 0, 600, 540, 0.9]], np.float32)
    beside = np.array([[0, 0, SHELF.area.left - 1, 540, 0.9]], np.float32)
    frames = [SCENE.render(t, FULL) for t in range(10)]
    said = [still.why_not(frames[t], NOBODY, float(t)) for t in range(4)]
    assert said[:3] == ["people stand before the shelf"] * 3
    assert said[3] is None
    assert still.why_not(frames[4], person, 4.0) == "people stand before the shelf"
    assert [still.why_not(frames[t], beside, float(t)) is None for t in (5, 6, 7, 8)] == [False] * 3 + [True]
    assert (
        still.why_not(SCENE.render(9, {**FULL, "A1-01": 0}), NOBODY, 9.0)
        == "something moves before the shelf"
    )
    assert "dark" in (still.why_not(frames[0] // 64, NOBODY, 10.0) or "")
    after_an_outage = [still.why_not(frames[1], NOBODY, float(t)) for t in (3600, 3601, 3602)]
    assert after_an_outage == ["people stand before the shelf"] * 3
