"""How HQ's database is, beside a running bridge or without one: only read, without a trace beside it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloud_bridge.store.records import Figures
from cloud_bridge.store.sqlite.backup import held_of
from cloud_bridge.store.sqlite.reads import figures
from cloud_bridge.store.sqlite.schema import open_file, open_reader

_DAMAGE_LISTED: Final = 3


@dataclass(frozen=True, slots=True)
class Condition:
    """What is to be judged of stores and people. Pairs are (store, how many), most first.

    `devices` counts those of every store; `moved` are stores that were taken to another line of history since
    some time, `with_token` those whose token is live, `admins` people and live tokens with that role.
    """

    figures: Figures
    with_token: frozenset[str]
    parked: list[tuple[str, int]]
    quarantined: list[tuple[str, int]]
    moved: list[tuple[str, int]]
    devices: int
    offline_devices: list[tuple[str, int]]
    admins: int


@contextmanager
def looking(path: Path) -> Iterator[sqlite3.Connection]:
    """One snapshot of the database. Without a WAL nobody writes it, and the file is read as it lies there:
    a reader of another user would leave files that the bridge cannot write.

    DataDirUnusable: it cannot be opened; SchemaTooNew; sqlite3.Error while it is read.
    """
    opened = open_reader if wal_of(path).exists() else open_file
    with closing(opened(path)) as connection:
        connection.execute("begin")
        yield connection


def wal_of(path: Path) -> Path:
    """Where what is committed waits for its checkpoint."""
    return path.with_name(f"{path.name}-wal")


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
    offline = "from shown_device where status = 'offline'"
    return Condition(
        figures=figures(connection),
        with_token=frozenset(
            name
            for (name,) in connection.execute(
                "select name from credential where kind = 'store' and revoked_at is null"
            )
        ),
        parked=_by_store(connection, "from set_aside where fate = 'parked'"),
        quarantined=_by_store(connection, "from set_aside where fate = 'quarantined'"),
        moved=_by_store(
            connection, "from branch where reason in ('fork', 'unknown_base') and opened_at >= ?", moved_since
        ),
        devices=connection.execute("select count(*) from shown_device").fetchone()[0],
        offline_devices=_by_store(connection, offline),
        admins=connection.execute(
            "select (select count(*) from person where role = 'admin') + (select count(*) from credential"
            " where kind = 'api' and role = 'admin' and revoked_at is null)"
        ).fetchone()[0],
    )


def held_back(connection: sqlite3.Connection) -> list[tuple[str, int]]:
    """Rows at HQ that stores must keep while `safe` is `backup`, since the newest backup lacks them."""
    heads = connection.execute(
        "select s.store, b.name, b.head_seq from store s join branch b on b.store = s.store"
        " and b.branch = s.branch"
    ).fetchall()
    kept = [(store, head - min(head, held_of(connection, store, name))) for store, name, head in heads]
    return sorted(((store, rows) for store, rows in kept if rows), key=lambda pair: -pair[1])


def _by_store(connection: sqlite3.Connection, which: str, *arguments: str) -> list[tuple[str, int]]:
    counted = f"select store, count(*) {which} group by store order by count(*) desc, store"
    return connection.execute(counted, arguments).fetchall()
