"""Minutes and alarms of what is measured: nothing twice, nothing from a wrong clock, no alarm out of a gap."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.messages import EnvironmentAlarm, EnvironmentMeasured
from edge_agent.environment import Bounds, Environment, Measured
from edge_agent.moment import Moment
from edge_agent.readings import EnvironmentReading

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
FRIDGE = ("fridge", "temperature_c")
COLD_CHAIN = Bounds(max=5.0, for_s=600.0, hysteresis=0.5)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Bench:
    """One environment and its clock; keeps what was told and what a restart would find."""

    def __init__(self, bounds: Bounds | None = None, *, quantity: str = "temperature_c") -> None:
        self.bounds = {} if bounds is None else {("fridge", quantity): bounds}
        self.quantity = quantity
        self.environment = Environment(self.bounds)
        self.now_s = 0.0
        self.kept: dict[Any, Any] = {}
        self.buckets: list[EnvironmentMeasured] = []
        self.alarms: list[tuple[float, str, float, float]] = []

    def take(self, step: Measured) -> Measured:
        self.kept |= step.kept
        for _, body in step.events:
            if isinstance(body, EnvironmentMeasured):
                self.buckets.append(body)
            elif isinstance(body, EnvironmentAlarm):
                self.alarms.append((self.now_s, body.state, body.value, body.limit))
        return step

    def moment(self) -> Moment:
        return Moment(at(self.now_s), self.now_s)

    def read(self, value: float, *, own_s: float | None = None) -> Measured:
        own_at = None if own_s is None else at(own_s)
        reading = EnvironmentReading("fridge", self.quantity, "°C", value, own_at)
        return self.take(self.environment.measured(reading, self.moment()))

    def pass_time(self, until_s: float, *, value: float | None = None, every_s: float = 10.0) -> None:
        """Ticks every half second, readings of `value` in between."""
        due_s = self.now_s
        while self.now_s < until_s:
            if value is not None and self.now_s >= due_s:
                self.read(value)
                due_s += every_s
            self.now_s += 0.5
            self.take(self.environment.tick(self.moment()))

    def lose(self) -> None:
        self.take(self.environment.lost("fridge", self.moment()))

    def kill(self) -> None:
        """kill -9, and a start from what was written down."""
        self.environment = Environment(self.bounds, list(self.kept.values()))

    def last(self) -> dict[str, tuple[float, float, float]]:
        """The last total of each minute, as HQ keeps it."""
        return {b.start[11:16]: (b.min, b.max, b.mean) for b in self.buckets}


# --- minutes ---------------------------------------------------------------------------------


def test_a_minute_is_told_once_when_it_closes() -> None:
    bench = Bench()
    for value in (4.0, 5.0, 3.0):
        bench.read(value)
        bench.pass_time(bench.now_s + 15)
    assert bench.buckets == []
    bench.pass_time(200)
    [bucket] = bench.buckets
    assert (bucket.min, bucket.max, bucket.mean) == (3.0, 5.0, 4.0)
    assert (bucket.start, bucket.seconds, bucket.unit) == ("2026-11-22T10:00:00.000Z", 60, "°C")


def test_the_first_reading_of_the_next_minute_closes_the_one_before() -> None:
    bench = Bench()
    bench.read(4.0)
    bench.now_s = 61
    bench.read(9.0)
    assert bench.last() == {"10:00": (4.0, 4.0, 4.0)}


def test_an_outage_writes_no_bucket() -> None:
    bench = Bench()
    bench.read(4.0)
    bench.pass_time(1000)
    bench.read(4.0)
    bench.pass_time(1100)
    assert list(bench.last()) == ["10:00", "10:16"]


def test_a_stop_tells_the_open_minute_and_the_next_start_goes_on_with_its_total() -> None:
    bench = Bench()
    bench.read(4.0)
    bench.take(bench.environment.close())
    assert bench.last() == {"10:00": (4.0, 4.0, 4.0)}
    bench.kill()
    bench.now_s = 20
    bench.read(6.0)
    bench.pass_time(70)
    assert bench.last() == {"10:00": (4.0, 6.0, 5.0)}
    assert len(bench.buckets) == 2


def test_a_killed_process_keeps_the_open_minute() -> None:
    bench = Bench()
    bench.pass_time(30, value=4.0, every_s=6)
    bench.kill()
    bench.pass_time(100)
    assert bench.last() == {"10:00": (4.0, 4.0, 4.0)}


def test_lowest_and_highest_are_always_written_down_the_mean_at_most_every_five_seconds() -> None:
    bench, writes = Bench(), 0
    for tenth in range(300):
        bench.now_s = tenth / 10
        writes += bool(bench.read(4.0 + (tenth == 150) - (tenth == 200)).kept)
    assert writes <= 9
    [kept] = bench.kept.values()
    assert (kept.minute.low, kept.minute.high) == (3.0, 5.0)
    assert kept.minute.count >= 250


def test_a_reading_that_comes_twice_counts_once_also_after_a_restart() -> None:
    bench = Bench()
    bench.read(4.0, own_s=-2)
    bench.read(4.0, own_s=-2)
    bench.kill()
    bench.now_s = 1
    bench.read(8.0, own_s=-2)
    bench.read(6.0, own_s=1)
    bench.pass_time(100)
    assert bench.last() == {"09:59": (4.0, 4.0, 4.0), "10:00": (6.0, 6.0, 6.0)}


@pytest.mark.parametrize("own", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)])
def test_a_wrong_device_clock_makes_no_bucket_of_its_own_and_hides_no_reading(own: datetime) -> None:
    bench = Bench()
    for value in (4.0, 8.0):
        reading = EnvironmentReading(*FRIDGE, "°C", value, own)
        bench.take(bench.environment.measured(reading, bench.moment()))
    bench.pass_time(100)
    assert bench.last() == {"10:00": (4.0, 8.0, 6.0)}


def test_a_device_clock_that_is_put_back_hides_readings_for_minutes_only() -> None:
    bench = Bench()
    bench.read(4.0, own_s=290)
    bench.now_s = 600
    bench.read(6.0, own_s=280)
    assert bench.environment.quantities[FRIDGE].value == 6.0


def test_our_clock_put_back_closes_the_minute_of_the_future() -> None:
    bench = Bench()
    bench.now_s = 86_400
    bench.read(4.0)
    bench.now_s = 0
    bench.read(6.0)
    bench.pass_time(70)
    assert [(b.start[8:16], b.mean) for b in bench.buckets] == [("23T10:00", 4.0), ("22T10:00", 6.0)]


def test_a_device_that_sends_minutes_late_fills_each_minute_before_it_is_told() -> None:
    bench = Bench()
    for second in range(0, 300, 10):
        bench.pass_time(second)
        bench.read(float(second // 60), own_s=second - 180)
    bench.pass_time(500)
    assert bench.last() == {f"09:{57 + m}" if m < 3 else f"10:0{m - 3}": (m, m, m) for m in range(5)}
    assert len(bench.buckets) == 5


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308])
def test_what_is_no_number_never_enters(value: float) -> None:
    bench = Bench(COLD_CHAIN)
    assert bench.read(value) == Measured()
    assert bench.environment.quantities == {}


@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(-40, 60), st.booleans(), st.booleans()), max_size=40),
)
def test_the_last_totals_hold_every_reading_once_whatever_stops_and_repeats(
    steps: list[tuple[float, float, bool, bool]],
) -> None:
    bench, counted = Bench(), dict[str, list[float]]()
    for pause_s, value, is_repeated, is_stopped in steps:
        bench.now_s += pause_s + 0.01
        bench.take(bench.environment.tick(bench.moment()))
        for _ in range(1 + is_repeated):
            bench.read(value, own_s=bench.now_s)
        counted.setdefault(f"{at(bench.now_s):%H:%M}", []).append(value)
        if is_stopped:
            bench.take(bench.environment.close())
            bench.kill()
    bench.take(bench.environment.close())
    assert bench.last().keys() == counted.keys()
    for minute, (low, high, mean) in bench.last().items():
        values = counted[minute]
        assert (low, high) == (min(values), max(values))
        assert mean == pytest.approx(sum(values) / len(values), abs=1e-4)


# --- alarms ----------------------------------------------------------------------------------


def test_a_fridge_above_five_degrees_for_ten_minutes_is_an_alarm_and_clears_below_the_hysteresis() -> None:
    bench = Bench(COLD_CHAIN)
    bench.pass_time(100, value=4.0)
    bench.pass_time(690, value=7.0)
    assert bench.alarms == []
    bench.pass_time(720, value=7.0)
    [(raised_s, state, value, limit)] = bench.alarms
    assert (raised_s, state, value, limit) == (700.0, "raised", 7.0, 5.0)
    bench.pass_time(800, value=4.8)
    assert len(bench.alarms) == 1, "inside, but not by the hysteresis"
    bench.pass_time(900, value=4.5)
    assert [alarm[1:] for alarm in bench.alarms[1:]] == [("cleared", 4.5, 5.0)]


def test_one_value_inside_ends_the_excursion() -> None:
    bench = Bench(COLD_CHAIN)
    bench.pass_time(590, value=7.0)
    bench.read(5.0)
    bench.pass_time(1100, value=7.0)
    assert bench.alarms == []
    bench.pass_time(1300, value=7.0)
    assert [state for _, state, *_ in bench.alarms] == ["raised"]


def test_the_limit_itself_is_inside() -> None:
    bench = Bench(COLD_CHAIN)
    bench.pass_time(2000, value=5.0)
    assert bench.alarms == []


def test_a_gap_adds_nothing_to_the_time_outside_and_does_not_end_it() -> None:
    bench = Bench(Bounds(max=5.0, for_s=600, hold_s=30))
    bench.pass_time(300, value=7.0)
    bench.pass_time(3600)
    assert bench.alarms == []
    bench.pass_time(3600 + 260, value=7.0)
    assert bench.alarms == []
    bench.pass_time(3600 + 320, value=7.0)
    assert [state for _, state, *_ in bench.alarms] == ["raised"]


def test_a_lost_device_measures_nothing_and_goes_on_where_it_was() -> None:
    bench = Bench(COLD_CHAIN)
    bench.pass_time(300, value=7.0)
    bench.lose()
    bench.pass_time(5000)
    assert bench.alarms == []
    bench.pass_time(5000 + 290, value=7.0)
    assert bench.alarms == []
    bench.pass_time(5000 + 320, value=7.0)
    assert [state for _, state, *_ in bench.alarms] == ["raised"]


def test_a_door_that_says_once_that_it_is_open_is_an_alarm_when_it_stays_so() -> None:
    bench = Bench(Bounds(max=0.0, for_s=120), quantity="door")
    bench.read(0.0)
    bench.pass_time(50)
    bench.read(1.0)
    bench.pass_time(169)
    assert bench.alarms == []
    bench.pass_time(300)
    assert bench.alarms == [(170.0, "raised", 1.0, 0.0)]
    bench.read(0.0)
    assert bench.alarms[1:] == [(300.0, "cleared", 0.0, 0.0)]


def test_a_door_on_a_broker_that_comes_back_is_as_open_as_it_was() -> None:
    bench = Bench(Bounds(max=0.0, for_s=120), quantity="door")
    bench.read(1.0)
    bench.pass_time(60)
    bench.lose()
    bench.kill()
    bench.pass_time(1000)
    assert bench.alarms == []
    bench.environment.answered("fridge", bench.moment())
    bench.pass_time(1000 + 70)
    assert [state for _, state, *_ in bench.alarms] == ["raised"]


def test_a_serial_device_that_only_answers_has_not_measured() -> None:
    bench = Bench(Bounds(max=5.0, for_s=60, hold_s=10))
    bench.read(7.0)
    for _ in range(30):
        bench.pass_time(bench.now_s + 10)
        bench.environment.answered("fridge", bench.moment())
    assert bench.alarms == []


def test_a_module_that_cannot_weigh_still_measures_its_temperature() -> None:
    bench = Bench(Bounds(max=5.0, for_s=60, hold_s=10))
    for _ in range(70):
        bench.read(7.0)
        bench.take(bench.environment.degraded("fridge", bench.moment()))
        bench.now_s += 1
    assert [state for _, state, *_ in bench.alarms] == ["raised"]


@pytest.mark.parametrize("told_with_value", [True, False])
def test_degraded_on_a_broker_ends_what_was_not_said_just_now(told_with_value: bool) -> None:
    bench = Bench(Bounds(max=0.0, for_s=120), quantity="door")
    bench.read(1.0)
    bench.now_s += 0 if told_with_value else 1
    bench.take(bench.environment.degraded("fridge", bench.moment()))
    bench.pass_time(200)
    assert bool(bench.alarms) is told_with_value


def test_a_sensor_that_speaks_every_five_minutes_raises_in_time() -> None:
    bench = Bench(Bounds(max=5.0, for_s=600, hold_s=400))
    bench.pass_time(1000, value=7.0, every_s=300)
    assert [alarm[0] for alarm in bench.alarms] == [600.0]


def test_from_above_to_below_is_two_alarms() -> None:
    bench = Bench(Bounds(min=0.0, max=5.0, for_s=60, hysteresis=0.5))
    bench.pass_time(100, value=9.0)
    bench.pass_time(200, value=-3.0)
    assert [alarm[1:] for alarm in bench.alarms] == [
        ("raised", 9.0, 5.0),
        ("cleared", -3.0, 5.0),
        ("raised", -3.0, 0.0),
    ]


def test_an_open_alarm_survives_a_restart_without_a_second_raise_and_is_cleared_once() -> None:
    bench = Bench(COLD_CHAIN)
    bench.pass_time(700, value=7.0)
    bench.kill()
    bench.pass_time(2000, value=7.0)
    assert len(bench.alarms) == 1
    bench.kill()
    bench.read(3.0)
    bench.kill()
    bench.read(3.0)
    assert [state for _, state, *_ in bench.alarms] == ["raised", "cleared"]
    assert bench.environment.open_alarms() == []


def test_time_outside_survives_a_kill() -> None:
    bench = Bench(COLD_CHAIN)
    bench.pass_time(400, value=7.0)
    bench.kill()
    bench.now_s = 500
    bench.pass_time(500 + 195, value=7.0)
    assert bench.alarms == []
    bench.pass_time(500 + 220, value=7.0)
    assert [state for _, state, *_ in bench.alarms] == ["raised"]


def test_an_alarm_whose_limits_are_gone_is_cleared() -> None:
    bench = Bench(COLD_CHAIN)
    bench.pass_time(700, value=7.0)
    bench.bounds = {}
    bench.kill()
    bench.pass_time(701)
    assert [alarm[1:] for alarm in bench.alarms] == [("raised", 7.0, 5.0), ("cleared", 7.0, 5.0)]


def test_no_time_is_needed_where_none_is_asked() -> None:
    bench = Bench(Bounds(max=5.0, for_s=0))
    bench.read(5.1)
    assert [state for _, state, *_ in bench.alarms] == ["raised"]


@given(st.lists(st.tuples(st.floats(0, 200), st.floats(0, 10), st.sampled_from(["", "kill", "lose"]))))
def test_raised_and_cleared_alternate_whatever_happens(steps: list[tuple[float, float, str]]) -> None:
    bench = Bench(COLD_CHAIN)
    for pause_s, value, event in steps:
        bench.now_s += pause_s
        bench.take(bench.environment.tick(bench.moment()))
        bench.read(value)
        if event == "kill":
            bench.kill()
        elif event == "lose":
            bench.lose()
    states = [state for _, state, *_ in bench.alarms]
    assert states == (["raised", "cleared"] * len(states))[: len(states)]
