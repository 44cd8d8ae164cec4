"""Loading and saving the picture of one store in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from cloud_bridge.picture import Item, OpenGap, Picture, ShownDevice, ShownFacing
from cloud_bridge.rows import ReadyRow
from cloud_bridge.store.postgres.database import Connection, Writes
from cloud_bridge.store.postgres.many import Columns, insert, run_many, update, updating
from cloud_bridge.store.shapes import make_current, start_ms, touched

_BELIEF: Final = (
    "on_hand bigint?, confidence float8, status text, sources text, changed_at text?, observed_at text?,"
    " received_at text, version bigint, reorder_due_at text?"
)
_PLACE: Final = (
    "gtin text, name text, capacity bigint, reorder_point bigint, shelf text?, x_mm float8?, width_mm float8?"
)
_SAVE_FACINGS: Final = insert(
    "facing",
    f"facing text, {_PLACE}, {_BELIEF}",
    on_conflict=updating("store, facing", Columns.of(f"{_PLACE}, {_BELIEF}").names),
)
_SAVE_BELIEFS: Final = update("facing", "facing", _BELIEF)
"""Names no column of an index, so that PostgreSQL need not touch one."""
_SAVE_DEVICES: Final = insert(
    "device",
    "device text, driver text, status text, reason text?, since text, last_seen_at text?",
    on_conflict=updating("store, device", ("driver", "status", "reason", "since", "last_seen_at")),
)
_SAVE_GAPS: Final = insert(
    "open_gap",
    "facing text, device text, fill float8, opened_at text",
    on_conflict=updating("store, facing, device", ["fill"]),
)
_SAVE_ITEMS: Final = insert(
    "item",
    "epc text, gtin text?, serial text?, facing text?, device text, is_present bool, moved_at text",
    on_conflict=updating("store, epc", ("gtin", "serial", "facing", "device", "is_present", "moved_at")),
)
_SAVE_FOOTFALL: Final = insert(
    "footfall",
    "start_ms bigint, line text, device text, seconds bigint, entered bigint, exited bigint",
    on_conflict=updating("store, start_ms, line, device", ("seconds", "entered", "exited")),
)
_SAVE_ENVIRONMENT: Final = insert(
    "environment",
    "start_ms bigint, device text, quantity text, unit text, seconds bigint, min float8, max float8,"
    " mean float8",
    on_conflict=updating("store, start_ms, device, quantity", ("unit", "seconds", "min", "max", "mean")),
)


async def load_for(connection: Connection, store: str, rows: Iterable[ReadyRow]) -> Picture:
    """The part of a store's picture that `rows` touch."""
    needed = touched(rows)
    if needed is None:
        return await load_whole(connection, store)
    facings, devices = needed
    picture = Picture()
    if facings:
        picture.facings = await load_facings(connection, store, facings)
    if devices:
        picture.devices = await _load_devices(connection, store, devices)
    return picture


async def load_whole(connection: Connection, store: str) -> Picture:
    """A store's whole picture, without its buckets and items, which need no past."""
    picture = Picture()
    picture.facings = await load_facings(connection, store)
    picture.devices = await _load_devices(connection, store, None)
    gaps = await connection.fetch(
        "select facing, device, fill, opened_at from open_gap where store = $1", store
    )
    picture.gaps = {(gap[0], gap[1]): OpenGap(*gap) for gap in gaps}
    return picture


async def load_facings(
    connection: Connection, store: str, only: Collection[str] | None = None
) -> dict[str, ShownFacing]:
    """A store's facings as its ledger leads to them, all or those in `only`."""
    columns = (
        "facing, gtin, name, capacity, reorder_point, shelf, x_mm, width_mm, on_hand, confidence, status,"
        " sources, changed_at, observed_at, received_at, version, reorder_due_at"
    )
    rows = await _some(connection, columns, "facing", store, only)
    return {row[0]: _shown(row) for row in rows}


async def save(connection: Writes, store: str, picture: Picture) -> None:
    """Write back what changed, facings in the order of their names, as batches and heartbeats lock
    them; a deadlock with who takes all at once is done again."""
    changed, facings = picture.changed, picture.facings
    await _delete(connection, "facing", "facing", store, changed.facings - facings.keys())
    placed = [_facing(facings[key]) for key in sorted(changed.facings & facings.keys())]
    await run_many(connection, _SAVE_FACINGS, store, placed)
    believed = [(key, *_belief(facings[key])) for key in sorted(changed.beliefs - changed.facings)]
    await run_many(connection, _SAVE_BELIEFS, store, believed)
    devices = [_device(picture.devices[key]) for key in sorted(changed.devices)]
    await run_many(connection, _SAVE_DEVICES, store, devices)
    await _save_gaps(connection, store, picture)
    items = [_item(picture.items[epc]) for epc in sorted(changed.items)]
    await run_many(connection, _SAVE_ITEMS, store, items)
    await _save_planogram(connection, store, picture)
    await _save_buckets(connection, store, picture)


