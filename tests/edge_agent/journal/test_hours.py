"""Hours of zones and heat maps in a real journal: the last total counts, the open ones survive a restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from edge_agent.contract.times import rfc3339
from edge_agent.journal import Capture, Journal
from edge_agent.journal.hours import FORGOTTEN_AT_ONCE, Span, heat_hours, zone_hours
from edge_agent.presence_hours import HeatHour, ZoneHour

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ALL = Span("cam", NOON - timedelta(days=900), NOON + timedelta(days=1))


def zone(hours: float = 0, *, device: str = "cam", zone: str = "till", watched_s: float = 5.0) -> ZoneHour:
    return ZoneHour(device, zone, NOON + timedelta(hours=hours), watched_s, 2.5, 1, 2.5, 2.5)


def heat(hours: float = 0, *, columns: int = 2) -> HeatHour:
    cells = tuple(n + 0.125 for n in range(columns))
    return HeatHour("cam", columns, 1, NOON + timedelta(hours=hours), 5.0, cells)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path)
    yield made
    made.close()


def test_of_one_hour_the_last_total_counts(journal: Journal) -> None:
    journal.submit(Capture(hours=[zone(watched_s=5), heat(), zone(watched_s=10)])).result(10)
    journal.submit(Capture(hours=[zone(watched_s=15), zone(1)])).result(10)
    assert journal.look(partial(zone_hours, ALL)) == [zone(watched_s=15), zone(1)]
    assert journal.look(partial(heat_hours, ALL, (2, 1))) == [heat()]
    assert journal.look(partial(heat_hours, ALL, (3, 1))) == []


def test_only_the_newest_hour_of_each_zone_and_grid_is_open_after_a_restart(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    new = [zone(2), zone(1, zone="door"), zone(2, device="other"), heat(2), heat(1, columns=3)]
    journal.submit(Capture(hours=[zone(), zone(1), heat(), *new])).result(10)
    journal.close()
    again = Journal(tmp_path)
    assert sorted(map(repr, again.restored.hours)) == sorted(map(repr, new))
    again.close()


def test_only_hours_of_the_span_and_of_the_camera_are_told(journal: Journal) -> None:
    hours = [zone(n) for n in range(4)] + [zone(1, device="other")]
    journal.submit(Capture(hours=[*hours, heat(1), heat(3)])).result(10)
    span = Span("cam", NOON + timedelta(hours=1), NOON + timedelta(hours=3))
    assert journal.look(partial(zone_hours, span)) == hours[1:3]
    assert journal.look(partial(heat_hours, span, (2, 1))) == [heat(1)]


def test_old_hours_are_forgotten_in_small_steps_so_that_a_wrong_clock_costs_few(journal: Journal) -> None:
    count = FORGOTTEN_AT_ONCE + 2
    old = [replace(zone(n), start=NOON - timedelta(days=850, hours=-n)) for n in range(count)]
    journal.submit(Capture(hours=[*old, replace(heat(), start=old[0].start), zone(), heat()])).result(10)
    before = rfc3339(NOON - timedelta(days=800))
    journal.forget_hours(before).result(10)
    assert journal.look(partial(zone_hours, ALL)) == [*old[-2:], zone()]
    assert journal.look(partial(heat_hours, ALL, (2, 1))) == [heat()]
    journal.forget_hours(before).result(10)
    assert journal.look(partial(zone_hours, ALL)) == [zone()]
