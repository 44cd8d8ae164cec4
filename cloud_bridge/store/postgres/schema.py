"""The PostgreSQL database of HQ: its tables, its version, and how they are brought up to date."""

from __future__ import annotations

import secrets
from typing import Final

from cloud_bridge.store.postgres.database import Connection, Lock
from edge_agent.contract.errors import SchemaTooNew

PARTITIONS: Final = 8
"""Of each large table, by hash of the store; fixed when the tables are made."""
_PARTITIONED: Final = ("ledger", "feed", "facing", "item", "footfall", "environment")

# Text sorts by its bytes, as everywhere else in HQ: `text` stands for `text collate "C"`.
_VERSION_1: Final = """
create table store (
  store text primary key, added_at text not null,
  name text not null default '', gln text, timezone text not null default 'UTC',
  latitude float8, longitude float8, agent_id text, versions text,
  session text, branch bigint,
  last_seen_at text, last_seq bigint not null default 0,
  as_of_seq bigint not null default 0, catch_up_to bigint not null default 0, state_at text,
  differences bigint not null default 0, differed_at text, replays bigint not null default 0
) with (fillfactor = 70);

create table heard (
  store text primary key, last_seen_at text not null, last_seq bigint not null, clock_offset_ms bigint
) with (fillfactor = 50);

create table branch (
  store text not null, branch bigint not null, name text not null,
  parent bigint, start_seq bigint not null, start_chain bytea not null,
  head_seq bigint not null, head_chain bytea not null, head_occurred_at text,
  opened_at text not null, reason text not null,
  primary key (store, branch)
) with (fillfactor = 70);

create table ledger (
  store text not null, seq bigint not null, branch bigint not null,
  chain bytea not null, eid bytea not null, kind text not null, version bigint not null,
  occurred_at text not null, received_at text not null, boot_id text not null, mono_ms bigint not null,
  body text not null,
  primary key (store, seq, branch)
) partition by hash (store);

create table set_aside (
  store text not null, seq bigint not null, branch bigint not null,
  fate text not null check (fate in ('parked', 'quarantined')), reason text not null,
  primary key (store, seq, branch)
);

create table facing (
  store text not null, facing text not null, gtin text not null, name text not null,
  capacity bigint not null, reorder_point bigint not null, shelf text, x_mm float8, width_mm float8,
  on_hand bigint, confidence float8 not null, status text not null, sources text not null,
  changed_at text, observed_at text, received_at text not null, version bigint not null,
  reorder_due_at text,
  primary key (store, facing)
) partition by hash (store);
create index facing_by_gtin on facing (gtin, store);

create table ahead_facing (
  store text not null, facing text not null, gtin text not null, on_hand bigint, confidence float8 not null,
  status text not null, sources text not null, changed_at text, observed_at text, received_at text not null,
  reorder_due_at text,
  primary key (store, facing)
);
create index ahead_by_gtin on ahead_facing (gtin, store);

create view shown_facing as
  select f.store, f.facing, f.gtin, f.name, f.capacity, f.reorder_point, f.on_hand, f.confidence, f.status,
    f.sources, f.changed_at, f.observed_at, f.received_at, f.version, f.reorder_due_at
  from facing f join store s on s.store = f.store where s.as_of_seq = 0
  union all
  select a.store, a.facing, a.gtin, coalesce(f.name, ''), coalesce(f.capacity, 0),
    coalesce(f.reorder_point, 0), a.on_hand, a.confidence, a.status, a.sources, a.changed_at, a.observed_at,
    a.received_at, coalesce(f.version, 1), a.reorder_due_at
  from ahead_facing a left join facing f on f.store = a.store and f.facing = a.facing and f.gtin = a.gtin;

create table planogram (store text primary key, revision bigint not null, body text not null);

create table device (
  store text not null, device text not null, driver text not null, status text not null, reason text,
  since text not null, last_seen_at text,
  primary key (store, device)
);

create table ahead_device (like device including all);

create view shown_device as
  select d.* from device d join store s on s.store = d.store where s.as_of_seq = 0
  union all
  select * from ahead_device;

create table open_gap (
  store text not null, facing text not null, device text not null,
  fill float8 not null, opened_at text not null,
  primary key (store, facing, device)
);

create table item (
  store text not null, epc text not null, gtin text, serial text, facing text, device text not null,
  is_present bool not null, moved_at text not null,
  primary key (store, epc)
) partition by hash (store);
create index item_gone on item (moved_at) where not is_present;

create table footfall (
  store text not null, start_ms bigint not null, line text not null, device text not null,
  seconds bigint not null, entered bigint not null, exited bigint not null,
  primary key (store, start_ms, line, device)
) partition by hash (store);
create index footfall_by_start on footfall (start_ms);

create table environment (
  store text not null, start_ms bigint not null, device text not null, quantity text not null,
  unit text not null, seconds bigint not null, min float8 not null, max float8 not null, mean float8 not null,
  primary key (store, start_ms, device, quantity)
) partition by hash (store);
create index environment_by_start on environment (start_ms);

create table feed (
  store text not null, step bigint not null, place int not null,
  eid bytea not null, seq bigint, type text not null,
  occurred_at text not null, received_at text not null, payload text not null,
  primary key (store, step, place)
) partition by hash (store);

create table feed_step (
  step bigint generated always as identity primary key,
  store text not null, events int not null, received_at text not null, last_n bigint
);
create unique index feed_step_by_n on feed_step (last_n) where last_n is not null;
create index feed_step_by_store on feed_step (store, last_n);
create index feed_step_waiting on feed_step (step) where last_n is null;

create table feed_pruned (
  store text not null, facing text not null, gtin text not null, change bigint not null,
  primary key (store, facing, gtin)
);

create table credential (
  hash bytea primary key, kind text not null check (kind in ('store', 'api')), name text not null,
  role text, added_at text not null, revoked_at text
);
create unique index credential_live on credential (kind, name) where revoked_at is null;

create table person (name text primary key, role text not null, added_at text not null);

create table login_link (hash bytea primary key, person text not null, expires_at text not null);

create table login_session (
  hash bytea primary key, person text not null, csrf text not null, expires_at text not null
);

create table command (
  n bigint primary key, store text not null, id bytea not null unique, kind text not null, body text not null,
  issued_by text not null, issued_at text not null, expires_at text not null, handed_at text,
  outcome text check (outcome in ('applied', 'refused', 'expired', 'unknown')), reason text, done_at text
);
create index command_by_store on command (store, n);

create table published (
  store text not null, kind text not null check (kind in ('planogram', 'settings')),
  revision bigint not null, body text not null, published_by text not null, published_at text not null,
  command bytea not null, fate text check (fate in ('applied', 'refused', 'reset')), reason text,
  applied_revision bigint, newest_told bigint not null default 0,
  primary key (store, kind)
);

create table replay (
  n bigint generated always as identity primary key, store text not null, at text not null,
  rows bigint not null, orphaned bigint not null, quarantined bigint not null, corrections bigint not null
);
create index replay_by_store on replay (store, n);

create table change (subject text primary key, n bigint not null);
insert into change values ('access', 0), ('commands', 0);
"""

