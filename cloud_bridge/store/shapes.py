"""Rows of HQ's tables as the records that REST shows, whatever database they come from."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from cloud_bridge.picture import Picture, ShownFacing
from cloud_bridge.rows import AppliedPlanogram, ReadyRow
from cloud_bridge.store.records import (
    DeviceRecord,
    EnvironmentRecord,
    FacingRecord,
    PlanogramRecord,
    StoreRecord,
)
from edge_agent.contract.messages import DeviceChanged, StockChanged
from edge_agent.contract.times import parse_rfc3339, rfc3339

FACING_COLUMNS: Final = (
    "store, facing, gtin, name, on_hand, capacity, reorder_point, status, confidence, sources,"
    " changed_at, observed_at, received_at, version, reorder_due_at"
)
_STORE_NAMES: Final = (
    "store", "name", "gln", "timezone", "last_seen_at", "head_seq", "head_occurred_at", "last_seq",
    "as_of_seq", "catch_up_to", "state_at", "clock_offset_ms", "differences", "differed_at",
    "latitude", "longitude",
)  # fmt: skip


def store_record(row: Sequence[object]) -> StoreRecord:
    """A row of an engine's stores, in the order of `_STORE_NAMES`."""
    return StoreRecord(**dict(zip(_STORE_NAMES, row, strict=True)))  # type: ignore[arg-type]  # its columns


def facing_record(row: Sequence[object]) -> FacingRecord:
    """A row of `FACING_COLUMNS`."""
    fields = dict(zip(FACING_COLUMNS.split(", "), row, strict=True))
    fields["sources"] = msgspec.json.decode(str(fields["sources"]))
    return FacingRecord(**fields)  # type: ignore[arg-type]  # its columns


def device_record(
    device: str, driver: str, status: str, reason: str | None, since: str, seen: str | None
) -> DeviceRecord:
    """A device as its table has it."""
    return DeviceRecord(
        device=device,
        driver=driver,
        status=status,  # type: ignore[arg-type]  # checked when it was taken in
        reason=reason,
        since=since,
        last_seen_at=seen,
    )


def environment_record(
    start: int, device: str, quantity: str, unit: str, seconds: int, low: float, high: float, mean: float
) -> tuple[int, EnvironmentRecord]:
    """A measured bucket, with its start in Unix milliseconds."""
    return start, EnvironmentRecord(
        device=device,
        quantity=quantity,
        unit=unit,
        start=rfc3339(datetime.fromtimestamp(start / 1000, UTC)),
        seconds=seconds,
        min=low,
        max=high,
        mean=mean,
    )


def planogram_record(row: Sequence[object] | None) -> PlanogramRecord | None:
    """Revision and body of the planogram that a store reported."""
    if row is None:
        return None
    body = json.loads(str(row[1]))
    return PlanogramRecord(int(str(row[0])), body["products"], body["facings"])


def start_ms(text: str) -> int:
    """A bucket's start as Unix milliseconds."""
    return round(parse_rfc3339(text).timestamp() * 1000)


def touched(rows: Iterable[ReadyRow]) -> tuple[Collection[str], Collection[str]] | None:
    """The facings and devices whose past `rows` need; None: a planogram, which needs the whole picture."""
    facings: set[str] = set()
    devices: set[str] = set()
    for row in rows:
        body = row.body
        if isinstance(body, StockChanged):
            facings.add(body.facing)
        elif isinstance(body, DeviceChanged):
            devices.add(body.device)
        elif isinstance(body, AppliedPlanogram):
            return None
    return facings, devices


def make_current(picture: Picture, old: dict[str, ShownFacing]) -> None:
    """Ready a refolded picture to stand in the place of the one with the facings `old`.

    Without a planogram in its past, the places stay known. Versions move on. Buckets stand for themselves.
    """
    if picture.planogram is None:
        for facing in old.values():
            place = picture.facings.setdefault(facing.facing, ShownFacing(facing.facing, facing.gtin))
            if place.gtin == facing.gtin:
                place.name, place.capacity = facing.name, facing.capacity
                place.reorder_point, place.shelf = facing.reorder_point, facing.shelf
                place.x_mm, place.width_mm = facing.x_mm, facing.width_mm
                place.received_at = place.received_at or facing.received_at
    for shown in picture.facings.values():
        before = old.get(shown.facing)
        shown.version = before.version + 1 if before is not None else shown.version
    picture.changed.facings |= picture.facings.keys()
    picture.footfall.clear()
    picture.environment.clear()
