"""Loading and saving the picture of one store in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from cloud_bridge.picture import Item, OpenGap, Picture, ShownDevice, ShownFacing
from cloud_bridge.rows import AppliedPlanogram, ReadyRow
from cloud_bridge.store.shapes import make_current, start_ms, touched
from cloud_bridge.store.sqlite.many import insert_many, select_many

_FACING: Final = (
    "facing, gtin, name, capacity, reorder_point, shelf, x_mm, width_mm, on_hand, confidence, status,"
    " sources, changed_at, observed_at, received_at, version, reorder_due_at"
)
_BELIEF: Final = (
    "on_hand", "confidence", "status", "sources", "changed_at", "observed_at", "received_at", "version",
    "reorder_due_at",
)  # fmt: skip
_PLACE: Final = ("gtin", "name", "capacity", "reorder_point", "shelf", "x_mm", "width_mm")
_DEVICE: Final = "device, driver, status, reason, since, last_seen_at"


def _updating(key: str, columns: Iterable[str]) -> str:
    return f"on conflict ({key}) do update set {', '.join(f'{c} = excluded.{c}' for c in columns)}"


_TAKE_ALL: Final = _updating("store, facing", _PLACE + _BELIEF)
_TAKE_BELIEF: Final = _updating("store, facing", _BELIEF)
"""Names no column of an index: SQLite rewrites index entries of named columns, changed or not."""


def load_for(connection: sqlite3.Connection, store: str, rows: Iterable[ReadyRow]) -> Picture:
    """The part of a store's picture that `rows` touch."""
    needed = touched(rows)
    if needed is None:
        return load_whole(connection, store)
    facings, devices = needed
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
    insert_many(
        connection,
        "insert or replace into item (store, epc, gtin, serial, facing, device, is_present, moved_at)",
        [_item(store, picture.items[epc]) for epc in changed.items],
    )
    if changed.planogram and picture.planogram is not None:
        _save_planogram(connection, store, picture.planogram)
    _save_buckets(connection, store, picture)


def replace(connection: sqlite3.Connection, store: str, picture: Picture) -> None:
    """Make a refolded picture the store's picture."""
    make_current(picture, load_facings(connection, store))
    for table in ("facing", "device", "open_gap", "item"):
        connection.execute(f"delete from {table} where store = ?", (store,))  # noqa: S608 - names from this file
    save(connection, store, picture)


def _save_shown(connection: sqlite3.Connection, store: str, picture: Picture) -> None:
    changed, facings = picture.changed, picture.facings
    _delete(connection, "facing", "facing", store, changed.facings - facings.keys())
    placed = [_facing(store, facings[key]) for key in changed.facings & facings.keys()]
    insert_many(connection, f"insert into facing (store, {_FACING})", placed, on_conflict=_TAKE_ALL)
    believed = [_facing(store, facings[key]) for key in changed.beliefs - changed.facings]
    insert_many(connection, f"insert into facing (store, {_FACING})", believed, on_conflict=_TAKE_BELIEF)
    devices = [_device(store, picture.devices[key]) for key in changed.devices]
    insert_many(connection, f"insert or replace into device (store, {_DEVICE})", devices)
    connection.executemany(
        "delete from open_gap where store = ? and facing = ? and device = ?",
        [(store, *key) for key in changed.gaps - picture.gaps.keys()],
    )
    insert_many(
        connection,
        "insert into open_gap (store, facing, device, fill, opened_at)",
        [_gap(store, picture.gaps[key]) for key in changed.gaps & picture.gaps.keys()],
        on_conflict=_updating("store, facing, device", ["fill"]),
    )


def _save_planogram(connection: sqlite3.Connection, store: str, applied: AppliedPlanogram) -> None:
    body = applied.planogram.model_dump_json(exclude_none=True)
    connection.execute(
        "insert or replace into planogram (store, revision, body) values (?, ?, ?)",
        (store, applied.revision, body),
    )


def _save_buckets(connection: sqlite3.Connection, store: str, picture: Picture) -> None:
    insert_many(
        connection,
        "insert or replace into footfall (store, start_ms, line, device, seconds, entered, exited)",
        [
            (store, start_ms(b.start), b.line, b.device, b.seconds, b.entered, b.exited)
            for b in picture.footfall.values()
        ],
    )
    insert_many(
        connection,
        "insert or replace into environment"
        " (store, start_ms, device, quantity, unit, seconds, min, max, mean)",
        [
            (store, start_ms(b.start), b.device, b.quantity, b.unit, b.seconds, b.min, b.max, b.mean)
            for b in picture.environment.values()
        ],
    )


def load_facings(
    connection: sqlite3.Connection, store: str, only: Collection[str] | None = None
) -> dict[str, ShownFacing]:
    """A store's facings as its ledger leads to them, all or those in `only`."""
    return {row[0]: _shown(row) for row in _some(connection, _FACING, "facing", store, only)}


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
    return {row[0]: ShownDevice(*row) for row in _some(connection, _DEVICE, "device", store, only)}


def _some(
    connection: sqlite3.Connection, columns: str, table: str, store: str, only: Collection[str] | None
) -> list[list[Any]]:
    """All rows of a store, or those whose key, named like the table, is in `only`."""
    if only is None:
        return select_many(connection, columns, f"from {table} where store = ?", (store,))
    rest = f"from {table} where store = ? and {table} in (select value from json_each(?))"  # noqa: S608 - our names
    return select_many(connection, columns, rest, (store, json.dumps(list(only))))


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
        f.version, f.reorder_due_at,
    )  # fmt: skip


def _device(store: str, d: ShownDevice) -> tuple[object, ...]:
    return (store, d.device, d.driver, d.status, d.reason, d.since, d.last_seen_at)


def _gap(store: str, gap: OpenGap) -> tuple[object, ...]:
    return (store, gap.facing, gap.device, gap.fill, gap.opened_at)


def _item(store: str, item: Item) -> tuple[object, ...]:
    return (
        store, item.epc, item.gtin, item.serial, item.facing, item.device, item.is_present, item.moved_at,
    )  # fmt: skip
