"""How gap boxes and slots are scored, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.gaps import emptiness
from benchmarks.gaps.precision import average_precision, found
from benchmarks.gaps.shelves import boxes, slots

GAPS = boxes([(0, 0, 10, 10), (20, 0, 30, 10)])
NONE = boxes([])


def scored(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 5)


def test_one_hit_one_false_one_hit_gives_five_sixths() -> None:
    seen = scored((0, 0, 10, 10, 0.9), (50, 50, 60, 60, 0.8), (20, 0, 30, 10, 0.7))
    assert average_precision([found(seen, GAPS, NONE, 0.3)]) == pytest.approx((1 + 2 / 3) / 2)


def test_a_second_box_on_the_same_gap_is_false() -> None:
    twice = found(scored((0, 0, 10, 10, 0.9), (0, 0, 10, 9, 0.8)), GAPS, NONE, 0.3)
    assert twice.right.tolist() == [True, False]
    assert average_precision([twice]) == pytest.approx(0.5)


def test_a_wrong_box_on_a_doubtful_place_does_not_count() -> None:
    doubtful = boxes([(50, 50, 70, 70)])
    kept = found(scored((50, 50, 60, 60, 0.9), (0, 0, 10, 10, 0.8)), GAPS, doubtful, 0.3)
    assert kept.right.tolist() == [True]


def test_the_order_across_pictures_counts() -> None:
    sure_but_wrong = found(scored((50, 50, 60, 60, 0.9)), NONE, NONE, 0.3)
    right = found(scored((0, 0, 10, 10, 0.5)), GAPS[:1], NONE, 0.3)
    assert average_precision([sure_but_wrong, right]) == pytest.approx(0.5)


def test_recall_allows_one_false_alarm_in_twenty() -> None:
    stocked = np.arange(21.0)
    assert emptiness.recall(np.array([18.5, 19.5]), stocked) == 0.5
    assert emptiness.recall(np.array([50.0, 60.0]), stocked) == 1
    assert emptiness.recall(np.array([1.0, 2.0]), stocked) == 0


def test_a_wide_place_is_cut_into_slots_as_wide_as_high() -> None:
    assert slots(boxes([(0, 0, 30, 10)])).tolist() == [[0, 0, 10, 10], [10, 0, 20, 10], [20, 0, 30, 10]]
    assert len(slots(boxes([(0, 0, 4, 10)]))) == 1
