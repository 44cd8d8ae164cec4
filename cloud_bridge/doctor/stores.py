"""What HQ's database says of stores, backups and people."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cloud_bridge.doctor.address import Running
from cloud_bridge.errors import Unavailable
from cloud_bridge.liveness import Liveness
from cloud_bridge.store.records import BackupRecord, StoreRecord
from cloud_bridge.store.sqlite.condition import Condition, condition, held_back
from cloud_bridge.store.sqlite.looking import looking
from cloud_bridge.store.sqlite.schema import refuse_older
from edge_agent.contract.errors import ShelfEdgeError
from edge_agent.contract.times import parse_rfc3339, rfc3339
from edge_agent.service.finding import Finding

RECENT: Final = timedelta(hours=24)
"""A backup is older than this, or something in a store happened within it: worth a warning."""
CLOCK_WARN_MS: Final = 2_000


def examine(path: Path, *, safe: str, running: Running | None, now: datetime) -> Iterator[Finding]:
    """Nothing where there is no database that this version reads: `database` says so."""
    if not os.access(path, os.F_OK):
        yield from _first_steps()
        return
    try:
        with looking(path) as connection:
            refuse_older(connection, path)
            found = condition(connection, moved_since=rfc3339(now - RECENT))
            kept = held_back(connection) if safe == "backup" else []
    except Unavailable as error:
        yield Finding("warn", "stores", error.message, error.hint)
        return
    except (ShelfEdgeError, sqlite3.Error):  # `database` has told why
        return
    yield _safe(safe, kept)
    yield _backup(found.figures.backup, now)
    yield from _stores(found, is_running=running is not None, now=now)
    yield from _gateways(found, running or {})
    yield _devices(found)
    yield _admins(found.admins)


def _first_steps() -> Iterator[Finding]:
    yield Finding("warn", "stores", "none yet", "cloud-bridge store add ID")
    yield _admins(0)


def _safe(safe: str, kept: list[tuple[str, int]]) -> Finding:
    """Either is a choice, so a fact: whether backups are made is judged by itself."""
    if safe == "applied":
        text = "applied: until a backup, HQ's disk is the single copy of what a store forgets"
        return Finding("ok", "safe", text)
    if not kept:
        return Finding("ok", "safe", "backup: the newest one holds every row")
    text = f"backup: stores keep {_sum(kept)} rows until one holds them, in {_stores_word(len(kept))}"
    return Finding("ok", "safe", text, those=_counted(kept))


def _backup(newest: BackupRecord | None, now: datetime) -> Finding:
    if newest is None:
        return Finding("warn", "backup", "none on record", _MAKE_ONE)
    age = now - parse_rfc3339(newest.at)
    if age > RECENT:
        text = f"the newest is {age // timedelta(hours=1)} h old: {newest.path}"
        return Finding("warn", "backup", text, _MAKE_ONE)
    return Finding("ok", "backup", f"{newest.path} of {newest.at}")


def _stores(found: Condition, *, is_running: bool, now: datetime) -> Iterator[Finding]:
    stores = [record for record in found.figures.stores if record.store in found.with_token]
    if not stores:
        yield Finding("warn", "stores", "none with a live token", "cloud-bridge store add ID")
    elif is_running:
        yield _offline(stores, now)
    else:
        yield Finding("ok", "stores", f"{len(stores)}; who is online shows when HQ runs")
    yield from _clocks(stores)
    yield from _set_aside(found)
    yield from _differing(stores, now)
    if found.moved:
        text = f"{_stores_word(len(found.moved))} went on from an older disk within {_RECENT_H} h"
        hint = "a restored disk, or two gateways with one token: cloud-bridge audit STORE says what was left"
        yield Finding("warn", "history", text, hint, _counted(found.moved))


def _gateways(found: Condition, running: Running) -> Iterator[Finding]:
    """Only the bridge knows: each of the two finds a line of its own again, and no row says so."""
    those = tuple(store for store in running.get("made_to_wait", ()) if store in found.with_token)
    if those:
        hint = "give the token to one gateway only; each has to wait a minute meanwhile"
        yield Finding("warn", "gateways", "two gateways use one token", hint, those)


def _offline(stores: list[StoreRecord], now: datetime) -> Finding:
    """The longest silence first; who was never heard of is not there yet."""
    liveness = Liveness()
    silent = [record for record in stores if liveness.status(record, now) == "offline"]
    if not silent:
        return Finding("ok", "stores", f"{len(stores)}, none offline")
    silent.sort(key=lambda record: (record.last_seen_at is None, record.last_seen_at, record.store))
    those = tuple(
        f"{record.store} {f'since {record.last_seen_at}' if record.last_seen_at else 'never heard'}"
        for record in silent
    )
    hint = "is its line up, does its agent run? edge-agent doctor there says"
    return Finding("warn", "stores", f"{len(silent)} of {len(stores)} offline", hint, those)


def _clocks(stores: list[StoreRecord]) -> Iterator[Finding]:
    """HQ's clock less the store's: above zero the store is behind."""
    offsets = [(record.store, record.clock_offset_ms or 0) for record in stores]
    wrong = sorted((pair for pair in offsets if abs(pair[1]) > CLOCK_WARN_MS), key=lambda pair: -abs(pair[1]))
    if wrong:
        those = tuple(
            f"{store} {abs(offset_ms) / 1000:.1f} s {'behind' if offset_ms > 0 else 'ahead'}"
            for store, offset_ms in wrong
        )
        text = f"{_stores_word(len(wrong))} more than {CLOCK_WARN_MS // 1000} s from HQ's"
        yield Finding("warn", "clocks", text, "set the time there (chrony, systemd-timesyncd)", those)


def _set_aside(found: Condition) -> Iterator[Finding]:
    if found.quarantined:
        text = f"{_sum(found.quarantined)} rows do not fit their kind and have no effect"
        hint = f"cloud-bridge audit {found.quarantined[0][0]} says which and why"
        yield Finding("warn", "quarantined", text, hint, _counted(found.quarantined))
    if found.parked:
        text = f"{_sum(found.parked)} rows are of a kind or version that is not known here"
        hint = "upgrade cloud-bridge: it takes them in; cloud-bridge audit STORE lists them"
        yield Finding("warn", "parked", text, hint, _counted(found.parked))


def _differing(stores: list[StoreRecord], now: datetime) -> Iterator[Finding]:
    since = rfc3339(now - RECENT)
    recent = [record for record in stores if record.differed_at is not None and record.differed_at >= since]
    if recent:
        recent.sort(key=lambda record: (-record.differences, record.store))
        those = tuple(f"{record.store} {record.differences} times so far" for record in recent)
        text = f"{_stores_word(len(recent))} had other counts than HQ within {_RECENT_H} h, now told again"
        yield Finding("warn", "counts", text, f"cloud-bridge audit {recent[0].store}", those)


def _devices(found: Condition) -> Finding:
    offline = _sum(found.offline_devices)
    if not offline:
        return Finding("ok", "devices", f"{found.devices}, none offline")
    text = f"{offline} of {found.devices} offline"
    hint = "the store's page at HQ names them; edge-agent doctor there says why"
    return Finding("warn", "devices", text, hint, _counted(found.offline_devices))


def _admins(count: int) -> Finding:
    if not count:
        hint = "cloud-bridge user add NAME --role admin"
        return Finding("warn", "people", "nobody is admin, no person and no token", hint)
    return Finding("ok", "people", f"{count} {'admin' if count == 1 else 'admins'}, people and tokens")


def _sum(pairs: list[tuple[str, int]]) -> int:
    return sum(count for _, count in pairs)


def _counted(pairs: list[tuple[str, int]]) -> tuple[str, ...]:
    return tuple(f"{store} {count}" for store, count in pairs)


def _stores_word(count: int) -> str:
    return "1 store" if count == 1 else f"{count} stores"


_MAKE_ONE: Final = "cloud-bridge backup DEST on another disk, every night"
_RECENT_H: Final = RECENT // timedelta(hours=1)
