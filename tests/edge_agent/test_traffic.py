"""One-minute buckets: the last total counts, an outage writes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.readings import LineCrossing, LineWatched
from edge_agent.traffic import Bucket, Traffic

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def cross(seconds: float, direction: Literal["entered", "exited"] = "entered") -> LineCrossing:
    return LineCrossing("cam", "door", direction, at(seconds))


def watch(traffic: Traffic, start: int, end: int) -> list[Bucket]:
    closed: list[Bucket] = []
    for second in range(start, end):
        closed += traffic.watched(LineWatched("cam", ("door",), at(second)))
    return closed


def test_each_crossing_gives_the_total_so_far() -> None:
    traffic = Traffic([])
    totals = [traffic.crossed(cross(s, d)) for s, d in ((1, "entered"), (5, "exited"), (9, "entered"))]
    assert [(b.entered, b.exited) for [b] in totals] == [(1, 0), (1, 1), (2, 1)]
    assert totals[-1][0].body().start == "2026-11-22T10:00:00.000Z"


def test_a_restart_goes_on_with_the_bucket_that_was_open() -> None:
    traffic = Traffic([Bucket("cam", "door", START, 4, 2, told=True)])
    [bucket] = traffic.crossed(cross(30))
    assert (bucket.entered, bucket.exited) == (5, 2)


def test_an_empty_minute_that_was_watched_is_told_as_zero() -> None:
    [zero] = watch(Traffic([]), 0, 62)
    assert (zero.start, zero.entered, zero.exited) == (START, 0, 0)


def test_an_outage_writes_no_bucket() -> None:
    traffic = Traffic([])
    watch(traffic, 0, 10)
    assert watch(traffic, 600, 610) == []


def test_a_minute_with_a_crossing_is_not_told_again_as_empty() -> None:
    traffic = Traffic([])
    watch(traffic, 0, 20)
    traffic.crossed(cross(20))
    assert watch(traffic, 21, 70) == []


@given(st.lists(st.tuples(st.integers(0, 600), st.sampled_from(["entered", "exited"])), max_size=60))
def test_the_sum_of_last_totals_is_the_number_of_crossings(crossings: list[tuple[int, str]]) -> None:
    traffic, last = Traffic([]), dict[datetime, Bucket]()
    for second, direction in sorted(crossings):
        for bucket in traffic.crossed(cross(second, direction)):  # type: ignore[arg-type]
            last[bucket.start] = bucket
    assert sum(b.entered + b.exited for b in last.values()) == len(crossings)
    assert sum(b.entered for b in last.values()) == sum(d == "entered" for _, d in crossings)


def test_a_camera_that_looks_too_rarely_to_follow_anybody_has_not_watched() -> None:
    traffic = Traffic([])
    closed = [
        bucket
        for second in range(0, 200, 2)
        for bucket in traffic.watched(LineWatched("cam", ("door",), at(second)))
    ]
    assert closed == []


def test_a_clock_that_was_years_ahead_does_not_swallow_what_comes_after() -> None:
    traffic = Traffic([Bucket("cam", "door", START + timedelta(days=3000), 4, 2, told=True)])
    [bucket] = traffic.crossed(cross(30))
    assert (bucket.start, bucket.entered, bucket.exited) == (START, 1, 0)
