"""Loading and saving the picture of one store in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from cloud_bridge.picture import Item, OpenGap, Picture, ShownDevice, ShownFacing
from cloud_bridge.rows import AppliedPlanogram, ReadyRow
from edge_agent.contract.messages import DeviceChanged, StockChanged
from edge_agent.contract.times import parse_rfc3339

_FACING: Final = (
    "facing, gtin, name, capacity, reorder_point, shelf, x_mm, width_mm, on_hand, confidence, status,"
    " sources, changed_at, observed_at, received_at, version"
)
_SAVE_FACING: Final = (
    f"insert into facing (store, {_FACING}) values ({', '.join('?' * 17)})"  # noqa: S608 - columns above
    " on conflict (store, facing) do update set gtin = excluded.gtin, name = excluded.name,"
    " capacity = excluded.capacity, reorder_point = excluded.reorder_point, shelf = excluded.shelf,"
    " x_mm = excluded.x_mm, width_mm = excluded.width_mm, on_hand = excluded.on_hand,"
    " confidence = excluded.confidence, status = excluded.status, sources = excluded.sources,"
    " changed_at = excluded.changed_at, observed_at = excluded.observed_at,"
    " received_at = excluded.received_at, version = excluded.version"
)
_SAVE_BELIEF: Final = (
    "update facing set on_hand = ?, confidence = ?, status = ?, sources = ?, changed_at = ?, observed_at = ?,"
    " received_at = ?, version = ? where store = ? and facing = ?"
)
"""Names no column of an index: SQLite rewrites index entries of named columns, changed or not."""
_SAVE_ITEM: Final = (
    "insert or replace into item (store, epc, gtin, serial, facing, device, is_present, moved_at)"
    " values (?, ?, ?, ?, ?, ?, ?, ?)"
)


def load_for(connection: sqlite3.Connection, store: str, rows: Iterable[ReadyRow]) -> Picture:
    """The part of a store's picture that `rows` touch."""
    facings: set[str] = set()
    devices: set[str] = set()
    for row in rows:
        if isinstance(row.body, AppliedPlanogram):
            return load_whole(connection, store)
        if isinstance(row.body, StockChanged):
            facings.add(row.body.facing)
        elif isinstance(row.body, DeviceChanged):
            devices.add(row.body.device)
    picture = Picture()
    if facings:
        picture.facings = load_facings(connection, store, facings)
    if devices:
        picture.devices = _devices(connection, store, devices)
    return picture


def load_whole(connection: sqlite3.Connection, store: str) -> Picture:
    """A store's whole picture, without its buckets and items, which need no past."""
    picture = Picture()
    picture.facings = load_facings(connection, store)
    picture.devices = _devices(connection, store, None)
    gaps = connection.execute(
        "select facing, device, fill, opened_at from open_gap where store = ?", (store,)
    )
    picture.gaps = {(gap[0], gap[1]): OpenGap(*gap) for gap in gaps}
    return picture


def save(connection: sqlite3.Connection, store: str, picture: Picture) -> None:
    """Write back what changed."""
    _save_shown(connection, store, picture)
    changed = picture.changed
    if changed.items:
        connection.executemany(_SAVE_ITEM, [_item(store, picture.items[epc]) for epc in changed.items])
    if changed.planogram and picture.planogram is not None:
        _save_planogram(connection, store, picture.planogram)
    _save_buckets(connection, store, picture)


def replace(connection: sqlite3.Connection, store: str, picture: Picture) -> None:
    """Make a refolded picture the store's picture. Without a planogram in its past, the places stay known."""
    old = load_facings(connection, store)
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
    for table in ("facing", "device", "open_gap", "item"):
        connection.execute(f"delete from {table} where store = ?", (store,))  # noqa: S608 - names from this file
    picture.changed.facings |= picture.facings.keys()
    picture.footfall.clear()
    picture.environment.clear()
    save(connection, store, picture)


def start_ms(text: str) -> int:
    """A bucket's start as Unix milliseconds."""
    return round(parse_rfc3339(text).timestamp() * 1000)


