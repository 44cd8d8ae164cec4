"""How fast a facing empties by hour of day, and when it is due, on simulated shoppers."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.stock.run_rate import HORIZON, RunRate

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 3, 2, tzinfo=SHANGHAI).astimezone(UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CAPACITY, LEVEL = 24, 6
OPEN = [0.5, 0.7, 0.8, 1.0, 1.6, 1.3, 0.9, 0.8, 1.0, 1.6, 2.0, 1.6, 1.0, 0.5]
SHAPE = [0.0] * 8 + [14 * share / sum(OPEN) for share in OPEN] + [0.0] * 2
"""A shop open from 8 to 22, busiest at noon and at 18; 1 on the average while it is open."""
WEEK = [0.85, 0.85, 0.9, 0.95, 1.1, 1.3, 1.05]
TAKES = [1] * 7 + [2] * 2 + [4]


@dataclass(frozen=True)
class Change:
    at: datetime
    taken: int
    on_hand: int


def shoppers(per_h: float, *, days: int, seed: int, refill: bool = True) -> list[Change]:
    """What happens at one facing: thinned Poisson takes; staff fill it at 7:30 when it is low."""
    chance, at, on_hand = random.Random(seed), MONDAY, CAPACITY
    busiest = per_h * max(SHAPE) * max(WEEK)
    changes, filled_at = [Change(at, 0, on_hand)], MONDAY + 31.5 * HOUR
    while True:
        at += HOUR * chance.expovariate(busiest * len(TAKES) / sum(TAKES))
        while filled_at <= at:
            if refill and on_hand <= LEVEL:
                on_hand = CAPACITY
                changes.append(Change(filled_at, 0, on_hand))
            filled_at += DAY
        if at >= MONDAY + days * DAY:
            return changes
        local = at.astimezone(SHANGHAI)
        if on_hand and chance.random() < per_h * SHAPE[local.hour] * WEEK[local.weekday()] / busiest:
            taken = min(on_hand, chance.choice(TAKES))
            on_hand -= taken
            changes.append(Change(at, taken, on_hand))


def learnt(changes: list[Change], zone: ZoneInfo = SHANGHAI) -> RunRate:
    rate = RunRate(zone)
    for change in changes:
        if change.taken:
            rate.take(change.taken, change.at)
        rate.watch(change.on_hand, change.at)
    return rate


def steady(zone: ZoneInfo, start: datetime, *, days: int, first: int = 0, last: int = 24) -> RunRate:
    """One item leaves at half past each hour of the store's clock from `first` to `last`; never empty."""
    rate, at = RunRate(zone), start
    rate.watch(9, at)
    while at < start + days * DAY:
        local = at.astimezone(zone)
        if local.minute == 30 and first <= local.hour < last:
            rate.take(1, at)
            rate.watch(9, at)
        at += 0.5 * HOUR
    rate.watch(9, at)
    return rate


@pytest.mark.parametrize(("per_h", "off"), [(1.0, 0.4), (3.0, 0.25)])
def test_rates_come_to_those_of_a_poisson_stream_with_a_profile(per_h: float, off: float) -> None:
    rates = [learnt(shoppers(per_h, days=56, seed=seed)) for seed in range(6)]
    busy = [hour for hour in range(24) if SHAPE[hour] >= 0.8]
    errors = [abs(r.rate_per_h(h) / (per_h * SHAPE[h]) - 1) for r in rates for h in busy]
    assert median(errors) < off
    for rate in rates:
        assert sum(rate.rate_per_h(hour) for hour in range(24)) == pytest.approx(14 * per_h, rel=0.25)
        closed = sum(rate.rate_per_h(hour) for hour in range(24) if not SHAPE[hour])
        assert closed < 0.12 * 14 * per_h  # an empty shelf tells nothing of the night


def test_one_shopper_who_clears_the_shelf_hardly_moves_it() -> None:
    for per_h in (1.0, 3.0):
        for seed in range(5):
            rate = learnt(shoppers(per_h, days=14, seed=seed))
            at = MONDAY + 15 * DAY + 15 * HOUR
            rate.watch(CAPACITY, at)
            as_usual, cleared = (RunRate.read(rate.write(), SHANGHAI) for _ in range(2))
            for one, items in ((as_usual, 0), (cleared, CAPACITY)):
                one.watch(CAPACITY, at)
                one.take(items, at + 0.1 * HOUR)
                one.watch(CAPACITY, at + 2 * HOUR)
            now = at + 2 * HOUR
            due, usual = (one.due_at(CAPACITY, LEVEL, now) for one in (cleared, as_usual))
            assert due is not None
            assert usual is not None
            assert due - now > 0.75 * (usual - now)
            whole = [sum(one.rate_per_h(hour) for hour in range(24)) for one in (cleared, as_usual)]
            assert whole[0] < 1.3 * whole[1]


