"""The journal's tables and how an older file becomes a current one."""

from __future__ import annotations

import sqlite3

from edge_agent.contract.errors import SchemaTooNew

VERSION = 6

_TABLES_1 = """
    create table identity(key text primary key, value text) strict;
    create table outbox(seq integer primary key, eid blob, chain blob, kind text, version integer,
        occurred_at text, boot_id text, mono_ms integer, body text) strict;
    create table facing(facing text primary key, gtin text, on_hand integer, confidence real, status text,
        sources text, reasons text, changed_at text, observed_at text, taken integer) strict;
    create table plate(device text, channel integer, weight_g real, observed_at text,
        primary key(device, channel)) strict;
    create table tag(epc text primary key, device text, facing text) strict;
    create table bucket(device text, line text, start text, entered integer, exited integer,
        primary key(device, line)) strict;
    create table device(device text primary key, driver text, status text, reason text, since text,
        last_seen_at text) strict;
    create table sync(one integer primary key, base_seq integer, base_chain blob, branch text,
        applied integer, safe integer) strict
"""
_TABLES_2 = """
    create table environment(device text, quantity text, unit text, value real, measured_at text,
        own_at text, start text, count integer, total real, low real, high real, told integer, outside text,
        outside_s real, alarm text, alarm_limit real, primary key(device, quantity)) strict
"""
_TABLES_3 = """
    alter table plate add column belief text
"""
_TABLES_4 = """
    create table line(n integer primary key, kind text, document text, line text, content text,
        taken_at text, unique(kind, document, line)) strict;
    create index line_by_time on line(taken_at);
    alter table facing add column memory text
"""
_TABLES_5 = """
    create table zone_hour(device text, zone text, start text, watched_s real, person_s real, visits integer,
        dwell_s real, longest_s real, primary key(device, zone, start)) strict;
    create index zone_hour_by_start on zone_hour(start);
    create table heat_hour(device text, columns integer, rows integer, start text, watched_s real, cells text,
        primary key(device, columns, rows, start)) strict;
    create index heat_hour_by_start on heat_hour(start)
"""
_TABLES_6 = """
    alter table bucket add column seconds integer not null default 60;
    alter table bucket add column told integer not null default 1;
    alter table environment add column seconds integer not null default 60
"""
MIGRATIONS = (_TABLES_1, _TABLES_2, _TABLES_3, _TABLES_4, _TABLES_5, _TABLES_6)
"""The statements of step n lead from version n to n + 1; they are never edited once released."""


def prepare(connection: sqlite3.Connection) -> None:
    """Bring the file to VERSION. SchemaTooNew when a newer program wrote it; it is left as it is."""
    found = connection.execute("pragma user_version").fetchone()[0]
    if found > VERSION:
        raise SchemaTooNew(
            f"the journal has schema {found}, this program knows {VERSION}",
            hint="install the newer version again; the journal was not touched",
        )
    for version in range(found, VERSION):
        # One transaction a step: a power cut leaves the version before or the version after it.
        connection.execute("begin immediate")
        for statement in MIGRATIONS[version].split(";"):  # executescript would commit first
            connection.execute(statement)
        connection.execute(f"pragma user_version = {version + 1}")
        connection.execute("commit")
