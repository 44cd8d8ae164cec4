"""The journal's tables and how an older file becomes a current one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from sqlite_utils import Database

from edge_agent.contract.errors import SchemaTooNew

VERSION = 2


def _tables_1(db: Database) -> None:
    db.create_table("identity", {"key": str, "value": str}, pk="key", strict=True)
    db.create_table(
        "outbox",
        {
            "seq": int,
            "eid": bytes,
            "chain": bytes,
            "kind": str,
            "version": int,
            "occurred_at": str,
            "boot_id": str,
            "mono_ms": int,
            "body": str,
        },
        pk="seq",
        strict=True,
    )
    db.create_table(
        "facing",
        {
            "facing": str,
            "gtin": str,
            "on_hand": int,
            "confidence": float,
            "status": str,
            "sources": str,
            "reasons": str,
            "changed_at": str,
            "observed_at": str,
            "taken": int,
        },
        pk="facing",
        strict=True,
    )
    db.create_table(
        "plate",
        {"device": str, "channel": int, "weight_g": float, "observed_at": str},
        pk=("device", "channel"),
        strict=True,
    )
    db.create_table("tag", {"epc": str, "device": str, "facing": str}, pk="epc", strict=True)
    db.create_table(
        "bucket",
        {"device": str, "line": str, "start": str, "entered": int, "exited": int},
        pk=("device", "line"),
        strict=True,
    )
    db.create_table(
        "device",
        {"device": str, "driver": str, "status": str, "reason": str, "since": str, "last_seen_at": str},
        pk="device",
        strict=True,
    )
    db.create_table(
        "sync",
        {
            "one": int,
            "base_seq": int,
            "base_chain": bytes,
            "branch": str,
            "applied": int,
            "safe": int,
        },
        pk="one",
        strict=True,
    )


def _tables_2(db: Database) -> None:
    db.create_table(
        "environment",
        {
            "device": str,
            "quantity": str,
            "unit": str,
            "value": float,
            "measured_at": str,
            "own_at": str,
            "start": str,
            "count": int,
            "total": float,
            "low": float,
            "high": float,
            "told": int,
            "outside": str,
            "outside_s": float,
            "alarm": str,
            "alarm_limit": float,
        },
        pk=("device", "quantity"),
        strict=True,
    )


MIGRATIONS: tuple[Callable[[Database], None], ...] = (_tables_1, _tables_2)
"""Step n leads from version n to n + 1; steps are never edited once released."""


def prepare(connection: sqlite3.Connection) -> None:
    """Bring the file to VERSION. SchemaTooNew when a newer program wrote it; it is left as it is."""
    found = connection.execute("pragma user_version").fetchone()[0]
    if found > VERSION:
        raise SchemaTooNew(
            f"the journal has schema {found}, this program knows {VERSION}",
            hint="install the newer version again; the journal was not touched",
        )
    database = Database(connection)
    for version in range(found, VERSION):
        # One transaction a step: a power cut leaves the version before or the version after it.
        connection.execute("begin immediate")
        MIGRATIONS[version](database)
        connection.execute(f"pragma user_version = {version + 1}")
        connection.execute("commit")