@pytest.mark.parametrize("nothing", [0, None])
def test_hours_without_items_or_without_eyes_are_no_sign_of_no_demand(nothing: int | None) -> None:
    rate = RunRate(SHANGHAI)
    for day in range(21):
        midnight = MONDAY + day * DAY
        rate.watch(24, midnight)
        for hour in range(24):
            if day % 3 == 0 and hour == 12:  # on two days of three it is empty or unseen from noon on
                rate.watch(24, midnight + 12 * HOUR)
            elif day % 3 and hour == 12:
                rate.watch(nothing, midnight + 12 * HOUR)
            if hour < 12 or day % 3 == 0:
                rate.take(2, midnight + hour * HOUR + 0.5 * HOUR)
    assert rate.rate_per_h(15) == pytest.approx(2.0, rel=0.1)
    assert rate.rate_per_h(9) == pytest.approx(2.0, rel=0.1)


def test_what_shoppers_bring_back_did_not_leave() -> None:
    kept, returned = RunRate(SHANGHAI), RunRate(SHANGHAI)
    for rate, back in ((kept, 0), (returned, -1)):
        rate.watch(9, MONDAY)
        for hour in range(24 * 10):
            rate.take(2, MONDAY + hour * HOUR)
            rate.take(back, MONDAY + (hour + 0.2) * HOUR)
        rate.watch(9, MONDAY + 10 * DAY)
    assert kept.rate_per_h(10) == pytest.approx(2.0, rel=0.1)
    assert returned.rate_per_h(10) == pytest.approx(1.0, rel=0.1)


def test_old_days_are_forgotten() -> None:
    rate = RunRate(SHANGHAI)
    rate.watch(9, MONDAY)
    for hour in range(24 * 70):
        rate.take(4 if hour < 24 * 28 else 1, MONDAY + hour * HOUR)
    assert rate.rate_per_h(10) == pytest.approx(1 + 3 * 0.5**3, rel=0.15)


def test_nothing_is_due_where_nothing_is_known_or_it_is_far() -> None:
    assert RunRate(SHANGHAI).due_at(24, 6, MONDAY) is None
    one_day = learnt(shoppers(3.0, days=1, seed=1))
    assert one_day.due_at(24, 6, MONDAY + DAY) is None
    rate = learnt(shoppers(1.0, days=14, seed=1))
    assert rate.due_at(10_000, 6, MONDAY + 14 * DAY) is None
    unsold = RunRate(SHANGHAI)
    unsold.watch(24, MONDAY)
    unsold.watch(24, MONDAY + 60 * DAY)
    assert unsold.due_at(24, 23, MONDAY + 60 * DAY) is None


def test_what_is_low_already_is_due_since_it_was() -> None:
    rate, now = learnt(shoppers(1.0, days=14, seed=1)), MONDAY + 14 * DAY
    assert rate.due_at(6, 6, now) == now
    assert rate.due_at(5, 6, now, since=now - HOUR) == now - HOUR
    assert rate.due_at(0, 0, now, since=now + HOUR) == now
    assert RunRate(SHANGHAI).due_at(0, 6, now) == now


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 50), st.sampled_from([0.2, 1.0, 3.0]), st.floats(0, 72))
def test_more_on_hand_is_never_due_earlier(seed: int, per_h: float, after_h: float) -> None:
    rate = learnt(shoppers(per_h, days=9, seed=seed))
    now = MONDAY + 9 * DAY + after_h * HOUR
    due = [rate.due_at(on_hand, LEVEL, now) for on_hand in range(60)]
    assert all(at is None or now <= at <= now + HORIZON for at in due)
    far = now + HORIZON + HOUR
    assert [at or far for at in due] == sorted(at or far for at in due)


