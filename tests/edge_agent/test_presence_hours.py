"""Hours of zones and heat maps: the last total counts, however the increments are cut."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.presence_hours import HeatHour, Hour, PresenceHours, ZoneHour
from edge_agent.readings import HeatSeen, ZoneWatched

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def zone(at_s: float, *, watched_s: float = 5, visits: int = 0, longest_s: float = 0) -> ZoneWatched:
    at, person_s = NOON + timedelta(seconds=at_s), watched_s / 2
    return ZoneWatched("cam", "till", at, watched_s, person_s, visits, visits * longest_s, longest_s, 1)


def heat(at_s: float, *cells: float, columns: int = 2, watched_s: float = 5) -> HeatSeen:
    rows = len(cells) // columns
    return HeatSeen("cam", NOON + timedelta(seconds=at_s), watched_s, columns, rows, cells)


def last(hours: Sequence[Hour]) -> dict[tuple[object, ...], Hour]:
    return {(*hour.key, hour.start): hour for hour in hours}


def test_an_hour_adds_up_and_the_next_begins_at_nothing() -> None:
    fold = PresenceHours()
    hours = [fold.seen(zone(t, visits=1, longest_s=t)) for t in (5, 10, 3600)]
    assert hours[1] == ZoneHour("cam", "till", NOON, 10, 5, 2, 15, 10)
    assert hours[2] == ZoneHour("cam", "till", NOON + timedelta(hours=1), 5, 2.5, 1, 3600, 3600)


def test_a_restart_goes_on_with_the_open_hour_and_another_grid_is_kept_apart() -> None:
    before = PresenceHours()
    kept = [before.seen(zone(5)), before.seen(heat(5, 1, 0))]
    fold = PresenceHours(kept)
    assert fold.seen(zone(10)) == ZoneHour("cam", "till", NOON, 10, 5)
    assert fold.seen(heat(10, 1, 3)) == HeatHour("cam", 2, 1, NOON, 10, (2, 3))
    assert fold.seen(heat(10, 1, 3, 0, 0)) == HeatHour("cam", 2, 2, NOON, 5, (1, 3, 0, 0))


def test_what_comes_late_joins_the_open_hour_and_spoils_none_that_is_over() -> None:
    fold = PresenceHours()
    fold.seen(zone(3600))
    late = fold.seen(zone(0))
    assert (late.start, late.watched_s) == (NOON + timedelta(hours=1), 10)


def test_how_many_are_there_is_known_only_while_the_camera_says_so() -> None:
    fold = PresenceHours()
    assert fold.occupancy("cam", "till", NOON) is None
    fold.seen(zone(0))
    assert fold.occupancy("cam", "till", NOON + timedelta(seconds=15)) == 1
    assert fold.occupancy("cam", "till", NOON + timedelta(seconds=16)) is None


@given(
    st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 3), st.integers(0, 2)), max_size=30),
    st.integers(1, 6),
)
def test_increments_that_are_cut_otherwise_give_the_same_hours(
    steps: list[tuple[int, int, int]], pieces: int
) -> None:
    whole, cut = PresenceHours(), PresenceHours()
    once: list[Hour] = []
    often: list[Hour] = []
    at_s = 0
    for later_s, people, visits in steps:
        at_s += later_s
        at = NOON + timedelta(seconds=at_s)
        for fold, hours, parts in ((whole, once, 1), (cut, often, pieces)):
            for part in range(parts):
                ended = visits if part == 0 else 0
                share = 6 / parts
                hours += [
                    fold.seen(
                        ZoneWatched(
                            "cam", "z", at, share, people * share, ended, ended * 9, ended * 9, people
                        )
                    ),
                    fold.seen(HeatSeen("cam", at, share, 2, 1, (people * share, 0.0))),
                ]
    assert last(once).keys() == last(often).keys()
    for key, hour in last(once).items():
        same = last(often)[key]
        assert same.watched_s == pytest.approx(hour.watched_s)
        if isinstance(hour, ZoneHour):
            assert isinstance(same, ZoneHour)
            assert same.person_s == pytest.approx(hour.person_s)
            assert (same.visits, same.dwell_s, same.longest_s) == (hour.visits, hour.dwell_s, hour.longest_s)
        else:
            assert isinstance(same, HeatHour)
            assert same.cells == pytest.approx(hour.cells)
    zones = [hour for hour in last(once).values() if isinstance(hour, ZoneHour)]
    assert sum(hour.visits for hour in zones) == sum(visits for *_, visits in steps)
    assert sum(hour.watched_s for hour in zones) == pytest.approx(6 * len(steps))


def test_after_a_clock_that_was_years_ahead_the_hour_of_before_goes_on() -> None:
    fold, ahead_s = PresenceHours(), 3000 * 86_400.0
    for seen in (zone, lambda t: heat(t, 1, 0)):
        fold.seen(seen(5))
        assert fold.seen(seen(ahead_s)).watched_s == 5
        back = fold.seen(seen(10))
        assert (back.start, back.watched_s) == (NOON, 10)
