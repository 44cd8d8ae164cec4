"""What a smart camera believes: as often wrong as it is said to be, wrong for a while, blind while somebody is there."""

from __future__ import annotations

import math
from itertools import groupby

import pytest

from device_sims.sight import SEEN, STILL_S, Eye, Sight

SHARP = Eye(misses=0.0, false_gaps=0.0, hidden=0.0, lasts_s=60.0)
NEVER = -math.inf
HOURS_S = range(0, 400 * 3600, 5)


def seen(sight: Sight, now_s: float, things: int, hand_until_s: float = NEVER) -> float:
    fill = sight.look(now_s, things, hand_until_s=hand_until_s)
    assert fill is not None
    return fill


@pytest.mark.parametrize("front", [1, 3, 20])
def test_a_sharp_eye_tells_empty_from_stocked_and_the_depth_not_at_all(front: int) -> None:
    sight = Sight(SHARP, front=front, seed="1")
    for now_s in range(0, 36_000, 5):
        assert seen(sight, now_s, 0) < SEEN
        assert SEEN <= seen(sight, now_s, 1) <= 1
    full = [seen(sight, now_s, front) for now_s in range(36_000, 72_000, 5)]
    deep = [seen(Sight(SHARP, front=front, seed="2"), now_s, 4 * front) for now_s in range(0, 36_000, 5)]
    assert min(full + deep) >= 0.85


@pytest.mark.parametrize(("things", "share"), [(0, 0.3), (5, 0.08)])
def test_it_errs_as_often_as_it_is_said_to_and_an_error_lasts(things: int, share: float) -> None:
    sight = Sight(Eye(0.3, 0.08, hidden=0.0, lasts_s=60.0), front=3, seed="1")
    wrong = [(seen(sight, now_s, things) >= SEEN) is (things == 0) for now_s in HOURS_S]
    assert sum(wrong) / len(wrong) == pytest.approx(share, rel=0.1)
    lengths = [5 * len(list(run)) for err, run in groupby(wrong) if err]
    # Runs of wrong draws one after the other: 60 s / (1 - share).
    assert sum(lengths) / len(lengths) == pytest.approx(60 / (1 - share), rel=0.15)


def test_a_wrong_share_stays_what_it_was() -> None:
    sight = Sight(Eye(1.0, 0.0, hidden=0.0, lasts_s=1e9), front=3, seed="1")
    assert len({seen(sight, now_s, 0) for now_s in range(0, 3600, 5)}) == 1


def test_it_says_nothing_until_nothing_has_moved_for_a_while() -> None:
    sight = Sight(SHARP, front=3, seed="1")
    looks = [sight.look(float(now_s), 3, hand_until_s=10.0) is None for now_s in range(7, 16)]
    assert looks == [now_s < 10 + STILL_S for now_s in range(7, 16)]


def test_where_a_hand_has_been_it_errs_anew() -> None:
    sight = Sight(Eye(0.5, 0.0, hidden=0.0, lasts_s=1e9), front=1, seed="3")
    believed = [seen(sight, at_s, 0, at_s - 10.0) >= SEEN for at_s in range(20, 20_000, 20)]
    assert 0.4 < sum(believed) / len(believed) < 0.6


def test_somebody_stands_in_the_way_for_a_share_of_the_time() -> None:
    sight = Sight(Eye(0.0, 0.0, hidden=0.2, lasts_s=60.0), front=3, seed="1")
    blind = [sight.look(now_s, 3, hand_until_s=NEVER) is None for now_s in HOURS_S]
    assert sum(blind) / len(blind) == pytest.approx(0.2, rel=0.1)
    lengths = [5 * len(list(run)) for hidden, run in groupby(blind) if hidden]
    assert sum(lengths) / len(lengths) > 8


def test_the_same_seed_believes_the_same() -> None:
    def beliefs(seed: str) -> list[float | None]:
        sight = Sight(Eye(0.2, 0.1, 0.1, 60.0), front=3, seed=seed)
        return [sight.look(now_s, now_s % 4, hand_until_s=NEVER) for now_s in range(0, 2000, 5)]

    assert beliefs("a") == beliefs("a") != beliefs("b")