@pytest.mark.parametrize(("switch", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
def test_a_day_on_which_clocks_change_has_as_many_hours_as_it_has(
    switch: tuple[int, int, int], hours: int
) -> None:
    midnight = datetime(*switch, tzinfo=BERLIN)
    rate = RunRate(BERLIN)
    rate.watch(9, midnight.astimezone(UTC))
    rate.watch(9, (midnight + DAY).astimezone(UTC))  # the next midnight of the wall clock
    watched_h = json.loads(rate.write())[1]
    assert sum(watched_h) == pytest.approx(hours, abs=0.1)
    assert watched_h[2] == pytest.approx(hours - 23, abs=0.1)


@pytest.mark.parametrize("day", [(2026, 3, 29), (2026, 10, 25)])
def test_what_is_due_goes_by_the_clock_on_the_wall_across_its_change(day: tuple[int, int, int]) -> None:
    switch = datetime(*day, tzinfo=BERLIN)
    start = (switch - 20 * DAY).astimezone(UTC)
    rate = steady(BERLIN, start, days=19, first=9, last=17)
    evening = (switch - 4 * HOUR).astimezone(UTC)
    due = rate.due_at(10, 6, evening)
    assert due is not None
    local = due.astimezone(BERLIN)
    assert local.date() == switch.date()
    assert 12 <= local.hour <= 13  # the fourth item since 9, by the new clock


@pytest.mark.parametrize("name", ["Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"])
def test_hours_are_those_of_any_clock(name: str) -> None:
    zone = ZoneInfo(name)
    rate = steady(zone, datetime(2026, 3, 2, tzinfo=zone).astimezone(UTC), days=10)
    assert [rate.rate_per_h(hour) for hour in range(24)] == pytest.approx([1.0] * 24, rel=0.1)


@given(st.integers(0, 30), st.floats(0.1, 10))
@settings(max_examples=30, deadline=None)
def test_the_text_keeps_what_matters(seed: int, days: float) -> None:
    rate = learnt([c for c in shoppers(1.0, days=10, seed=seed) if c.at < MONDAY + days * DAY])
    text = rate.write()
    again = RunRate.read(text, SHANGHAI)
    assert len(text) < 400
    assert again.write() == text
    rates = [[one.rate_per_h(hour) for hour in range(24)] for one in (again, rate)]
    assert rates[0] == pytest.approx(rates[1], rel=0.02)


@given(st.one_of(st.text(), st.sampled_from(["", "[]", "null", "[[1],[2],1,0,0,0]", '["a"]', "[NaN]", "{"])))
def test_what_is_no_text_of_ours_is_a_new_start(text: str) -> None:
    assert RunRate.read(text, SHANGHAI).write() == RunRate(SHANGHAI).write()


def test_the_time_that_a_restart_took_was_not_watched() -> None:
    rate = steady(SHANGHAI, MONDAY, days=10)
    again = RunRate.read(rate.write(), SHANGHAI)
    again.watch(9, MONDAY + 15 * DAY)
    assert again.rate_per_h(10) == pytest.approx(rate.rate_per_h(10), rel=0.02)


@given(
    st.lists(st.tuples(st.floats(-500, 500), st.integers(-3, 9), st.sampled_from([None, 0, 5])), max_size=30)
)
@settings(max_examples=60, deadline=None)
def test_a_clock_that_steps_does_no_harm(steps: list[tuple[float, int, int | None]]) -> None:
    rate, at = RunRate(BERLIN), MONDAY
    for hours, items, on_hand in steps:
        at += hours * HOUR
        rate.take(items, at)
        rate.watch(on_hand, at)
    assert all(0 <= rate.rate_per_h(hour) < 100 for hour in range(24))
    assert RunRate.read(rate.write(), BERLIN).write() == rate.write()
    due = rate.due_at(10, 5, at)
    assert due is None or due >= at


class Constant:
    """The baseline: items over watched time, all hours alike, forgetting at the same pace."""

    def __init__(self) -> None:
        self.items, self.hours, self.at, self.on_hand = 0.0, 0.0, MONDAY, 0

    def change(self, change: Change) -> None:
        hours = (change.at - self.at) / HOUR if self.on_hand else 0.0
        kept = 0.5 ** (hours / 24 / 14)
        self.items, self.hours = self.items * kept + change.taken, self.hours * kept + hours
        self.at, self.on_hand = change.at, change.on_hand

    def due_at(self, on_hand: int, level: int, now: datetime) -> datetime | None:
        return now + (on_hand - level) * self.hours / self.items * HOUR if self.items >= 3 else None


def test_what_is_due_is_nearer_to_when_it_was_than_by_a_constant_rate() -> None:
    """Four weeks, asked after every change from the second on; median of the absolute error in hours."""
    ours, constant = [], []
    for seed in range(8):
        changes = shoppers(1.0, days=28, seed=seed)
        rate, baseline = RunRate(SHANGHAI), Constant()
        told: list[tuple[datetime, datetime]] = []
        for change in changes:
            if change.on_hand <= LEVEL:
                ours += [abs(due - change.at) / HOUR for due, _ in told]
                constant += [abs(due - change.at) / HOUR for _, due in told]
                told = []
            rate.take(change.taken, change.at)
            rate.watch(change.on_hand, change.at)
            baseline.change(change)
            if change.on_hand > LEVEL and change.at > MONDAY + 7 * DAY:
                due = rate.due_at(change.on_hand, LEVEL, change.at)
                other = baseline.due_at(change.on_hand, LEVEL, change.at)
                assert due is not None
                assert other is not None
                told.append((due, other))
    assert len(ours) > 500
    assert median(ours) < 4.5
    assert median(ours) < 0.75 * median(constant)
