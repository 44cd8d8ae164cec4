"""What the tags of a facing say of how many items lie there."""

from __future__ import annotations

from itertools import combinations
from math import exp, log, prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.stock.tag_evidence import Heard, Known, TagLikelihood

ALL = list(range(31))


def likely(heard: Heard, *, tagged: float = 0.95, known: Known = (0, 0)) -> int:
    likelihood = TagLikelihood(heard, max(ALL), tagged=tagged)
    return max(ALL, key=lambda n: likelihood(n, known))


def logs_of(heard: Heard, counts: list[int], *, tagged: float = 1.0, strays: float = 0.1) -> list[float]:
    likelihood = TagLikelihood(heard, max(ALL), tagged=tagged, strays=strays)
    return [log(likelihood(n)) for n in counts]


@given(st.integers(0, 22))
def test_where_all_items_have_tags_as_many_lie_there_as_are_heard(sure: int) -> None:
    assert likely(Heard(sure), tagged=1.0) == sure


def test_where_a_third_has_tags_many_more_may_lie_there() -> None:
    assert 12 <= likely(Heard(5), tagged=0.35) <= 16
    logs = logs_of(Heard(5), [10, 14, 20], tagged=0.35)
    assert max(logs) - min(logs) < 3


def test_no_tag_is_no_evidence_where_nothing_is_tagged() -> None:
    assert len({round(one, 9) for one in logs_of(Heard(0), ALL, tagged=0.0)}) == 1


@given(st.lists(st.floats(1e-6, 0.9), max_size=5), st.integers(0, 4), st.integers(0, 9))
def test_silent_tags_count_by_every_choice_of_those_that_stayed(
    odds: list[float], sure: int, there: int
) -> None:
    """Against plain enumeration, all items tagged and no strays."""
    stay = there - sure
    choices = list(combinations(odds, stay)) if 0 <= stay <= len(odds) else []
    alone = sum(prod(one) for one in choices) / max(
        1, len(list(combinations(range(sure + len(odds)), there)))
    )
    heard = Heard(sure, silent=tuple(odds), unheard=0.0)
    (found,) = logs_of(heard, [there], tagged=1.0, strays=0.0)
    assert exp(found) == pytest.approx(max(alone, 1e-12), rel=1e-6)


def test_the_longer_a_tag_is_silent_the_more_surely_its_item_was_taken() -> None:
    soon, late = Heard(9, silent=(0.6,)), Heard(9, silent=(0.001,))
    (nine, ten), (nine_late, ten_late) = (
        logs_of(one, [9, 10], tagged=1.0, strays=0.0) for one in (soon, late)
    )
    assert nine_late - ten_late > nine - ten + 5
    assert late.doubt < 0.01 < soon.doubt


def test_what_has_just_come_may_not_be_heard_yet() -> None:
    (at_once,) = logs_of(Heard(8, unheard=0.9), [10], tagged=1.0)
    (later,) = logs_of(Heard(8), [10], tagged=1.0)
    assert at_once > later + 5


def test_items_known_to_have_no_tag_are_counted_with_those_that_do() -> None:
    assert likely(Heard(9), known=(12, 3)) == 12
    assert likely(Heard(5), known=(12, 3)) in (6, 7)


def test_of_tags_that_may_leave_one_by_one_each_counts_for_itself() -> None:
    odds = (50.0, 0.01)
    one_by_one = Heard(3, silent=odds, drawn=False)
    assert likely(one_by_one, tagged=1.0) == 4


def test_a_facing_with_hundreds_of_tags_of_which_an_antenna_loses_all() -> None:
    heard = Heard(0, silent=(250.0,) * 400, drawn=False)
    likelihood = TagLikelihood(heard, 1000, tagged=1.0)
    assert likelihood(399) > likelihood(300) > 0.0
    drawn = TagLikelihood(Heard(0, silent=(0.5,) * 400), 1000, tagged=0.9)
    assert 0.0 <= drawn(400) <= 1.0
    assert likelihood(1200, (0, 0)) <= 1e-12, "more than there is room for"


def test_a_thousand_items_are_no_overflow() -> None:
    assert TagLikelihood(Heard(1050), 2400, tagged=0.95)(1100) > 0.0


def test_far_more_tags_than_room_for_items_say_nothing() -> None:
    assert TagLikelihood(Heard(30), 8, tagged=1.0).says_nothing
    assert not TagLikelihood(Heard(8), 8, tagged=1.0).says_nothing
