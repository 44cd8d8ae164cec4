"""The composition root, the only file that knows all parts: builds one store's agent and runs it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from typing import Any

from edge_agent.config.cameras import Camera
from edge_agent.config.drawn import with_drawn
from edge_agent.config.published import Published, with_published
from edge_agent.config.store import StoreSettings
from edge_agent.contract.errors import ConfigError
from edge_agent.contract.messages import Presence, StoreProfile
from edge_agent.contract.times import parse_rfc3339, rfc3339, utc_now
from edge_agent.drivers import Resources, make_driver, mqtt_states, mqtt_topics
from edge_agent.drivers.mqtt import MqttSession
from edge_agent.drivers.tap import Taps
from edge_agent.environment import Environment
from edge_agent.health import Health
from edge_agent.journal import Capture, Journal
from edge_agent.journal.published import PUBLISHED, from_text
from edge_agent.live.web import LiveRoutes
from edge_agent.local_accounts import Accounts
from edge_agent.local_cameras import Cameras
from edge_agent.local_planogram import PlanogramReset
from edge_agent.local_resync import ResyncRoute
from edge_agent.local_shelves import Shelves
from edge_agent.local_web import LocalWeb
from edge_agent.local_writes import Writes
from edge_agent.page.server import CameraPageServer
from edge_agent.pipeline import Pipeline, read_clocks
from edge_agent.presence_hours import PresenceHours
from edge_agent.retelling import Retelling
from edge_agent.service import metrics
from edge_agent.service.loop import LooseThreads, collect_by_time, open_many_files
from edge_agent.service.settings import read_secret
from edge_agent.service.tls import trusted
from edge_agent.status import Status
from edge_agent.supervisor import KeptDevice, keep_running, nudge_neighbours
from edge_agent.sync import HqLine, Uplink
from edge_agent.takeover import TOLD, Takeover, applied, digest_of, tell
from edge_agent.traffic import Traffic
from edge_agent.upkeep import Upkeep
from edge_agent.vision.view import Views
from edge_agent.wiring import bounds, condition_of, estimator_of, place_of

log = logging.getLogger(__name__)

LAST_SYNC_S = 4.0
STOP_DEVICES_S = 4.0
CLOSE_MINUTES_S = 1.0
NOT_CONFIGURED = "no longer in the configuration"


@dataclass(slots=True)
class StoreAgent:
    """One store's running parts."""

    settings: StoreSettings
    journal: Journal
    pipeline: Pipeline
    devices: list[KeptDevice]
    mqtt: MqttSession | None
    uplink: Uplink | None
    upkeep: Upkeep
    started_s: float
    resources: Resources = field(default_factory=Resources)
    write_token: str | None = None
    """What writing to the agent's own API needs; None: nobody may."""
    page: CameraPageServer | None = None
    published: Published = field(default_factory=Published)
    """What HQ has published and is in use."""
    retelling: Retelling = field(init=False)

    def __post_init__(self) -> None:
        """The present is told of what is in use."""
        self.retelling = Retelling(self.settings, self.published.revision, self.pipeline)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then devices → inbox → writer → one last sync → connections, under 10 s.

        Also until something that HQ published is taken over: then without the sync, the parts are built anew.
        """
        loop = asyncio.get_running_loop()
        loop.set_default_executor(LooseThreads())  # ports and name servers hang, the rest goes on
        if self.uplink is not None:
            uplink = self.uplink
            self.journal.on_commit = lambda _seq: _quietly(loop, uplink.wake)
        writes, accounts = Writes(self.write_token, self.pipeline.take), Accounts(self.pipeline)
        shelves = Shelves(self.write_token, self.resources.shelves)
        cameras = Cameras(self.pipeline, [d for d in self.settings.devices if isinstance(d, Camera)])
        reset = PlanogramReset(self.write_token, self.pipeline.reset_planogram, self.published)
        resync = ResyncRoute(self.write_token, self.retelling.resync)
        more = (writes, accounts, shelves, cameras, reset, resync)
        routes = [*self._live().routes(), *(route for one in more for route in one.routes())]
        web = LocalWeb(self.settings.agent.http, self.status.answer, self.facings, routes)
        async with web, self.page or nullcontext(), asyncio.TaskGroup() as core:
            tasks = [
                core.create_task(self.pipeline.run(), name="pipeline"),
                core.create_task(self.upkeep.run(), name="upkeep"),
                core.create_task(collect_by_time(), name="collector"),
            ]
            if self.mqtt is not None:
                tasks.append(core.create_task(self.mqtt.run(), name="mqtt"))
            if self.uplink is not None:
                tasks.append(core.create_task(self.uplink.run(), name="sync"))
            kept = core.create_task(keep_running(self.devices, self.pipeline.emit), name="devices")
            await _first_of(stop, self.pipeline.over)
            log.info("stopping" if stop.is_set() else "going on with another planogram or other settings")
            kept.cancel()
            await asyncio.wait([kept], timeout=STOP_DEVICES_S)
            await self._close_minutes()
            for task in tasks:
                task.cancel()
        is_behind = self.journal.durable_seq > self.journal.position.applied
        if stop.is_set() and self.uplink is not None and is_behind:
            await self.uplink.last_words(LAST_SYNC_S)

    async def _close_minutes(self) -> None:
        """A disk that is full must not hold the stop: what the minutes hold is in the state."""
        try:
            async with asyncio.timeout(CLOSE_MINUTES_S):
                await self.pipeline.close_minutes()
        except TimeoutError:
            log.warning("the open minutes are not told: %s", self.journal.refusal or "the disk is slow")

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Metrics that are asked for when somebody looks, inside the block; the journal is open there."""
        metrics.outbox_rows.set_function(lambda: self.journal.durable_seq - self.journal.position.applied)
        metrics.outbox_oldest_seconds.set_function(self._oldest_s)
        metrics.devices.look = self._figures
        try:
            yield
        finally:
            for gauge in (metrics.outbox_rows, metrics.outbox_oldest_seconds):
                gauge.set_function(lambda: 0.0)
            metrics.devices.look = list

    def _oldest_s(self) -> float:
        """How long the oldest row has waited for HQ; 0 when none waits."""
        waiting = self.journal.rows_after(self.journal.position.applied, limit=1)
        return (utc_now() - parse_rfc3339(waiting[0].occurred_at)).total_seconds() if waiting else 0.0

    def _figures(self) -> Iterator[metrics.DeviceFigures]:
        health, now_s = self.pipeline.health, time.monotonic()
        for kept in self.devices:
            online = health.conditions[kept.device].status == "online"
            silence_s = health.silence_s(kept.device, now_s)
            yield metrics.DeviceFigures(kept.device, online, silence_s, kept.skipped_bytes)

    def _live(self) -> LiveRoutes:
        conditions = self.pipeline.health.conditions
        return LiveRoutes(
            self.settings.devices,
            self.pipeline.audience,
            self.resources.taps,
            lambda: list(conditions.values()),
        )

    async def begin(self) -> None:
        """Journal what HQ is to be told of this start."""
        await self.tell_planogram()
        await self.retelling.at_start()

    async def tell_planogram(self) -> None:
        """Journal the planogram in use when it is not the one that HQ was told of."""
        facings = {f.id: f.gtin for f in self.settings.facings}
        devices = {d.id for d in self.settings.devices}
        await self._take_leave(devices)
        await asyncio.wrap_future(self.journal.forget_others(facings=facings, devices=devices))
        body = applied(self.settings, self.published.revision)
        if self.journal.recall(TOLD) == digest_of(body):
            return
        capture = Capture()
        tell(capture, body, read_clocks())
        await asyncio.wrap_future(self.journal.submit(capture))

    async def _take_leave(self, devices: set[str]) -> None:
        """Tell HQ of devices that the configuration dropped: it would show them as they last were."""
        capture, now = Capture(), utc_now()
        for condition in self.journal.restored.conditions:
            if condition.device not in devices:
                left = replace(condition, status="offline", reason=NOT_CONFIGURED)
                capture.effects.tell("device.changed", left.body(), now)
        if capture.effects.events:
            await asyncio.wrap_future(self.journal.submit(capture))

    def presence(self) -> Presence:
        """When devices and facings were last heard of."""
        conditions = self.pipeline.health.conditions.values()
        beliefs = self.pipeline.estimator.beliefs.values()
        return Presence(
            devices={c.device: rfc3339(c.last_seen_at) for c in conditions if c.last_seen_at},
            facings={b.facing: rfc3339(b.observed_at) for b in beliefs if b.observed_at},
        )

    def facings(self) -> list[dict[str, object]]:
        """Every facing as it is believed now."""
        return self.status.facings()

    @property
    def status(self) -> Status:
        """What `edge-agent status` asks for."""
        return Status(
            self.settings,
            self.journal,
            self.pipeline,
            self.devices,
            self.uplink,
            self.upkeep,
            self.started_s,
            self.published.revision,
        )


