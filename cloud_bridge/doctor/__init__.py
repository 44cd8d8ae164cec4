"""What keeps HQ from serving, or will one day: one line each, only looked at, never changed."""

from __future__ import annotations

from collections.abc import AsyncIterator

from cloud_bridge.config import BridgeSettings
from cloud_bridge.doctor import address, database, place, stores
from cloud_bridge.store.sqlite.schema import FILE_NAME
from edge_agent.contract.times import utc_now
from edge_agent.service.finding import Finding


async def examine(settings: BridgeSettings) -> AsyncIterator[Finding]:
    """Everything, in the order in which it must work; beside a running bridge or without one."""
    text = f"data in {settings.data_dir}, database {settings.database}, safe: {settings.safe}"
    yield Finding("ok", "config", text)
    path = settings.data_dir / FILE_NAME
    for finding in place.examine(path):
        yield finding
    if place.is_closed(settings.data_dir):
        return
    running, finding = await address.running(settings.data_dir)
    yield finding
    async for finding in address.examine(settings.http, running):
        yield finding
    if settings.is_postgres:
        from cloud_bridge.doctor import postgres

        async for finding in postgres.examine(settings):
            yield finding
        return
    for finding in database.examine(path):
        yield finding
    for finding in stores.examine(path, safe=settings.safe, running=running, now=utc_now()):
        yield finding
