"""Levels rise at their limit and end a little below it; coarse buckets overlap nothing that was told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.fullness import ALARMS, COARSE_S, FINE_S, Fullness, level_of, span_of

MB = 2**20


def full(percent: float, *, in_need: bool = False) -> Fullness:
    return Fullness(used=int(percent * MB), quota=100 * MB, room=10_000 * MB, in_need=in_need)


def test_the_smaller_of_quota_and_disk_decides() -> None:
    assert Fullness(used=50, quota=100, room=1_000).percent == 50
    assert Fullness(used=50, quota=1_000, room=50).percent == 50
    assert Fullness(used=0, quota=100, room=0).percent == 0
    assert Fullness(used=150, quota=100, room=0).percent == 150


def test_a_level_begins_at_its_limit_and_ends_two_points_below() -> None:
    assert [level_of(full(p)) for p in (0, 69, 70, 84, 85, 94, 95, 120)] == [0, 0, 70, 70, 85, 85, 95, 95]
    assert [level_of(full(p), 85) for p in (84, 83, 82, 69, 68, 67)] == [85, 85, 70, 70, 70, 0]


def test_a_disk_in_need_is_the_last_level_however_little_the_journal_holds() -> None:
    assert level_of(full(1, in_need=True)) == ALARMS[-1]


@given(
    st.integers(0, 365 * 86_400).map(lambda s: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=s)),
    st.lists(st.tuples(st.integers(1, 2_000), st.sampled_from([FINE_S, COARSE_S])), min_size=1, max_size=60),
)
def test_buckets_one_after_the_other_never_overlap(begin: datetime, steps: list[tuple[int, int]]) -> None:
    moment, end = begin, begin - timedelta(days=1)
    for later_s, bucket_s in steps:
        moment += timedelta(seconds=later_s)
        if moment < end:
            continue
        start, seconds = span_of(moment, bucket_s)
        assert end <= start <= moment < start + timedelta(seconds=seconds)
        assert 0 < seconds <= bucket_s
        assert start.hour == (start + timedelta(seconds=seconds - 1)).hour
        end = start + timedelta(seconds=seconds)