def build(settings: StoreSettings) -> StoreAgent:
    """Open the journal, restore the state and wire every part; touches no device yet.

    Raises ConfigError, JournalLocked or SchemaTooNew. `settings` are those of the file: what HQ published and
    what was drawn at the camera page are laid over them here.
    """
    journal = Journal(settings.agent.data_dir, ballast_bytes=settings.agent.ballast_mb * 2**20)
    try:
        return _built(settings, journal)
    except BaseException:
        journal.close()
        raise


def _built(file_settings: StoreSettings, journal: Journal) -> StoreAgent:
    published = from_text(journal.recall(PUBLISHED))
    written = with_published(file_settings, published)
    settings = with_drawn(written)
    journal.gather_for(settings.agent.commit_window_ms / 1000)
    uplink_token = read_secret(settings.uplink.token_file) if settings.uplink else None
    write_token = read_secret(settings.agent.http.token_file)
    uplink_tls = trusted(settings.uplink.ca_file) if settings.uplink else None
    taps = Taps()
    mqtt = _mqtt(settings, taps)
    now = read_clocks()
    last = journal.rows_after(journal.durable_seq - 1, limit=1)
    if mqtt is not None and last:
        mqtt.was_away((now.at - parse_rfc3339(last[0].occurred_at)).total_seconds())
    restored = journal.restored
    estimator = estimator_of(settings, restored.beliefs)
    for position in restored.plates:
        estimator.restore_plate(position, now)
    for epc, device, facing in restored.tags:
        estimator.restore_tag(epc=epc, device=device, facing=facing, mono_s=now.mono_s)
    before = {c.device: c for c in restored.conditions}
    conditions = [
        condition_of(device, before.get(device.id), mono_s=now.mono_s) for device in settings.devices
    ]
    environment = Environment(bounds(settings.devices), restored.quantities)
    pipeline = Pipeline(
        estimator,
        Traffic(restored.buckets),
        Health(conditions),
        journal,
        environment=environment,
        hours=PresenceHours(restored.hours),
        planogram=settings.planogram,
        takeover=Takeover(file_settings, published),
    )
    views = Views() if settings.agent.camera_page.enabled else None
    resources = Resources(mqtt=mqtt, taps=taps, views=views, data_dir=settings.agent.data_dir)
    devices = [
        KeptDevice(
            device.id,
            partial(make_driver, device, resources),
            pipeline.device_lost,
            place_of(device),
        )
        for device in settings.devices
    ]
    pipeline.returned = partial(nudge_neighbours, devices)
    pipeline.bulletin.untold = {device.id for device in settings.devices}
    started_s = time.monotonic()
    upkeep = Upkeep(
        journal,
        settings.agent.disk_quota_mb * 2**20,
        timedelta(days=settings.agent.retain_days),
        pipeline.spare,
    )
    agent = StoreAgent(
        settings, journal, pipeline, devices, mqtt, None, upkeep, started_s, resources, write_token,
        published=published,
    )  # fmt: skip
    if views is not None:
        agent.page = CameraPageServer(
            written,
            views,
            conditions=pipeline.health.conditions,
            redrawn=partial(_redraw, devices, resources, pipeline),
        )
    if settings.uplink is not None and uplink_token is not None:
        agent.uplink = Uplink(
            journal,
            hq=HqLine(url=settings.uplink.url, token=uplink_token, tls=uplink_tls),
            store=settings.store.id,
            profile=StoreProfile(
                name=settings.store.name or settings.store.id,
                timezone=settings.store.timezone,
                gln=settings.store.gln,
                latitude=settings.store.latitude,
                longitude=settings.store.longitude,
            ),
            presence=agent.presence,
            version=version("shelf-edge"),
            retell=agent.retelling.retell,
            obey=pipeline.obey,
        )
        agent.retelling.greet_again = agent.uplink.greet_again
    return agent


