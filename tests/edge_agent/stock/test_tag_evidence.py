"""How many tags are seen where so many items lie."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.stock.tag_evidence import POWER, log_likelihood


def likely(seen: int, *, tagged: float = 0.95, most: int = 24) -> int:
    return max(range(most + 1), key=lambda n: log_likelihood(seen, n, tagged=tagged))


@given(st.integers(0, 24), st.sampled_from([0.3, 0.8, 0.95, 1.0]), st.sampled_from([0.0, 2.0]))
def test_it_is_a_distribution_over_what_is_seen(on_hand: int, tagged: float, gone: float) -> None:
    total = sum(
        exp(log_likelihood(seen, on_hand, tagged=tagged, gone=gone) / POWER) for seen in range(on_hand + 9)
    )
    assert total == pytest.approx(1.0, abs=0.01)


@given(st.integers(0, 22))
def test_where_all_items_have_tags_as_many_lie_there_as_are_seen(seen: int) -> None:
    assert likely(seen, tagged=1.0) == seen


def test_where_a_third_has_tags_many_more_may_lie_there() -> None:
    assert 12 <= likely(5, tagged=0.35) <= 16
    spread = [log_likelihood(5, n, tagged=0.35) for n in (10, 14, 20)]
    assert max(spread) - min(spread) < 3


def test_what_was_just_taken_may_be_seen_and_what_has_just_come_may_not() -> None:
    assert log_likelihood(10, 8, tagged=1.0, gone=2.0) > log_likelihood(10, 8, tagged=1.0) + 2
    assert log_likelihood(8, 10, tagged=1.0, unheard=2.0) > log_likelihood(8, 10, tagged=1.0) + 2


def test_no_tag_is_no_evidence_where_nothing_is_tagged() -> None:
    assert len({log_likelihood(0, n, tagged=0.0) for n in range(25)}) == 1
