"""HQ put together: the only file that knows all of its parts."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from cloud_bridge import control, metrics, openapi
from cloud_bridge.admin import Admin, Answer
from cloud_bridge.admission import Bodies, Forks, admitting
from cloud_bridge.api import Api
from cloud_bridge.auth import Access
from cloud_bridge.availability import Availability
from cloud_bridge.commands import Commands
from cloud_bridge.config import BridgeSettings, Http
from cloud_bridge.databases import open_engine, require_file
from cloud_bridge.errors import AddressTaken, Unavailable
from cloud_bridge.health import HealthChecks, measure
from cloud_bridge.ingest import Ingest
from cloud_bridge.liveness import Liveness
from cloud_bridge.login import Login
from cloud_bridge.pages import add_pages
from cloud_bridge.problems import problems
from cloud_bridge.store import Engine
from cloud_bridge.store.sqlite.backup import Copied, make_backup
from cloud_bridge.store.sqlite.restore import restore as restore_database
from cloud_bridge.store.sqlite.schema import FILE_NAME
from cloud_bridge.stream import Hub
from cloud_bridge.sync_calls import SyncCalls
from edge_agent.contract.messages import MAX_BATCH_BYTES
from edge_agent.contract.times import rfc3339, utc_now
from edge_agent.service import client_errors, tls
from edge_agent.service.stop import stop_event

log = logging.getLogger(__name__)

_AGAIN_S: Final = 0.5
_REPLAY_AGAIN_S: Final = 5.0
_PRUNE_S: Final = 3600.0
_SWEEP_S: Final = 60.0
_CLOSE_S: Final = 3.0
_COLLECT_AT: Final = (50_000, 20, 20)
"""A batch of 5,000 rows makes tens of thousands of objects, which go by their reference counts: the collector
would look some twenty times in between, for nothing."""


class Bridge:
    """One HQ over one data directory. `url` is known while it serves."""

    def __init__(self, settings: BridgeSettings) -> None:
        self.settings = settings
        self.port = settings.http.port
        self.app: web.Application | None = None
        self.engine: Engine | None = None

    @property
    def url(self) -> str:
        """Where people open it."""
        return self.settings.http.url(self.port)

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Admin]:
        """The data without the server, for a command on its own. The caller owns the lock."""
        engine = await open_engine(self.settings)
        try:
            access = Access(engine, on_revoked=lambda: None)
            await access.reload()
            yield self._admin(engine, access, Liveness(), Forks())
        finally:
            await engine.close()

    async def serve(self, stop: asyncio.Event, ready: asyncio.Event | None = None) -> None:
        """Serve until `stop`; the caller owns the lock. AddressTaken when the address cannot be had."""
        hub: Hub | None = None
        engine = await open_engine(
            self.settings,
            on_published=lambda events: hub.publish(events) if hub else None,
            on_renamed=lambda: hub.begin_again() if hub else None,
        )
        self.engine, hub = engine, Hub(engine)
        try:
            access, liveness, forks = Access(engine, on_revoked=hub.wake), Liveness(), Forks()
            await access.reload()
            commands, availability = Commands(engine, access), Availability(self.settings.promises, liveness)
            parts = Parts(engine, access, liveness, forks, hub, commands, availability)
            self.app = app = build(self.settings, parts)
            admin = self._admin(engine, access, liveness, forks)
            held = await engine.hold_for_replay()
            async with self._served(app), control.listening(self.settings.data_dir, admin):
                log.info("HQ listens on %s, data in %s", self.url, self.settings.data_dir)
                if ready is not None:
                    ready.set()
                following = _follow(engine, access, commands)
                await self._until(stop, parts, held, following)
                hub.close()
            with contextlib.suppress(Unavailable):  # a database that is away must not keep us
                await liveness.save(engine)
        finally:
            await engine.close()
        log.info("HQ stopped")

    def _admin(self, engine: Engine, access: Access, liveness: Liveness, forks: Forks) -> Admin:
        return Admin(engine, access, liveness, forks, url=lambda: self.url, port=lambda: self.port)

    @contextlib.asynccontextmanager
    async def _served(self, app: web.Application) -> AsyncIterator[None]:
        client_errors.quiet()
        runner = web.AppRunner(
            app, auto_decompress=False, access_log=None, shutdown_timeout=_CLOSE_S, handle_signals=False
        )
        await runner.setup()
        http = self.settings.http
        try:
            site = web.TCPSite(runner, http.host, http.port, ssl_context=_tls(http))
            try:
                await site.start()
            except OSError as error:
                raise AddressTaken(
                    f"{http.host}:{http.port} cannot be listened on: {error.strerror}",
                    hint="stop what listens there, or set another http.port in bridge.yaml",
                ) from error
            self.port = runner.addresses[0][1]
            yield
        finally:
            await runner.cleanup()

    async def _until(
        self,
        stop: asyncio.Event,
        parts: Parts,
        held: list[str],
        following: Coroutine[None, None, None],
    ) -> None:
        engine, liveness = parts.engine, parts.liveness
        async with asyncio.TaskGroup() as group:
            chores = [
                group.create_task(_save_heard(engine, liveness), name="save-heard"),
                group.create_task(_prune(engine, self.settings), name="prune"),
                group.create_task(_sweep(engine, parts.availability), name="sweep-reservations"),
                group.create_task(_replay(engine, held), name="replay"),
                group.create_task(following, name="follow"),
            ]
            await stop.wait()
            for chore in chores:
                chore.cancel()


@dataclass(frozen=True, slots=True)
class Parts:
    """What a running bridge is made of; each knows those before it at most."""

    engine: Engine
    access: Access
    liveness: Liveness
    forks: Forks
    hub: Hub
    commands: Commands
    availability: Availability


def build(settings: BridgeSettings, parts: Parts) -> web.Application:
    """The web application with every route."""
    app = web.Application(
        middlewares=[measure, problems, admitting(Bodies())], client_max_size=MAX_BATCH_BYTES
    )
    engine, access, liveness = parts.engine, parts.access, parts.liveness
    parts.commands.add_routes(app)
    api = Api(engine, access, liveness, parts.hub, parts.commands, parts.availability)
    SyncCalls(Ingest(engine, liveness, parts.commands, forks=parts.forks), access).add_routes(app)
    api.add_routes(app)
    Login(access, is_https=settings.http.url(0).startswith("https:")).add_routes(app)
    HealthChecks(engine, access, liveness).add_routes(app)
    document = msgspec.json.encode(openapi.document(api.routes()))

    async def openapi_json(request: web.Request) -> web.Response:
        access.require(request, "viewer")
        return web.Response(body=document, content_type="application/json")

    app.router.add_get("/openapi.json", openapi_json)
    add_pages(app)
    return app


def _tls(http: Http) -> ssl.SSLContext | None:
    if http.cert_file is None or http.key_file is None:
        return None
    return tls.shown(http.cert_file, http.key_file)


async def _save_heard(engine: Engine, liveness: Liveness) -> None:
    while True:
        await asyncio.sleep(engine.heard_every_s)
        with contextlib.suppress(Unavailable):  # the next round saves newer values
            await liveness.save(engine)


async def _follow(engine: Engine, access: Access, commands: Commands) -> None:
    """Take in what other processes change; what could not be read yet is read again."""
    load = {"access": access.reload, "commands": commands.load}
    due: set[str] = set()
    while True:
        try:
            if not due:
                due |= await engine.changed()
            for subject in sorted(due):
                await load[subject]()
                due.discard(subject)
        except Unavailable as error:
            log.debug("other processes cannot be followed now: %s", error.message)
            await asyncio.sleep(_AGAIN_S)


async def _replay(engine: Engine, stores: list[str]) -> None:
    for store in stores:
        while True:
            try:
                done = await engine.replay(store, at=rfc3339(utc_now()))
                break
            except Unavailable as error:
                log.warning("store %s: rows set aside have to wait: %s", store, error.message)
                await asyncio.sleep(_REPLAY_AGAIN_S)
        metrics.sync_replayed.inc(done.rows)
        metrics.feed_corrections.inc(done.corrections)
        log.info(
            "store %s: %d row(s) that were set aside are taken in, %d of them on a line that it has left,"
            " %d correction(s); %d do not fit and are quarantined",
            store, done.rows, done.orphaned, done.corrections, done.quarantined,
        )  # fmt: skip


async def _sweep(engine: Engine, availability: Availability) -> None:
    while True:
        with contextlib.suppress(Unavailable):  # nothing depends on when it is done
            await engine.sweep_reservations(availability.is_settled, utc_now)
        await asyncio.sleep(_SWEEP_S)


async def _prune(engine: Engine, settings: BridgeSettings) -> None:
    keep = settings.retention
    while True:
        now = utc_now()
        try:
            while await engine.prune(
                events_before=rfc3339(now - timedelta(days=keep.events_days)),
                items_before=rfc3339(now - timedelta(days=keep.items_days)),
                buckets_before_ms=round((now - timedelta(days=keep.footfall_days)).timestamp() * 1000),
            ):
                log.debug("old rows deleted")
        except Unavailable as error:
            log.warning("old rows could not be deleted, trying again in an hour: %s", error.message)
        await asyncio.sleep(_PRUNE_S)


async def serve(settings: BridgeSettings) -> None:
    """Serve until SIGTERM or SIGINT, as the only process on the data directory."""
    stop = stop_event()
    control.prepare(settings.data_dir)
    gc.set_threshold(*_COLLECT_AT)
    gc.freeze()
    with control.exclusive(settings.data_dir):
        await Bridge(settings).serve(stop)


async def command(settings: BridgeSettings, name: str, arguments: dict[str, str]) -> Answer:
    """An operator's command: through the running bridge, else on the data itself under its lock."""
    answer = await control.ask(settings.data_dir, name, arguments)
    if answer is not None:
        return answer
    control.prepare(settings.data_dir)
    with control.exclusive(settings.data_dir):
        async with Bridge(settings).opened() as admin:
            return await admin.run(name, arguments)


async def backup(settings: BridgeSettings, destination: Path, check: Callable[[Path], Copied]) -> Answer:
    """A copy, beside a running bridge or without one, on record in the database when it returns."""
    require_file(settings, "backup")
    at = utc_now()
    path, copied = await asyncio.to_thread(
        make_backup, settings.data_dir / FILE_NAME, destination, at=at, check=check
    )
    recorded = await command(settings, "backup record", {"path": str(path.resolve()), "at": rfc3339(at)})
    return recorded | asdict(copied)


def restore(settings: BridgeSettings, source: Path) -> Answer:
    """Put a backup in the place of the database, which is kept; DataDirBusy beside a running bridge."""
    require_file(settings, "restore")
    control.prepare(settings.data_dir)
    with control.exclusive(settings.data_dir):
        restored = restore_database(source, settings.data_dir / FILE_NAME, at=utc_now())
    kept = str(restored.kept) if restored.kept is not None else None
    return {"database": str(settings.data_dir / FILE_NAME), "kept": kept} | asdict(restored.copied)
