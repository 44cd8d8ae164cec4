"""The tracker, on boxes made by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.vision.families import Boxes
from edge_agent.vision.track import Tracker, TrackRules


def person(
    x: float, y: float = 300, score: float = 0.9, *, width: float = 40, height: float = 100
) -> list[float]:
    return [x - width / 2, y - height, x + width / 2, y, score]


def boxes(*people: list[float]) -> Boxes:
    return np.array(people, np.float32).reshape(-1, 5)


def test_a_walker_keeps_one_id_and_is_confirmed_at_the_third_sight() -> None:
    tracker = Tracker()
    sights = [tracker.update(boxes(person(100 + 25 * n)), n / 5)[0] for n in range(10)]
    assert {track.id for track in sights} == {1}
    confirmed = Tracker()
    assert [confirmed.update(boxes(person(100)), n / 5)[0].confirmed for n in range(4)] == [
        False,
        False,
        True,
        True,
    ]


def test_two_people_who_pass_each_other_keep_their_ids() -> None:
    tracker = Tracker()
    for n in range(21):
        left, right = 100 + 20 * n, 500 - 20 * n
        tracks = {
            t.box[0] + 20: t.id for t in tracker.update(boxes(person(left, 300), person(right, 315)), n / 5)
        }
        if n == 0:
            first = (tracks[left], tracks[right])
    assert (tracks[left], tracks[right]) == first


def test_somebody_hidden_for_a_second_comes_back_as_the_same() -> None:
    tracker = Tracker()
    for n in range(5):
        before = tracker.update(boxes(person(100 + 10 * n)), n / 5)
    for n in range(5, 10):
        assert tracker.update(boxes(), n / 5) == []
    assert tracker.update(boxes(person(200)), 10 / 5)[0].id == before[0].id


def test_a_track_ends_when_nobody_is_seen_for_long() -> None:
    tracker = Tracker(TrackRules(lost_after_s=1.0))
    first = tracker.update(boxes(person(100)), 0.0)[0].id
    assert tracker.update(boxes(person(100)), 1.2)[0].id != first


def test_doubtful_boxes_keep_a_confirmed_person_alive_and_start_nobody() -> None:
    tracker = Tracker()
    for n in range(4):
        known = tracker.update(boxes(person(100)), n / 5)
    for n in range(4, 20):
        tracks = tracker.update(boxes(person(100, score=0.2), person(400, score=0.2)), n / 5)
        assert [t.id for t in tracks] == [known[0].id]


def test_somebody_who_stops_short_is_continued_where_the_track_died() -> None:
    tracker = Tracker()
    for n in range(6):
        walking = tracker.update(boxes(person(100 + 40 * n)), n / 5)
    last, unseen_until_s = walking[0].box, 5 / 5 + 0.4
    assert walking[0].expected(unseen_until_s)[0] > last[2] + 24
    stopped = tracker.update(boxes(person(100 + 40 * 5)), unseen_until_s)
    assert stopped[0].id == walking[0].id


def test_a_box_over_two_people_at_once_starts_nobody_and_leads_nobody_astray() -> None:
    tracker = Tracker()
    for n in range(4):
        two = tracker.update(boxes(person(100), person(150)), n / 5)
    both = person(125, score=0.6, width=90)
    for n in range(4, 9):
        tracks = tracker.update(boxes(person(100), person(150), both), n / 5)
        assert [t.id for t in tracks] == [t.id for t in two]


def test_no_boxes_at_all_is_fine() -> None:
    tracker = Tracker()
    assert tracker.update(boxes(), 0.0) == []
    assert tracker.update(boxes(), 0.2) == []


@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 700), st.floats(100, 500), st.floats(0.05, 1)), max_size=8),
        max_size=12,
    )
)
def test_each_box_goes_to_one_track_and_ids_are_never_used_twice(
    film: list[list[tuple[float, float, float]]],
) -> None:
    tracker = Tracker()
    newest = 0
    for n, people in enumerate(film):
        tracks = tracker.update(boxes(*(person(x, y, score) for x, y, score in people)), n / 5)
        ids = [t.id for t in tracks]
        assert len(ids) == len(set(ids)) <= len(people)
        assert all(i <= newest or i in range(newest + 1, newest + 9) for i in ids)
        newest = max([newest, *ids])
