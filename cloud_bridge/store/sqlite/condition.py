"""How HQ's database is, and the stores and people in it."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from typing import Final

from cloud_bridge.store.records import Figures
from cloud_bridge.store.sqlite.backup import held_of
from cloud_bridge.store.sqlite.reads import figures

_DAMAGE_LISTED: Final = 3


@dataclass(frozen=True, slots=True)
class Condition:
    """What is to be judged of people, and of stores `with_token`: a live one. Pairs are (store, how many),
    most first.

    `figures` and its totals are of every store; `moved` are stores that were taken to another line of history
    since some time, `admins` people and live tokens with that role.
    """

    figures: Figures
    with_token: frozenset[str]
    parked: list[tuple[str, int]]
    quarantined: list[tuple[str, int]]
    moved: list[tuple[str, int]]
    devices: int
    offline_devices: list[tuple[str, int]]
    admins: int


def damage(connection: sqlite3.Connection, *, within_s: float) -> list[str] | None:
    """What is broken in the pages, empty when nothing is; None: there was no time to read them all."""
    end = threading.Timer(within_s, connection.interrupt)
    end.start()
    try:
        found = [line for (line,) in connection.execute(f"pragma quick_check({_DAMAGE_LISTED})")]
    except sqlite3.DatabaseError as error:  # a page may be too broken to go on
        return None if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT else [str(error)]
    finally:
        end.cancel()
        end.join()
    return [] if found == ["ok"] else found


def condition(connection: sqlite3.Connection, *, moved_since: str) -> Condition:
    """Everything that is judged, of a database with the current schema."""
    return Condition(
        figures=figures(connection),
        with_token=_with_token(connection),
        parked=_by_store(connection, "from set_aside where fate = 'parked'"),
        quarantined=_by_store(connection, "from set_aside where fate = 'quarantined'"),
        moved=_by_store(
            connection, "from branch where reason in ('fork', 'unknown_base') and opened_at >= ?", moved_since
        ),
        devices=sum(count for _, count in _by_store(connection, "from shown_device")),
        offline_devices=_by_store(connection, "from shown_device where status = 'offline'"),
        admins=connection.execute(
            "select (select count(*) from person where role = 'admin') + (select count(*) from credential"
            " where kind = 'api' and role = 'admin' and revoked_at is null)"
        ).fetchone()[0],
    )


def held_back(connection: sqlite3.Connection) -> list[tuple[str, int]]:
    """Rows at HQ that stores with a live token must keep while `safe` is `backup`: not in the newest one."""
    live = _with_token(connection)
    heads = connection.execute(
        "select s.store, b.name, b.head_seq from store s join branch b on b.store = s.store"
        " and b.branch = s.branch"
    ).fetchall()
    kept = [
        (store, head - min(head, held_of(connection, store, name)))
        for store, name, head in heads
        if store in live
    ]
    return sorted(((store, rows) for store, rows in kept if rows), key=lambda pair: -pair[1])


def _with_token(connection: sqlite3.Connection) -> frozenset[str]:
    live = "select name from credential where kind = 'store' and revoked_at is null"
    return frozenset(name for (name,) in connection.execute(live))


def _by_store(connection: sqlite3.Connection, which: str, *arguments: str) -> list[tuple[str, int]]:
    counted = f"select store, count(*) {which} group by store order by count(*) desc, store"
    live = _with_token(connection)
    return [pair for pair in connection.execute(counted, arguments) if pair[0] in live]