def _save_shown(connection: sqlite3.Connection, store: str, picture: Picture) -> None:
    changed = picture.changed
    _delete(connection, "facing", "facing", store, changed.facings - picture.facings.keys())
    shown = [picture.facings[key] for key in changed.facings if key in picture.facings]
    connection.executemany(_SAVE_FACING, [_facing(store, facing) for facing in shown])
    believed = [picture.facings[key] for key in changed.beliefs - changed.facings]
    connection.executemany(_SAVE_BELIEF, [_belief(store, facing) for facing in believed])
    _delete(connection, "device", "device", store, changed.devices - picture.devices.keys())
    connection.executemany(
        "insert or replace into device (store, device, driver, status, reason, since, last_seen_at)"
        " values (?, ?, ?, ?, ?, ?, ?)",
        [
            (store, d.device, d.driver, d.status, d.reason, d.since, d.last_seen_at)
            for key in changed.devices
            if (d := picture.devices.get(key)) is not None
        ],
    )
    connection.executemany(
        "delete from open_gap where store = ? and facing = ? and device = ?",
        [(store, *key) for key in changed.gaps - picture.gaps.keys()],
    )
    connection.executemany(
        "insert into open_gap (store, facing, device, fill, opened_at) values (?, ?, ?, ?, ?)"
        " on conflict (store, facing, device) do update set fill = excluded.fill",
        [
            (store, gap.facing, gap.device, gap.fill, gap.opened_at)
            for key in changed.gaps
            if (gap := picture.gaps.get(key)) is not None
        ],
    )


def _save_planogram(connection: sqlite3.Connection, store: str, applied: AppliedPlanogram) -> None:
    body = applied.planogram.model_dump_json(exclude_none=True)
    connection.execute(
        "insert or replace into planogram (store, revision, body) values (?, ?, ?)",
        (store, applied.revision, body),
    )


def _save_buckets(connection: sqlite3.Connection, store: str, picture: Picture) -> None:
    if picture.footfall:
        connection.executemany(
            "insert or replace into footfall (store, start_ms, line, device, seconds, entered, exited)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            [
                (store, start_ms(b.start), b.line, b.device, b.seconds, b.entered, b.exited)
                for b in picture.footfall.values()
            ],
        )
    if picture.environment:
        connection.executemany(
            "insert or replace into environment"
            " (store, start_ms, device, quantity, unit, seconds, min, max, mean)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (store, start_ms(b.start), b.device, b.quantity, b.unit, b.seconds, b.min, b.max, b.mean)
                for b in picture.environment.values()
            ],
        )


def load_facings(
    connection: sqlite3.Connection, store: str, only: Collection[str] | None = None
) -> dict[str, ShownFacing]:
    """A store's facings as its ledger leads to them, all or those in `only`."""
    rows = _some(connection, f"select {_FACING} from facing where store = ?", "facing", store, only)  # noqa: S608
    return {row[0]: _shown(row) for row in rows}


def _shown(row: Sequence[Any]) -> ShownFacing:
    fields = (*row[:11], _sources(row[11]), *row[12:])
    return ShownFacing(*fields)


@lru_cache(maxsize=64)
def _sources(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


@lru_cache(maxsize=64)
def _sources_text(sources: tuple[str, ...]) -> str:
    return json.dumps(sources)


def _devices(
    connection: sqlite3.Connection, store: str, only: Collection[str] | None
) -> dict[str, ShownDevice]:
    sql = "select device, driver, status, reason, since, last_seen_at from device where store = ?"
    return {row[0]: ShownDevice(*row) for row in _some(connection, sql, "device", store, only)}


def _some(
    connection: sqlite3.Connection, sql: str, key: str, store: str, only: Collection[str] | None
) -> sqlite3.Cursor:
    """All rows of a store, or those whose `key` is in `only`, in one statement of constant text."""
    if only is None:
        return connection.execute(sql, (store,))
    return connection.execute(
        f"{sql} and {key} in (select value from json_each(?))",  # noqa: S608 - our own names
        (store, json.dumps(list(only))),
    )


def _delete(connection: sqlite3.Connection, table: str, key: str, store: str, gone: Collection[str]) -> None:
    if gone:
        connection.executemany(
            f"delete from {table} where store = ? and {key} = ?",  # noqa: S608 - our own names
            [(store, name) for name in gone],
        )


def _facing(store: str, f: ShownFacing) -> tuple[object, ...]:
    return (
        store, f.facing, f.gtin, f.name, f.capacity, f.reorder_point, f.shelf, f.x_mm, f.width_mm, f.on_hand,
        f.confidence, f.status, _sources_text(tuple(f.sources)), f.changed_at, f.observed_at, f.received_at,
        f.version,
    )  # fmt: skip


def _belief(store: str, f: ShownFacing) -> tuple[object, ...]:
    return (
        f.on_hand, f.confidence, f.status, _sources_text(tuple(f.sources)), f.changed_at, f.observed_at,
        f.received_at, f.version, store, f.facing,
    )  # fmt: skip


def _item(store: str, item: Item) -> tuple[object, ...]:
    return (
        store, item.epc, item.gtin, item.serial, item.facing, item.device, item.is_present, item.moved_at,
    )  # fmt: skip
