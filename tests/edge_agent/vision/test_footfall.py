"""The counting rules, without any picture: tracks in, crossings out."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.config.cameras import CountingLine
from edge_agent.vision.footfall import LineCounter, offset_from
from edge_agent.vision.track import Track

HEIGHT = 100.0
SIZE = (640, 640)
DOOR = CountingLine.model_validate({"id": "door", "from": [100, 300], "to": [500, 300]})


def seen(x: float, feet_y: float, *, track: int = 1, confirmed: bool = True, at_s: float = 0) -> Track:
    """A person of 40 x 100 pixels whose feet are at (x, feet_y)."""
    return Track(
        track, (x - 20, feet_y - HEIGHT, x + 20, feet_y), seen_at_s=at_s, sure_at_s=at_s, confirmed=confirmed
    )


def count(walk: Iterable[tuple[float, float]], line: CountingLine = DOOR) -> list[str]:
    """Directions counted for one confirmed person whose feet take these positions, five a second."""
    counter = LineCounter([line], SIZE)
    return [
        crossing.direction
        for number, (x, y) in enumerate(walk)
        for crossing in counter.update([seen(x, y, at_s=number / 5)], number / 5)
    ]


def test_left_to_right_of_the_line_is_entered_and_back_is_exited() -> None:
    # Seen walking from (100, 300) to (500, 300) with y pointing down, the right side is below.
    assert count([(300, 250), (300, 350)]) == ["entered"]
    assert count([(300, 350), (300, 250)]) == ["exited"]


def test_a_line_drawn_the_other_way_turns_the_directions_round() -> None:
    turned = CountingLine.model_validate({"id": "door", "from": [500, 300], "to": [100, 300]})
    assert count([(300, 250), (300, 350)], turned) == ["exited"]


def test_the_right_side_is_where_the_cross_product_is_positive() -> None:
    upwards = CountingLine.model_validate({"id": "x", "from": [400, 575], "to": [400, 60]})
    assert offset_from(upwards, (410, 300)) == pytest.approx(10)
    assert offset_from(upwards, (390, 300)) == pytest.approx(-10)


def test_whoever_turns_back_on_the_line_is_not_counted() -> None:
    assert count([(300, 260), (300, 297), (300, 301), (300, 303), (300, 260)]) == []


def test_standing_on_the_line_counts_nothing_and_leaving_it_counts_once() -> None:
    swaying = [(300, 300 + 3 * (-1) ** n) for n in range(50)]
    assert count([(300, 200), *swaying]) == []
    assert count([(300, 200), *swaying, (300, 340)]) == ["entered"]


def test_pacing_near_the_line_counts_once_each_way() -> None:
    pacing = [(300, 300 + 40 * (-1) ** n) for n in range(21)]
    assert sorted(count(pacing)) == ["entered", "exited"]


def test_whoever_walks_away_and_comes_back_has_crossed_again() -> None:
    way = [(300, 150), (300, 450), (300, 150), (300, 450)]
    assert count(way) == ["entered", "exited", "entered"]


def test_passing_beyond_the_end_of_the_line_is_no_crossing() -> None:
    assert count([(540, 250), (540, 350)]) == []
    assert count([(60, 250), (60, 350)]) == []


def test_an_unconfirmed_track_never_counts_but_is_remembered() -> None:
    counter = LineCounter([DOOR], SIZE)
    assert counter.update([seen(300, 250, confirmed=False)], 0.0) == []
    assert counter.update([seen(300, 350, confirmed=False, at_s=0.2)], 0.2) == []
    crossings = counter.update([seen(300, 380, at_s=0.4)], 0.4)
    assert [(c.direction, c.at_s) for c in crossings] == [("entered", pytest.approx(0.1))]


def test_a_shadow_that_only_doubtful_boxes_follow_never_counts() -> None:
    counter = LineCounter([DOOR], SIZE)
    for step, y in enumerate((200, 250, 280, 320, 350, 400, 450)):
        shadow = Track(1, (280, y - HEIGHT, 320, y), seen_at_s=2 + step / 5, sure_at_s=0.5, confirmed=True)
        assert counter.update([shadow], 2 + step / 5) == []
    surely = Track(1, (280, 350, 320, 450), seen_at_s=4, sure_at_s=4, confirmed=True)
    assert [c.direction for c in counter.update([surely], 4.0)] == ["entered"]


def test_a_crossing_has_the_time_at_which_the_feet_were_over_the_line() -> None:
    counter = LineCounter([DOOR], SIZE)
    depths = (200, 280, 296, 303, 297, 301, 303, 360)  # a while on the line, and then over it
    walk = [seen(300, y, at_s=n / 5) for n, y in enumerate(depths)]
    [crossing] = [c for track in walk for c in counter.update([track], track.seen_at_s)]
    assert crossing.at_s == pytest.approx(0.95)


def test_a_line_to_the_edge_of_the_picture_counts_feet_that_are_cut_off_there() -> None:
    walk = [(250, 642), (350, 642)]
    edge = CountingLine.model_validate({"id": "door", "from": [300, 630], "to": [300, 100]})
    short = CountingLine.model_validate({"id": "door", "from": [300, 600], "to": [300, 100]})
    assert (count(walk, edge), count(walk, short)) == (["entered"], [])
    assert count([(250, 90), (350, 90)], edge) == []


def test_the_centre_can_be_the_anchor() -> None:
    centre = CountingLine.model_validate(
        {"id": "door", "from": [100, 300], "to": [500, 300], "anchor": "centre"}
    )
    assert count([(300, 330), (300, 345)], centre) == []
    assert count([(300, 330), (300, 370)], centre) == ["entered"]


def test_lines_count_independently() -> None:
    inner = CountingLine.model_validate({"id": "inner", "from": [100, 400], "to": [500, 400]})
    counter = LineCounter([DOOR, inner], SIZE)
    lines = [c.line for n, y in enumerate((250, 350, 450)) for c in counter.update([seen(300, y)], n / 5)]
    assert lines == ["door", "inner"]


def test_pacing_that_ends_in_a_walk_through_leaves_the_totals_right() -> None:
    pacing = [(300, 300 + 40 * (-1) ** n) for n in range(8)]
    assert count([(300, 150), *pacing, (300, 450)]) == ["entered", "exited", "entered"]


def test_walking_round_the_end_of_the_line_and_through_it_counts_the_way_through() -> None:
    assert count([(300, 250), (300, 450), (540, 450), (540, 150), (300, 250), (300, 450)]) == [
        "entered",
        "entered",
    ]


@given(st.lists(st.floats(0, 600), max_size=60))
def test_on_any_walk_directions_alternate_and_end_where_the_person_is(depths: list[float]) -> None:
    far = [150, *depths, 450]
    directions = count([(300, y) for y in far])
    assert directions == ["entered", "exited"] * (len(directions) // 2) + ["entered"]


@given(st.lists(st.floats(101, 499), min_size=2, max_size=20), st.integers(1, 6))
def test_people_who_walk_straight_through_are_all_counted(columns: list[float], steps: int) -> None:
    counter = LineCounter([DOOR], SIZE)
    total = 0
    for step in range(steps + 1):
        feet = 150 + 300 * step / steps
        tracks = [seen(x, feet, track=number) for number, x in enumerate(columns)]
        total += len(counter.update(tracks, step / 5))
    assert total == len(columns)
