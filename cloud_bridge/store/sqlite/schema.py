"""The SQLite database of HQ: its tables, its version, and how a connection is opened."""

from __future__ import annotations

import json
import secrets
import sqlite3
from pathlib import Path
from typing import Final

from cloud_bridge.errors import DataDirUnusable
from edge_agent.contract.errors import SchemaTooNew

FILE_NAME: Final = "bridge.sqlite3"

_VERSION_1: Final = """
create table meta (key text primary key, value text not null) without rowid;

create table store (
  store text primary key, added_at text not null,
  name text not null default '', gln text, timezone text not null default 'UTC',
  latitude real, longitude real, agent_id text, versions text,
  session text, branch integer,
  last_seen_at text, last_seq integer not null default 0,
  as_of_seq integer not null default 0, catch_up_to integer not null default 0, state_at text
) without rowid;

create table branch (
  store text not null, branch integer not null, name text not null,
  parent integer, start_seq integer not null, start_chain blob not null,
  head_seq integer not null, head_chain blob not null, head_occurred_at text,
  opened_at text not null, reason text not null,
  primary key (store, branch)
) without rowid;

create table ledger (
  store text not null, seq integer not null, branch integer not null,
  chain blob not null, eid blob not null, kind text not null, version integer not null,
  occurred_at text not null, received_at text not null, boot_id text not null, mono_ms integer not null,
  body text not null
);
create unique index ledger_position on ledger (store, seq, branch);

create table set_aside (
  store text not null, seq integer not null, branch integer not null,
  fate text not null check (fate in ('parked', 'quarantined')), reason text not null,
  primary key (store, seq, branch)
) without rowid;

create table facing (
  store text not null, facing text not null, gtin text not null, name text not null,
  capacity integer not null, reorder_point integer not null, shelf text, x_mm real, width_mm real,
  on_hand integer, confidence real not null, status text not null, sources text not null,
  changed_at text, observed_at text, received_at text not null, version integer not null,
  primary key (store, facing)
) without rowid;
create index facing_by_gtin on facing (gtin, store);

create table ahead_facing (
  store text not null, facing text not null, gtin text not null, on_hand integer, confidence real not null,
  status text not null, sources text not null, changed_at text, observed_at text, received_at text not null,
  primary key (store, facing)
) without rowid;
create index ahead_by_gtin on ahead_facing (gtin, store);

create view shown_facing as
  select f.* from facing f join store s on s.store = f.store where s.as_of_seq = 0
  union all
  select a.store, a.facing, a.gtin, coalesce(f.name, ''), coalesce(f.capacity, 0),
    coalesce(f.reorder_point, 0), f.shelf, f.x_mm, f.width_mm, a.on_hand, a.confidence, a.status, a.sources,
    a.changed_at, a.observed_at, a.received_at, coalesce(f.version, 1)
  from ahead_facing a left join facing f on f.store = a.store and f.facing = a.facing and f.gtin = a.gtin;

create table planogram (
  store text primary key, revision integer not null, body text not null
) without rowid;

create table device (
  store text not null, device text not null, driver text not null, status text not null, reason text,
  since text not null, last_seen_at text,
  primary key (store, device)
) without rowid;

create table ahead_device (
  store text not null, device text not null, driver text not null, status text not null, reason text,
  since text not null, last_seen_at text,
  primary key (store, device)
) without rowid;

create view shown_device as
  select d.* from device d join store s on s.store = d.store where s.as_of_seq = 0
  union all
  select * from ahead_device;

create table open_gap (
  store text not null, facing text not null, device text not null,
  fill real not null, opened_at text not null,
  primary key (store, facing, device)
) without rowid;

create table item (
  store text not null, epc text not null, gtin text, serial text, facing text, device text not null,
  is_present integer not null, moved_at text not null,
  primary key (store, epc)
) without rowid;

create table footfall (
  store text not null, start_ms integer not null, line text not null, device text not null,
  seconds integer not null, entered integer not null, exited integer not null,
  primary key (store, start_ms, line, device)
) without rowid;

create table environment (
  store text not null, start_ms integer not null, device text not null, quantity text not null,
  unit text not null, seconds integer not null, min real not null, max real not null, mean real not null,
  primary key (store, start_ms, device, quantity)
) without rowid;

create table feed (
  n integer primary key, store text not null, eid blob not null, seq integer, type text not null,
  occurred_at text not null, received_at text not null, payload text not null
);
create index feed_by_store on feed (store, n);

create table feed_pruned (
  store text not null, facing text not null, gtin text not null, change integer not null,
  primary key (store, facing, gtin)
) without rowid;

create table credential (
  hash blob primary key, kind text not null check (kind in ('store', 'api')), name text not null,
  role text, added_at text not null, revoked_at text
) without rowid;

create table person (name text primary key, role text not null, added_at text not null) without rowid;

create table login_link (
  hash blob primary key, person text not null, expires_at text not null
) without rowid;

create table login_session (
  hash blob primary key, person text not null, csrf text not null, expires_at text not null
) without rowid;
"""

_COMMANDS: Final = """
create table command (
  n integer primary key, store text not null, id blob not null unique, kind text not null, body text not null,
  issued_by text not null, issued_at text not null, expires_at text not null, handed_at text,
  outcome text check (outcome in ('applied', 'refused', 'expired', 'unknown')), reason text, done_at text
);
create index command_by_store on command (store, n);
"""