_RESERVATIONS: Final = """
create table reservation (
  n bigint generated always as identity primary key,
  id bytea not null unique, key bytea not null unique, body bytea not null,
  state text not null check (state in ('held', 'collected', 'released', 'expired', 'refused')),
  store text, gtin text not null, quantity bigint not null, reserved_by text not null,
  reserved_at text not null, expires_at text, ended_at text, claimed bigint not null,
  behind_seq bigint not null default 0
) with (fillfactor = 70);
create index reservation_claims on reservation (gtin, store) where claimed > 0;
create index reservation_claims_of_store on reservation (store) where claimed > 0;
create index reservation_by_store on reservation (store, n);
create index reservation_by_gtin on reservation (gtin, n);
create index reservation_by_end on reservation (ended_at) where claimed = 0;
"""

MIGRATIONS: Final = (_VERSION_1, _RESERVATIONS)
"""Script n leads from version n to n + 1; scripts are only ever added."""


async def migrate(connection: Connection) -> None:
    """Bring the tables up to date in a transaction of the caller; SchemaTooNew: a newer program made them.

    Of several processes that start at once the others wait.
    """
    await connection.execute("select pg_advisory_xact_lock($1, $2)", *Lock.MIGRATION)
    version = await schema_version(connection)
    if version > len(MIGRATIONS):
        raise SchemaTooNew(
            f"the database has schema version {version}, this program knows {len(MIGRATIONS)}",
            hint="start the newer version of cloud-bridge again, or give another database",
        )
    if version == 0:
        await connection.execute(
            'create table meta (key text collate "C" primary key, value text collate "C" not null)'
        )
        await set_meta(connection, "feed_epoch", secrets.token_hex(4))
    for script in MIGRATIONS[version:]:
        await connection.execute(_in_c_collation(script))
    if version == 0:
        await connection.execute(_partitions())
    await set_meta(connection, "schema_version", str(len(MIGRATIONS)))


async def schema_version(connection: Connection) -> int:
    """The version of the tables; 0: there are none."""
    if await connection.fetchval("select to_regclass('meta') is null"):
        return 0
    return int(await get_meta(connection, "schema_version") or 0)


async def get_meta(connection: Connection, key: str) -> str | None:
    """One fact about the database itself."""
    value: str | None = await connection.fetchval("select value from meta where key = $1", key)
    return value


async def set_meta(connection: Connection, key: str, value: str) -> None:
    """Keep one fact about the database itself."""
    await connection.execute(
        "insert into meta (key, value) values ($1, $2)"
        " on conflict (key) do update set value = excluded.value",
        key,
        value,
    )


def _in_c_collation(script: str) -> str:
    return script.replace(" text", ' text collate "C"')


def _partitions() -> str:
    return "".join(
        f"create table {table}_{n} partition of {table}"
        f" for values with (modulus {PARTITIONS}, remainder {n});"
        for table in _PARTITIONED
        for n in range(PARTITIONS)
    )
