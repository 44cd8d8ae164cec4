"""The log hears of devices once: many in one line, a flapping one a few times and then no more."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bulletin import CHANGES, CHANGES_S, LONGEST_S, QUIET_S, Bulletin
from edge_agent.contract.messages import DeviceStatus
from edge_agent.health import Condition
from edge_agent.moment import Moment

START = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
GONE = "/dev/ttyUSB0 is gone: Input/output error [E-LINK-LOST]"
TICK_S = 0.5


def at(seconds: float) -> Moment:
    return Moment(START + timedelta(seconds=seconds), seconds)


def condition(device: str, status: DeviceStatus = "online", reason: str | None = None) -> Condition:
    return Condition(device, "mt-sics", status, reason, START)


def scales(count: int, status: DeviceStatus, reason: str | None = None) -> list[Condition]:
    return [condition(f"scale-{i:02}", status, reason) for i in range(1, count + 1)]


def told(bulletin: Bulletin, *, since: float = 0.0, until: float = 20.0) -> list[str]:
    ticks = [since + TICK_S * n for n in range(round((until - since) / TICK_S))]
    return [line.text for tick in ticks for line in bulletin.due(at(tick))]


def test_one_change_is_one_line_with_its_reason_and_what_to_do_within_a_second_and_a_half() -> None:
    bulletin = Bulletin()
    bulletin.note(condition("scale-07", "offline", GONE), at(0.1), hint="check plug, cable and power")
    assert bulletin.due(at(0.5)) == []
    [line] = bulletin.due(at(1.5))
    assert line.text == f"scale-07 is offline: {GONE} (check plug, cable and power)"
    assert line.level == logging.WARNING


def test_a_hub_that_goes_and_returns_is_one_line_each() -> None:
    bulletin = Bulletin()
    for index, one in enumerate(scales(24, "offline", GONE)):
        bulletin.note(one, at(0.02 * index))
    [gone] = told(bulletin)
    for index, one in enumerate(scales(24, "online")):
        bulletin.note(one, at(30 + 0.05 * index))
    [back] = told(bulletin, since=30, until=50)
    names = "scale-01, scale-02, scale-03 and 21 more"
    assert gone == f"24 devices are offline (E-LINK-LOST): {names}. scale-01: {GONE}"
    assert back == f"24 devices are online: {names}"


def test_causes_that_differ_are_counted() -> None:
    bulletin = Bulletin()
    for one in scales(3, "offline", GONE):
        bulletin.note(one, at(0))
    bulletin.note(condition("rfid-a", "offline", "nobody answers [E-DEVICE-SILENT]"), at(0.1))
    bulletin.note(condition("scale-09", "degraded", "overload"), at(0.2))
    many, one = told(bulletin)
    assert (
        "4 devices are offline (3 E-LINK-LOST, 1 E-DEVICE-SILENT): rfid-a, scale-01, scale-02 and scale-03"
        in many
    )
    assert one == "scale-09 is degraded: overload"


def test_a_reason_in_other_words_is_no_news_and_another_kind_of_trouble_is() -> None:
    bulletin = Bulletin()
    for second, reason in enumerate((GONE, "/dev/ttyUSB0 is absent [E-LINK-LOST]", "held [E-LINK-DENIED]")):
        bulletin.note(condition("s1", "offline", reason), at(10.0 * second))
        lines = told(bulletin, since=10.0 * second, until=10.0 * second + 5)
        assert [reason.split(" [")[0] in line for line in lines] == ([] if second == 1 else [True])


def test_an_outage_shorter_than_the_bulletin_is_told_too() -> None:
    bulletin = Bulletin()
    for one in scales(2, "online"):
        bulletin.note(one, at(0))
    told(bulletin, until=5)
    for one in scales(2, "offline", GONE):
        bulletin.note(one, at(10))
        bulletin.note(replace(one, status="online", reason=None), at(10.4))
    [line] = told(bulletin, since=10)
    assert line.startswith("2 devices were offline for a moment (E-LINK-LOST): scale-01 and scale-02.")


def test_changes_that_never_pause_are_told_all_the_same() -> None:
    bulletin = Bulletin()
    for index in range(100):
        bulletin.note(condition(f"s{index}"), at(index * QUIET_S / 2))
        if bulletin.due(at(index * QUIET_S / 2)):
            break
    assert index * QUIET_S / 2 == LONGEST_S


def test_a_flapping_device_falls_silent_until_it_is_steady() -> None:
    bulletin = Bulletin()
    lines = list[str]()
    for second in range(0, 600, 4):
        status: DeviceStatus = "online" if second % 8 else "offline"
        bulletin.note(condition("s1", status, None if second % 8 else GONE), at(second))
        lines += told(bulletin, since=second, until=second + 4)
    assert len(lines) == CHANGES + 1
    assert lines[-1].startswith("s1 comes and goes: more than 6 changes in a minute")
    assert told(bulletin, since=600, until=600 + CHANGES_S) == ["s1 is steadily online"]


def test_a_flapping_hub_is_no_line_for_each_device() -> None:
    bulletin = Bulletin()
    lines = list[str]()
    for second in range(0, 304, 4):
        up = second % 8
        for one in scales(24, "online" if up else "offline", None if up else GONE):
            bulletin.note(one, at(second))
        lines += told(bulletin, since=second, until=second + 4)
    lines += told(bulletin, since=304, until=400)
    assert len(lines) == CHANGES + 2
    assert lines[-2].startswith("24 devices come and go: scale-01, scale-02, scale-03 and 21 more (")
    assert lines[-1].startswith("24 devices are steadily online")


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from(["online", "offline", "degraded"]), st.floats(0.01, 20.0)
        ),
        max_size=80,
    )
)
@settings(max_examples=200, deadline=None)
def test_any_history_ends_with_the_truth_told_and_few_lines(
    history: list[tuple[int, DeviceStatus, float]],
) -> None:
    """The newest line about each device says how it is, once all has been steady."""
    bulletin, now, lines = Bulletin(), 0.0, list[str]()
    last: dict[str, DeviceStatus] = {}
    for device, status, pause in history:
        last[f"s{device}"] = status
        bulletin.note(condition(f"s{device}", status, None if status == "online" else "why"), at(now))
        lines += [line.text for line in bulletin.due(at(now))]
        now += pause
        lines += [line.text for line in bulletin.due(at(now))]
    lines += told(bulletin, since=now, until=now + CHANGES_S + LONGEST_S)
    for device, status in last.items():
        newest = next(line for line in reversed(lines) if device in line)
        assert f"{status}" in newest or "for a moment" in newest
    assert bulletin.rest() == []
