"""HQ's database where it is PostgreSQL: whether it is reached, its tables, and its standby."""

from __future__ import annotations

from collections.abc import AsyncIterator

from cloud_bridge.config import BridgeSettings
from cloud_bridge.errors import Unavailable
from cloud_bridge.store.postgres.database import Address, Connection, Database
from cloud_bridge.store.postgres.replica import PROBLEM, Replica
from cloud_bridge.store.postgres.schema import MIGRATIONS, schema_version
from edge_agent.contract.errors import DatabaseAway
from edge_agent.service.finding import Finding


async def examine(settings: BridgeSettings) -> AsyncIterator[Finding]:
    """Only reads. Backups are PostgreSQL's own business and are not looked at."""
    database = Database(Address(settings.database, settings.password_file))
    try:
        await database.open()
    except DatabaseAway as error:
        yield Finding("FAIL", "database", error.message, error.hint)
        return
    try:
        yield _tables(*await database.read(_versions))
        if settings.safe == "replica":
            is_there = (await Replica(database).standbys()).flushed is not None
            yield Finding("ok", "standby", "synchronous") if is_there else Finding("warn", "standby", PROBLEM)
    except Unavailable as error:
        yield Finding("FAIL", "database", error.message, error.hint)
    finally:
        await database.close()


def _tables(server: str, schema: int) -> Finding:
    text = f"PostgreSQL {server}, schema {schema}"
    if schema == 0:
        return Finding("ok", "database", f"{text}: the tables are made at the first start")
    if schema > len(MIGRATIONS):
        hint = "start the newer version of cloud-bridge again"
        return Finding("FAIL", "database", f"{text}, this program knows {len(MIGRATIONS)}", hint)
    if schema < len(MIGRATIONS):
        hint = "pg_dump first: an older cloud-bridge refuses the upgraded database"
        return Finding("warn", "database", f"{text}: upgraded to {len(MIGRATIONS)} at the next start", hint)
    return Finding("ok", "database", text)


async def _versions(connection: Connection) -> tuple[str, int]:
    return str(await connection.fetchval("show server_version")), await schema_version(connection)
