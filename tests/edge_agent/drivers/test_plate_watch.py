"""Scales that answer without a weight: short is a reading, lasting is a degraded device."""

from __future__ import annotations

from edge_agent.drivers.plate_watch import DEGRADED_AFTER_S, RESTLESS_AFTER_S, PlateWatch
from edge_agent.readings import DeviceDegraded, Flag, WeightReading


def weight(weight_g: float | None, *flags: Flag, channel: int | None = None) -> WeightReading:
    return WeightReading("s", channel, weight_g, None if weight_g is None else True, flags)


def test_a_short_overload_is_a_reading_and_a_lasting_one_degrades() -> None:
    watch, over = PlateWatch("s"), weight(None, "over")
    assert watch.judged([over], 0.0) == [over]
    assert watch.judged([over], DEGRADED_AFTER_S - 0.1) == [over]
    assert watch.judged([over], DEGRADED_AFTER_S) == [DeviceDegraded("s", "overload: too much on the plate")]


def test_a_weight_ends_it_and_the_next_trouble_begins_anew() -> None:
    watch, under = PlateWatch("s"), weight(None, "under")
    watch.judged([under], 0.0)
    assert watch.judged([weight(5.0)], 4.0) == [weight(5.0)]
    assert watch.judged([under], 6.0) == [under]


def test_a_plate_in_motion_has_longer_yet_not_for_ever() -> None:
    watch, moving = PlateWatch("s"), weight(None, "motion")
    assert watch.judged([moving], 0.0) == [moving]
    assert watch.judged([moving], RESTLESS_AFTER_S - 1) == [moving]
    (degraded,) = watch.judged([moving], RESTLESS_AFTER_S)
    assert degraded == DeviceDegraded("s", "the plate does not come to rest")


def test_over_in_motion_is_over_and_motion_between_does_not_start_it_anew() -> None:
    watch = PlateWatch("s")
    watch.judged([weight(None, "motion", "over")], 0.0)
    watch.judged([weight(None, "motion")], 2.0)
    (degraded,) = watch.judged([weight(None, "over")], 5.0)
    assert isinstance(degraded, DeviceDegraded)


def test_a_bump_while_a_shelf_is_filled_does_not_degrade() -> None:
    watch, moving = PlateWatch("s"), weight(None, "motion")
    watch.judged([weight(None, "under")], 0.0)
    for second in range(1, 30):
        assert watch.judged([moving], float(second)) == [moving]
    assert watch.judged([weight(None, "over")], 30.0) == [weight(None, "over")], "the first bump is forgotten"


def test_a_lasting_overload_that_flickers_stays_degraded_until_it_only_moves() -> None:
    watch, moving = PlateWatch("s"), weight(None, "motion")
    for second in range(6):
        watch.judged([weight(None, "over")], float(second))
    (still,) = watch.judged([moving], 5.5)
    assert isinstance(still, DeviceDegraded)
    assert watch.judged([moving], 5.5 + DEGRADED_AFTER_S) == [moving]


def test_a_good_plate_goes_on_beside_a_bad_one_and_does_not_clear_it() -> None:
    watch = PlateWatch("s")
    both = [weight(None, "error", channel=1), weight(7.0, channel=2)]
    assert watch.judged(both, 0.0) == both
    assert watch.judged(both, 5.0) == [
        both[1],
        DeviceDegraded("s", "plate 1: answers with an error instead of a weight"),
    ]
    assert isinstance(watch.judged([both[1]], 5.1)[-1], DeviceDegraded)
    assert watch.judged([weight(1.0, channel=1)], 5.2) == [weight(1.0, channel=1)]


def test_a_drivers_own_words_replace_those_of_the_flag() -> None:
    watch = PlateWatch("s")
    watch.judged([weight(None, "error")], 0.0)
    (degraded,) = watch.judged([weight(None, "error")], 9.0, why="weighs in PCS; set it to grams")
    assert degraded == DeviceDegraded("s", "weighs in PCS; set it to grams")
