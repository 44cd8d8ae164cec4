"""Times as devices write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.topic import device_time

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
