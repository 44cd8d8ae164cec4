"""A device's condition moves once for each change, not for each reading."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from edge_agent.health import Condition, Health
from edge_agent.moment import Moment

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def now(seconds: float) -> Moment:
    return Moment(START + timedelta(seconds=seconds), seconds)


def health(expect_every_s: float | None = None) -> Health:
    return Health(
        [Condition("s1", "mt-sics", "offline", "not seen yet", START, expect_every_s=expect_every_s)]
    )


def test_many_readings_are_one_change() -> None:
    devices = health()
    moved = [devices.heard("s1", now(t)) for t in range(100)]
    assert [c is not None for c in moved] == [True, *[False] * 99]
    assert devices.conditions["s1"].last_seen_at == START + timedelta(seconds=99)


def test_lost_degraded_and_back_each_tell_their_reason_once() -> None:
    devices = health()
    devices.heard("s1", now(1), identity="0123")
    lost = [
        devices.lost("s1", "gone [E-LINK-LOST]", now(2)),
        devices.lost("s1", "gone [E-LINK-LOST]", now(3)),
    ]
    assert lost[0] is not None
    assert (lost[0].status, lost[0].reason, lost[1]) == ("offline", "gone [E-LINK-LOST]", None)
    degraded = devices.degraded("s1", "overload", now(4))
    assert degraded is not None
    assert degraded.body().reason == "overload"
    back = devices.heard("s1", now(5))
    assert back is not None
    assert (back.status, back.reason, back.identity) == ("online", None, "0123")


def test_silence_beyond_what_is_expected_degrades_once() -> None:
    devices = health(expect_every_s=5)
    devices.heard("s1", now(0))
    assert devices.tick(now(4)) == []
    [silent] = devices.tick(now(6))
    assert (silent.status, silent.reason) == ("degraded", "silent")
    assert devices.tick(now(7)) == []


def test_an_event_only_device_is_never_called_silent() -> None:
    devices = health()
    devices.heard("s1", now(0))
    assert devices.tick(now(86_400)) == []


def test_another_serial_number_is_another_device_and_stays_visible_until_the_next_trouble() -> None:
    devices = health()
    devices.heard("s1", now(0), identity="B1")
    swapped = devices.heard("s1", now(1), identity="B2")
    assert swapped is not None
    assert (swapped.status, swapped.identity) == ("online", "B2")
    assert swapped.reason == "another device: B1 was here, now it is B2"
    assert devices.heard("s1", now(2)) is None
    assert devices.heard("s1", now(3), identity="B2") is None
    assert devices.conditions["s1"].reason == swapped.reason
    devices.lost("s1", "gone", now(4))
    back = devices.heard("s1", now(5), identity="B2")
    assert back is not None
    assert back.reason is None


def test_a_device_changed_while_its_link_was_down_is_seen_too() -> None:
    devices = health()
    devices.heard("s1", now(0), identity="B1")
    devices.lost("s1", "gone", now(1))
    back = devices.heard("s1", now(2), identity="B2")
    assert back is not None
    assert "B1 was here" in str(back.reason)


def test_two_devices_with_one_serial_number_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    names = ("s1", "s2", "s3")
    devices = Health([Condition(name, "mt-sics", "offline", None, START) for name in names])
    for t, name in enumerate(("s1", "s2", "s1", "s2")):
        devices.heard(name, now(t), identity="B1")
    devices.heard("s3", now(9), identity="B3")
    assert [record.message for record in caplog.records] == ["s2 and s1 have the same serial number, B1"]


def test_many_cheap_devices_with_one_serial_number_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    names = [f"s{number}" for number in range(50)]
    devices = Health([Condition(name, "mt-sics", "offline", "not seen yet", START) for name in names])
    for name in names:
        devices.heard(name, now(1), identity="0000")
    assert [record.message for record in caplog.records] == ["s1 and s0 have the same serial number, 0000"]


def test_a_note_is_the_reason_of_a_device_that_is_online_until_its_next_trouble() -> None:
    devices = health()
    devices.heard("s1", now(1))
    noted = devices.noted("s1", "look at it", now(2))
    assert noted is not None
    assert (noted.status, noted.reason) == ("online", "look at it")
    assert devices.noted("s1", "look at it", now(3)) is None
    assert devices.heard("s1", now(4)) is None, "it goes on saying so"
    taken_back = devices.noted("s1", None, now(5))
    assert taken_back is not None
    assert taken_back.reason is None
