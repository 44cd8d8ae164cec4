"""The hours of zones and heat maps in the journal: kept with each capture, read by the agent's API."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from edge_agent.contract.times import parse_rfc3339, rfc3339
from edge_agent.presence_hours import HeatHour, Hour, ZoneHour

FORGOTTEN_AT_ONCE = 5
"""Hours of each kind that one call forgets. Retention calls every minute, so that a clock which is wrong for
an hour costs few."""

_cells = msgspec.json.Decoder(tuple[float, ...]).decode


@dataclass(frozen=True, slots=True)
class Span:
    """Hours of one camera that start in [`since`, `until`)."""

    device: str
    since: datetime
    until: datetime


def keep_hours(db: sqlite3.Connection, hours: Sequence[Hour]) -> None:
    """The hours with their newest totals; of each hour the last one counts."""
    for hour in hours:
        if isinstance(hour, ZoneHour):
            db.execute(
                "insert or replace into zone_hour values(?,?,?,?,?,?,?,?)",
                (
                    hour.device, hour.zone, rfc3339(hour.start), hour.watched_s, hour.person_s,
                    hour.visits, hour.dwell_s, hour.longest_s,
                ),
            )  # fmt: skip
        else:
            cells = msgspec.json.encode([round(cell, 3) for cell in hour.cells]).decode()
            db.execute(
                "insert or replace into heat_hour values(?,?,?,?,?,?)",
                (hour.device, hour.columns, hour.rows, rfc3339(hour.start), hour.watched_s, cells),
            )


def open_hours(db: sqlite3.Connection) -> list[Hour]:
    """The newest hour of every zone and heat map."""
    zones = db.execute("select device, zone, max(start) from zone_hour group by device, zone").fetchall()
    grids = db.execute(
        "select device, columns, rows, max(start) from heat_hour group by device, columns, rows"
    ).fetchall()
    found: list[Hour] = []
    for key in zones:
        where = "select * from zone_hour where device = ? and zone = ? and start = ?"
        found += [_zone_hour(row) for row in db.execute(where, key)]
    for key in grids:
        where = "select * from heat_hour where device = ? and columns = ? and rows = ? and start = ?"
        found += [_heat_hour(row) for row in db.execute(where, key)]
    return found


def zone_hours(span: Span, db: sqlite3.Connection) -> list[ZoneHour]:
    """The hours of all zones, the oldest first."""
    found = db.execute(
        "select * from zone_hour where device = ? and start >= ? and start < ? order by start, zone",
        (span.device, rfc3339(span.since), rfc3339(span.until)),
    )
    return [_zone_hour(row) for row in found]


def heat_hours(span: Span, grid: tuple[int, int], db: sqlite3.Connection) -> list[HeatHour]:
    """The hours of the heat map with that grid (columns, rows), the oldest first."""
    found = db.execute(
        "select * from heat_hour where device = ? and columns = ? and rows = ?"
        " and start >= ? and start < ? order by start",
        (span.device, *grid, rfc3339(span.since), rfc3339(span.until)),
    )
    return [_heat_hour(row) for row in found]


def forget_hours(db: sqlite3.Connection, before: str) -> None:
    """Forget some of the hours that started before `before` (RFC 3339), the oldest first."""
    for table in ("zone_hour", "heat_hour"):
        db.execute(
            f"delete from {table} where rowid in"  # noqa: S608  # the two names above
            f" (select rowid from {table} where start < ? order by start limit ?)",  # as above
            (before, FORGOTTEN_AT_ONCE),
        )


def _zone_hour(row: tuple[Any, ...]) -> ZoneHour:
    device, zone, start, *totals = row
    return ZoneHour(device, zone, parse_rfc3339(start), *totals)


def _heat_hour(row: tuple[Any, ...]) -> HeatHour:
    device, columns, rows, start, watched_s, cells = row
    return HeatHour(device, columns, rows, parse_rfc3339(start), watched_s, _cells(cells))
