"""Footfall totals in the buckets that were asked for."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cloud_bridge.replies import FootfallItem
from cloud_bridge.store.records import FootfallRecord
from edge_agent.contract.times import rfc3339

STEP_S: Final = {"1m": 60, "1h": 3600, "1d": 900}
"""What the database adds up; a day is put together from quarters, which every zone's midnight falls on."""


def items(records: list[FootfallRecord], bucket: str, timezone: str) -> list[FootfallItem]:
    """Records as items by start and line; days begin at midnight in `timezone`."""
    zone = zone_of(timezone)
    entered: Counter[tuple[datetime, str]] = Counter()
    exited: Counter[tuple[datetime, str]] = Counter()
    for record in records:
        start = datetime.fromtimestamp(record.start_ms / 1000, UTC)
        if bucket == "1d":
            start = datetime.combine(start.astimezone(zone).date(), time(), zone).astimezone(UTC)
        entered[start, record.line] += record.entered
        exited[start, record.line] += record.exited
    return [
        FootfallItem(line, rfc3339(start), entered[start, line], exited[start, line])
        for start, line in sorted(entered)
    ]


def zone_of(name: str) -> ZoneInfo:
    """The zone a store says it is in; UTC for a name that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