async def replace(connection: Connection, store: str, picture: Picture) -> None:
    """Make a refolded picture the store's picture."""
    make_current(picture, await load_facings(connection, store))
    for table in ("facing", "device", "open_gap", "item"):
        await connection.execute(f"delete from {table} where store = $1", store)
    await save(connection, store, picture)


async def _load_devices(
    connection: Connection, store: str, only: Collection[str] | None
) -> dict[str, ShownDevice]:
    columns = "device, driver, status, reason, since, last_seen_at"
    rows = await _some(connection, columns, "device", store, only)
    return {row[0]: ShownDevice(*row) for row in rows}


async def _some(
    connection: Connection, columns: str, table: str, store: str, only: Collection[str] | None
) -> list[tuple[Any, ...]]:
    """All rows of a store, or those whose key, named like the table, is in `only`."""
    of_store = f"select {columns} from {table} where store = $1"
    if only is None:
        return await connection.fetch(of_store, store)
    return await connection.fetch(f"{of_store} and {table} = any($2)", store, list(only))


async def _save_gaps(connection: Writes, store: str, picture: Picture) -> None:
    closed = picture.changed.gaps - picture.gaps.keys()
    if closed:
        await connection.execute(
            "delete from open_gap g using unnest($2::text[], $3::text[]) r (facing, device)"
            " where g.store = $1 and g.facing = r.facing and g.device = r.device",
            store,
            [facing for facing, _ in closed],
            [device for _, device in closed],
        )
    opened = [picture.gaps[key] for key in sorted(picture.changed.gaps & picture.gaps.keys())]
    await run_many(connection, _SAVE_GAPS, store, [(g.facing, g.device, g.fill, g.opened_at) for g in opened])


async def _save_planogram(connection: Writes, store: str, picture: Picture) -> None:
    if not picture.changed.planogram or picture.planogram is None:
        return
    await connection.execute(
        "insert into planogram (store, revision, body) values ($1, $2, $3)"
        " on conflict (store) do update set revision = excluded.revision, body = excluded.body",
        store,
        picture.planogram.revision,
        picture.planogram.planogram.model_dump_json(exclude_none=True),
    )


async def _save_buckets(connection: Writes, store: str, picture: Picture) -> None:
    footfall = [
        (start_ms(b.start), b.line, b.device, b.seconds, b.entered, b.exited)
        for b in picture.footfall.values()
    ]
    await run_many(connection, _SAVE_FOOTFALL, store, footfall)
    environment = [
        (start_ms(b.start), b.device, b.quantity, b.unit, b.seconds, b.min, b.max, b.mean)
        for b in picture.environment.values()
    ]
    await run_many(connection, _SAVE_ENVIRONMENT, store, environment)


async def _delete(connection: Writes, table: str, key: str, store: str, gone: Collection[str]) -> None:
    if gone:
        await connection.execute(
            f"delete from {table} where store = $1 and {key} = any($2)",
            store,
            list(gone),
        )


def _shown(row: Sequence[Any]) -> ShownFacing:
    fields = (*row[:11], _sources(row[11]), *row[12:])
    return ShownFacing(*fields)


@lru_cache(maxsize=64)
def _sources(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


@lru_cache(maxsize=64)
def _sources_text(sources: tuple[str, ...]) -> str:
    return json.dumps(sources)


def _facing(f: ShownFacing) -> tuple[object, ...]:
    place = (f.facing, f.gtin, f.name, f.capacity, f.reorder_point, f.shelf, f.x_mm, f.width_mm)
    return (*place, *_belief(f))


def _belief(f: ShownFacing) -> tuple[object, ...]:
    return (
        f.on_hand, f.confidence, f.status, _sources_text(tuple(f.sources)), f.changed_at, f.observed_at,
        f.received_at, f.version, f.reorder_due_at,
    )  # fmt: skip


def _device(d: ShownDevice) -> tuple[object, ...]:
    return (d.device, d.driver, d.status, d.reason, d.since, d.last_seen_at)


def _item(item: Item) -> tuple[object, ...]:
    return (item.epc, item.gtin, item.serial, item.facing, item.device, item.is_present, item.moved_at)