_REORDER_DUE: Final = """
alter table facing add column reorder_due_at text;
alter table ahead_facing add column reorder_due_at text;
drop view shown_facing;
create view shown_facing as
  select f.* from facing f join store s on s.store = f.store where s.as_of_seq = 0
  union all
  select a.store, a.facing, a.gtin, coalesce(f.name, ''), coalesce(f.capacity, 0),
    coalesce(f.reorder_point, 0), f.shelf, f.x_mm, f.width_mm, a.on_hand, a.confidence, a.status, a.sources,
    a.changed_at, a.observed_at, a.received_at, coalesce(f.version, 1), a.reorder_due_at
  from ahead_facing a left join facing f on f.store = a.store and f.facing = a.facing and f.gtin = a.gtin;
"""

_STORE_HEALTH: Final = """
alter table store add column clock_offset_ms integer;
alter table store add column differences integer not null default 0;
alter table store add column differed_at text;
"""

_BACKUPS: Final = """
create table backup (
  n integer primary key, at text not null, path text not null, size integer not null
);
create table backup_head (
  store text not null, branch integer not null, seq integer not null,
  primary key (store, branch)
) without rowid;
create table replay (
  n integer primary key, store text not null, at text not null, rows integer not null,
  orphaned integer not null, quarantined integer not null, corrections integer not null
);
create index replay_by_store on replay (store, n);
"""

_PUBLISHED: Final = """
create table published (
  store text not null, kind text not null check (kind in ('planogram', 'settings')),
  revision integer not null, body text not null, published_by text not null, published_at text not null,
  command blob not null, fate text check (fate in ('applied', 'refused', 'reset')), reason text,
  applied_revision integer, newest_told integer not null default 0,
  primary key (store, kind)
);
"""

_RESERVATIONS: Final = """
create table reservation (
  n integer primary key, id blob not null unique, key blob not null unique, body blob not null,
  state text not null check (state in ('held', 'collected', 'released', 'expired', 'refused')),
  store text, gtin text not null, quantity integer not null, reserved_by text not null,
  reserved_at text not null, expires_at text, ended_at text, claimed integer not null,
  behind_seq integer not null default 0
);
create index reservation_claims on reservation (gtin, store) where claimed > 0;
create index reservation_awaited on reservation (store, ended_at, n)
  where claimed > 0 and state = 'collected';
create index reservation_by_store on reservation (store, n);
create index reservation_by_gtin on reservation (gtin, n);
create index reservation_by_end on reservation (ended_at) where claimed = 0;
"""

MIGRATIONS: Final = (_VERSION_1, _COMMANDS, _REORDER_DUE, _STORE_HEALTH, _BACKUPS, _PUBLISHED, _RESERVATIONS)
"""Script n leads from version n to n + 1; scripts are only ever added."""

_WRITER_PRAGMAS: Final = (
    "pragma journal_mode = wal",
    "pragma synchronous = full",
    "pragma wal_autocheckpoint = 4000",
    "pragma journal_size_limit = 67108864",
    "pragma cache_size = -65536",
    "pragma temp_store = memory",
    "pragma foreign_keys = on",
)


def open_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes and checkpoints, with the schema brought up to date.

    SQLite before 3.51.3 can damage a WAL file that two connections write or checkpoint at once
    (sqlite.org/wal.html#walresetbug): every other connection is opened by `open_reader`.
    """
    try:
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        for pragma in _WRITER_PRAGMAS:
            connection.execute(pragma)
        _migrate(connection, path)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, whatever it is asked."""
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        connection.execute("pragma query_only = on")
        _refuse_newer(connection, path)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    return connection


def open_file(path: Path) -> sqlite3.Connection:
    """A database that nobody writes, as it lies there: without its WAL, and without a trace beside it."""
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        _refuse_newer(connection, path)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    return connection


def feed_epoch(connection: sqlite3.Connection) -> str:
    """The name of this database's feed: a cursor of another one is refused, not misread."""
    (epoch,) = connection.execute("select value from meta where key = 'feed_epoch'").fetchone()
    return str(epoch)


def past_epochs(connection: sqlite3.Connection) -> dict[str, int]:
    """Names that the feed had before a restore, oldest first, and up to where each is this feed's history."""
    found = connection.execute("select value from meta where key = 'past_epochs'").fetchone()
    past: dict[str, int] = json.loads(found[0]) if found is not None else {}
    return past


def begin_epoch(connection: sqlite3.Connection, past: dict[str, int]) -> None:
    """Give the feed a new name; cursors of `past` names are good up to their number."""
    connection.executemany(
        "insert or replace into meta (key, value) values (?, ?)",
        [("feed_epoch", secrets.token_hex(4)), ("past_epochs", json.dumps(past))],
    )


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = _refuse_newer(connection, path)
    for number in range(version, len(MIGRATIONS)):
        connection.executescript(
            f"begin immediate; {MIGRATIONS[number]} pragma user_version = {number + 1}; commit"
        )
    connection.execute(
        "insert into meta (key, value) values ('feed_epoch', ?) on conflict do nothing",
        (secrets.token_hex(4),),
    )


def _refuse_newer(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("pragma user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise SchemaTooNew(
            f"{path} has schema version {version}, this program knows {len(MIGRATIONS)}",
            hint="start the newer version of cloud-bridge again, or give another data_dir",
        )
    return version


def refuse_older(connection: sqlite3.Connection, path: Path) -> None:
    """For who only reads: DataDirUnusable when an earlier version of this program wrote the database."""
    version = int(connection.execute("pragma user_version").fetchone()[0])
    if version < len(MIGRATIONS):
        raise DataDirUnusable(
            f"{path} has the older schema version {version}, this program reads {len(MIGRATIONS)}",
            hint="start cloud-bridge once: the database becomes a current one, nothing is lost",
        )


def _unusable(path: Path, error: sqlite3.Error) -> DataDirUnusable:
    return DataDirUnusable(
        f"{path}: {error}", hint="check the disk and the owner of data_dir; a damaged file needs a backup"
    )
