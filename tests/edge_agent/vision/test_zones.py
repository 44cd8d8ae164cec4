"""Zones and heat map, on tracks made by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.vision.heat import HeatMap
from edge_agent.vision.track import Track
from edge_agent.vision.zones import Zone

SQUARE = [[100, 100], [300, 100], [300, 300], [100, 300]]


def person(x: float, y: float, at_s: float, *, track: int = 1, confirmed: bool = True) -> Track:
    return Track(track, (x - 20, y - 100, x + 20, y), at_s, confirmed=confirmed)


def test_a_visit_lasts_from_the_way_in_to_the_last_sight_inside() -> None:
    zone, ended = Zone(SQUARE), []
    for at_s, x in enumerate((50, 150, 200, 250, 350, 400)):
        ended += zone.update([person(x, 200, at_s)], at_s)
    [visit] = ended
    assert (visit.from_s, visit.to_s, visit.dwell_s) == (1, 3, 2)
    assert zone.occupancy == 0


def test_swaying_on_the_border_is_one_visit_and_lingering_outside_of_it_is_none() -> None:
    zone = Zone(SQUARE)
    assert zone.update([person(150, 200, 0)], 0) == []
    for step in range(1, 20):
        assert zone.update([person(300 + 3 * (-1) ** step, 200, step)], step) == []
    assert zone.occupancy == 1
    outside = Zone(SQUARE)
    for step in range(20):
        outside.update([person(300 + 3 * (-1) ** step, 200, step)], step)
    assert outside.occupancy == 0


def test_unconfirmed_tracks_are_nobody() -> None:
    zone, heat = Zone(SQUARE), HeatMap((640, 480), columns=8, rows=6)
    for step in range(5):
        tracks = [person(200, 200, step, confirmed=False)]
        zone.update(tracks, step)
        heat.update(tracks, 1)
    assert (zone.occupancy, zone.person_s) == (0, 0)
    assert set(heat.drain()) == {0}


def test_who_is_not_seen_any_more_has_left_when_last_seen() -> None:
    zone = Zone(SQUARE)
    zone.update([person(200, 200, 0)], 0)
    zone.update([person(200, 200, 2)], 2)
    assert zone.update([], 4) == []
    assert [v.dwell_s for v in zone.update([], 6)] == [2]


def test_a_track_that_comes_back_after_an_outage_is_another_visit() -> None:
    zone = Zone(SQUARE)
    ended = [visit for at_s in (0, 2, 60, 61) for visit in zone.update([person(200, 200, at_s)], at_s)]
    assert [v.dwell_s for v in [*ended, *zone.close()]] == [2, 1]
    assert (zone.person_s, zone.occupancy) == (3, 0)


def test_person_seconds_fall_into_the_cell_of_the_feet_and_are_told_once() -> None:
    heat = HeatMap((640, 480), columns=8, rows=6)
    for step_s in (1, 0, 2):
        heat.update([person(100, 200, 0)], step_s)
    assert {n: cell for n, cell in enumerate(heat.drain()) if cell} == {2 * 8 + 1: 3}
    assert set(heat.drain()) == {0}


@given(st.lists(st.tuples(st.floats(-100, 800), st.floats(-100, 600)), max_size=20))
def test_person_seconds_are_people_times_watched_seconds_wherever_they_stand(
    places: list[tuple[float, float]],
) -> None:
    heat = HeatMap((640, 480), columns=8, rows=6)
    for at_s in range(4):
        heat.update([person(x, y, at_s, track=n) for n, (x, y) in enumerate(places)], 0.25)
    assert sum(heat.drain()) == pytest.approx(len(places) * 4 * 0.25)


@given(st.lists(st.sets(st.integers(1, 4)), max_size=60))
def test_all_visits_together_last_as_long_as_people_were_in_the_zone(sights: list[set[int]]) -> None:
    zone, ended = Zone(SQUARE), []
    for at_s, ids in enumerate(sights):
        ended += zone.update([person(200, 200, at_s, track=one) for one in ids], at_s)
    ended += zone.close()
    assert sum(visit.dwell_s for visit in ended) == pytest.approx(zone.person_s)