async def run(settings: StoreSettings, stop: asyncio.Event) -> None:
    """Build the agent and run it until `stop`; anew whenever it has taken over something of HQ's."""
    open_many_files()
    while not stop.is_set():
        agent = build(settings)
        log.info(
            "store %s, %d devices, %s, journal at row %d",
            settings.store.id,
            len(agent.devices),
            agent.published.source,
            agent.journal.last_seq,
        )
        try:
            if await _within(stop, agent.begin()):
                with agent.measured():
                    await agent.run(stop)
        finally:
            agent.journal.close()


async def _within(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Whether `work` ended before `stop`; a disk that refuses would keep it for ever."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        return working.done()
    finally:
        working.cancel()
        stopping.cancel()


async def _first_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


def _mqtt(settings: StoreSettings, taps: Taps) -> MqttSession | None:
    if settings.mqtt is None:
        return None
    if settings.mqtt.url == "embedded":
        raise ConfigError(
            "mqtt.url: embedded is not available in this version", hint="start a broker, give its url"
        )
    topics, states = mqtt_topics(settings.devices), mqtt_states(settings.devices)
    return MqttSession(settings.mqtt, store=settings.store.id, topics=topics, states=states, taps=taps)


def _redraw(devices: Sequence[KeptDevice], resources: Resources, pipeline: Pipeline, camera: Camera) -> None:
    """Have a camera go on with its new settings. What it shows until then was masked by the old ones."""
    if (view := resources.view_of(camera)) is not None:
        view.clear()
    # Its places may be others: what was seen in the old ones is no evidence any more.
    pipeline.estimator.device_lost(camera.id, pipeline.now())
    resources.shelves.pop(camera.id, None)
    resources.shelf_before(camera)
    for kept in devices:
        if kept.device == camera.id:
            kept.remake(partial(make_driver, camera, resources))


def _quietly(loop: asyncio.AbstractEventLoop, wake: object) -> None:
    with suppress(RuntimeError):  # the loop closes before the writer thread has ended
        loop.call_soon_threadsafe(wake)  # type: ignore[arg-type]
