"""What a camera says of its zones and heat map, frame by frame, with tracks made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from edge_agent.config.cameras import HeatGrid, WatchedZone
from edge_agent.contract.errors import ConfigError
from edge_agent.readings import HeatSeen, Reading, ZoneWatched
from edge_agent.vision.capture import Frame
from edge_agent.vision.people import Seen
from edge_agent.vision.track import Track
from edge_agent.vision.zone_duty import ZoneDuty

LEFT, RIGHT = ([[x, 0], [x + 100, 0], [x + 100, 100], [x, 100]] for x in (0, 100))
NOBODY = np.empty((0, 5), np.float32)
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def zones(**polygons: Any) -> list[WatchedZone]:
    return [WatchedZone(id=name, polygon=polygon) for name, polygon in polygons.items()]


def frame(at_s: float) -> Frame:
    return Frame(np.zeros((100, 200, 3), np.uint8), at_s, NOON + timedelta(seconds=at_s))


def seen(at_s: float, *feet_x: float) -> Seen:
    tracks = [Track(n, (x - 10, 20, x + 10, 60), at_s, confirmed=True) for n, x in enumerate(feet_x)]
    return Seen(frame(at_s), NOBODY, tracks, skipped=not feet_x)


async def told(duty: ZoneDuty, looks: Sequence[Seen]) -> list[Reading]:
    duty.check(looks[0].frame)
    return [reading for look in looks for reading in await duty.readings(look)]


def totals(readings: Sequence[Reading], zone: str) -> tuple[float, float, int, float, float]:
    of = [r for r in readings if isinstance(r, ZoneWatched) and r.zone == zone]
    return (
        sum(r.watched_s for r in of),
        sum(r.person_s for r in of),
        sum(r.visits for r in of),
        sum(r.dwell_s for r in of),
        max(r.longest_s for r in of),
    )


async def test_a_visit_is_told_when_it_ends_and_everything_every_5_s_each_second_once() -> None:
    duty = ZoneDuty("cam", zones(left=LEFT, right=RIGHT), HeatGrid(columns=2, rows=1))
    readings = await told(duty, [seen(t, 50) for t in range(8)] + [seen(t, 150) for t in range(8, 21)])
    assert totals(readings, "left") == (20, 7, 1, 7, 7)
    assert totals(readings, "right") == (20, 12, 0, 0, 0), "whoever is still there has not visited yet"
    [end] = [r for r in readings if isinstance(r, ZoneWatched) and r.visits]
    assert (end.zone, end.occurred_at, end.occupancy) == ("left", NOON + timedelta(seconds=8), 0)
    heat = [r for r in readings if isinstance(r, HeatSeen)]
    assert [(r.occurred_at - NOON).total_seconds() for r in heat] == [5, 10, 15, 20]
    assert [sum(cell) for cell in zip(*(r.cells for r in heat), strict=True)] == [7, 13]
    assert sum(r.watched_s for r in heat) == 20


async def test_time_without_anybody_is_watched_and_an_outage_is_not() -> None:
    duty = ZoneDuty("cam", zones(left=LEFT), None)
    readings = await told(duty, [seen(t) for t in (*range(11), *range(100, 111))])
    assert totals(readings, "left") == (20, 0, 0, 0, 0)


async def test_when_pictures_turn_bad_the_rest_is_told_and_nothing_is_watched_meanwhile() -> None:
    duty = ZoneDuty("cam", zones(left=LEFT), HeatGrid(columns=1, rows=1))
    readings = await told(duty, [seen(t, 50) for t in range(4)])
    assert readings == []
    zone, heat = duty.pause()
    assert isinstance(zone, ZoneWatched)
    assert isinstance(heat, HeatSeen)
    assert (zone.watched_s, zone.visits, zone.dwell_s, zone.occupancy) == (3, 1, 3, None)
    assert (heat.watched_s, heat.cells) == (3, (3,))
    assert duty.pause() == ()
    again = [r for t in range(6, 12) for r in await duty.readings(seen(t, 50))]
    assert totals(again, "left")[:2] == (2, 2), "told at 8 s; the time from 3 s to 6 s is nobody's"


async def test_what_an_hour_saw_is_told_in_that_hour() -> None:
    duty = ZoneDuty("cam", zones(left=LEFT), None)
    readings = await told(duty, [seen(t, 50) for t in range(3596, 3607)])
    watched = {r.occurred_at.hour: r.watched_s for r in readings if isinstance(r, ZoneWatched)}
    assert watched == {12: 3, 13: 5}


@pytest.mark.parametrize("polygon", [[[200, 0], [300, 0], [300, 99]], [[0, -50], [50, -50], [50, 0]]])
def test_a_zone_outside_of_the_picture_is_an_error_and_one_around_it_is_none(polygon: Any) -> None:
    ZoneDuty("cam", zones(all=[[-9, -9], [999, -9], [999, 999], [-9, 999]]), None).check(frame(0))
    with pytest.raises(ConfigError, match="zone away lies outside the picture of 200x100 pixels"):
        ZoneDuty("cam", zones(away=polygon), None).check(frame(0))
