"""Which database `bridge.yaml` asks for: its engine, its audit, and what only one of them can do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cloud_bridge.config import BridgeSettings
from cloud_bridge.store import Engine, OnPublished
from cloud_bridge.store.records import StoreAudit
from cloud_bridge.store.sqlite import SqliteEngine
from cloud_bridge.store.sqlite.audit import audit as audit_file
from cloud_bridge.store.sqlite.schema import FILE_NAME
from edge_agent.contract.errors import ConfigError


async def open_engine(
    settings: BridgeSettings,
    on_published: OnPublished = lambda _: None,
    *,
    on_renamed: Callable[[], None] = lambda: None,
) -> Engine:
    """The engine, open. `on_renamed` runs when the feed has become another one while we follow it."""
    if not settings.is_postgres:
        return SqliteEngine(settings.data_dir / FILE_NAME, on_published, safe=settings.safe)
    from cloud_bridge.store.postgres import PostgresEngine
    from cloud_bridge.store.postgres.database import Address

    address = Address(settings.database, settings.password_file)
    return await PostgresEngine.open(address, on_published, on_renamed=on_renamed, safe=settings.safe)


def audit(settings: BridgeSettings, store: str | None) -> list[StoreAudit]:
    """Whether state and feed are what the ledger says; only reads, also beside a running bridge."""
    if not settings.is_postgres:
        return audit_file(settings.data_dir / FILE_NAME, store)
    from cloud_bridge.store.postgres.audit import audit as audit_postgres
    from cloud_bridge.store.postgres.database import Address

    return asyncio.run(audit_postgres(Address(settings.database, settings.password_file), store))


def require_file(settings: BridgeSettings, command: str) -> None:
    """ConfigError: `command` copies a database file, and this database is PostgreSQL's own business."""
    if settings.is_postgres:
        raise ConfigError(
            f"cloud-bridge {command} copies HQ's SQLite file; this database is PostgreSQL",
            hint="use PostgreSQL's own tools: pg_basebackup with WAL archiving, or pg_dump and pg_restore",
        )
