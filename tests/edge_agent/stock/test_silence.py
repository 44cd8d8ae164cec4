"""Whether a tag is still there, by its silence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.stock.silence import still_there

missed = st.floats(0.05, 0.95)


@given(missed, st.floats(0, 600), st.floats(0, 600), st.floats(1e-5, 0.1))
def test_the_longer_it_is_silent_the_less_it_is_there(
    missed_per_s: float, one_s: float, other_s: float, left_per_s: float
) -> None:
    longer, shorter = max(one_s, other_s), min(one_s, other_s)
    gone, there = (still_there(missed_per_s, silent_s, left_per_s) for silent_s in (longer, shorter))
    assert 0.0 <= gone <= there <= 1.0
    assert still_there(missed_per_s, 0.0, left_per_s) == 1.0


def test_it_is_bayes_over_the_second_in_which_it_may_have_left() -> None:
    """Against the sum over seconds: there all the time, or left after so many of them."""
    missed_per_s, left_per_s, silent_s = 0.99, 0.002, 300
    stayed = missed_per_s**silent_s
    left = sum(left_per_s * missed_per_s**second for second in range(silent_s))
    assert still_there(missed_per_s, silent_s, left_per_s) == pytest.approx(
        stayed / (stayed + left), rel=0.01
    )
