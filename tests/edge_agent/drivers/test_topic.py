"""Times as devices write them, and what is made of reads that are old by theirs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.topic import SLOW_CLOCK_AFTER_S, Backlog, device_time

NOON = datetime(2026, 11, 22, 12, 0, 0, 250_000, UTC)


@pytest.mark.parametrize(
    "said",
    [
        "2026-11-22T12:00:00.250Z",
        "2026-11-22T12:00:00.250000000Z",
        "2026-11-22T20:00:00.250+0800",
        "2026-11-22T20:00:00.25+08:00",
        NOON.timestamp(),
        NOON.timestamp() * 1e3,
        int(NOON.timestamp() * 1e6),
        int(NOON.timestamp() * 1e6) * 1000,
        str(int(NOON.timestamp() * 1e6)),
    ],
)
def test_every_form_of_a_time_is_the_same_moment(said: str | float) -> None:
    moment = device_time(said)
    assert moment is not None
    assert abs((moment - NOON).total_seconds()) < 0.001


@pytest.mark.parametrize(
    "said",
    [
        None,
        "",
        "yesterday",
        "2026-02-30T00:00:00Z",
        "2026-01-01T00:00:00",
        "²",
        1e300,
        float("inf"),
        float("nan"),
    ],
)
def test_what_is_no_time_is_none(said: str | float | None) -> None:
    assert device_time(said) is None


@given(st.none() | st.text() | st.integers() | st.floats())
def test_nothing_raises(said: str | float | None) -> None:
    device_time(said)


HOUR_S = 3600.0


def test_what_waited_for_hours_is_told_from_now_however_long_it_takes_to_come() -> None:
    backlog = Backlog()
    assert all(backlog.waited(8 * HOUR_S - 2 * second, second) for second in range(60))
    assert not backlog.waited(2.0, 61.0)


@pytest.mark.parametrize("slow_s", [400.0, HOUR_S, 56 * 365 * 86_400.0])
def test_a_reader_whose_clock_is_slow_is_believed_after_seconds_and_its_backlog_is_not(slow_s: float) -> None:
    backlog = Backlog()
    ages = [slow_s + HOUR_S - minute * 60 for minute in range(60)]
    assert all(backlog.waited(age_s, index / 100) for index, age_s in enumerate(ages))
    live = [backlog.waited(slow_s + 0.3 * (tenth % 2), 1 + tenth / 10) for tenth in range(100)]
    assert live.index(False) <= 10 * SLOW_CLOCK_AFTER_S + 1
    assert not any(live[live.index(False) :])
    assert backlog.waited(slow_s + HOUR_S, 20.0), "the next backlog is one, too"
    assert not backlog.waited(slow_s, 20.1)
    assert not backlog.waited(0.0, 30.0)
    assert backlog.waited(slow_s, 30.1), "its clock has been set"
