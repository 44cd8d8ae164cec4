"""The composition root, the only file that knows all parts: builds one store's agent and runs it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from importlib.metadata import version

from edge_agent.config.cameras import Camera
from edge_agent.config.drawn import with_drawn
from edge_agent.config.store import StoreSettings
from edge_agent.contract.errors import ConfigError
from edge_agent.contract.messages import PlanogramApplied, Presence, StoreProfile, encode
from edge_agent.contract.times import parse_rfc3339, rfc3339, utc_now
from edge_agent.drivers import Resources, make_driver, mqtt_states, mqtt_topics
from edge_agent.drivers.mqtt import MqttSession
from edge_agent.drivers.tap import Taps
from edge_agent.environment import Environment
from edge_agent.health import Health
from edge_agent.intake import REMEMBERED
from edge_agent.journal import Capture, Journal
from edge_agent.live.web import LiveRoutes
from edge_agent.local_accounts import Accounts
from edge_agent.local_cameras import Cameras
from edge_agent.local_shelves import Shelves
from edge_agent.local_web import LocalWeb
from edge_agent.local_writes import Writes
from edge_agent.page.server import CameraPageServer
from edge_agent.pipeline import Pipeline, read_clocks
from edge_agent.presence_hours import KEPT_FOR, PresenceHours
from edge_agent.service import metrics
from edge_agent.service.loop import LooseThreads, collect_by_time, open_many_files
from edge_agent.service.settings import read_secret
from edge_agent.service.tls import trusted
from edge_agent.status import Status
from edge_agent.supervisor import KeptDevice, keep_running, nudge_neighbours
from edge_agent.sync import Uplink
from edge_agent.traffic import Traffic
from edge_agent.vision.view import Views
from edge_agent.wiring import bounds, condition_of, estimator_of, place_of

log = logging.getLogger(__name__)

LAST_SYNC_S = 4.0
STOP_DEVICES_S = 4.0
RETENTION_EVERY_S = 60.0
PRUNE_AT_ONCE = 5_000
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
    started_s: float
    resources: Resources = field(default_factory=Resources)
    write_token: str | None = None
    """What writing to the agent's own API needs; None: nobody may."""
    page: CameraPageServer | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then devices → inbox → writer → one last sync → connections, under 10 s."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(LooseThreads())  # ports and name servers hang, the rest goes on
        self._measure()
        if self.uplink is not None:
            uplink = self.uplink
            self.journal.on_commit = lambda _seq: _quietly(loop, uplink.wake)
        writes, accounts = Writes(self.write_token, self.pipeline.take), Accounts(self.pipeline)
        shelves = Shelves(self.write_token, self.resources.shelves)
        cameras = Cameras(self.pipeline, [d for d in self.settings.devices if isinstance(d, Camera)])
        more = (writes, accounts, shelves, cameras)
        routes = [*self._live().routes(), *(route for one in more for route in one.routes())]
        web = LocalWeb(self.settings.agent.http, self.status.answer, self.facings, routes)
        async with web, self.page or nullcontext(), asyncio.TaskGroup() as core:
            tasks = [
                core.create_task(self.pipeline.run(), name="pipeline"),
                core.create_task(self._retention(), name="retention"),
                core.create_task(collect_by_time(), name="collector"),
            ]
            if self.mqtt is not None:
                tasks.append(core.create_task(self.mqtt.run(), name="mqtt"))
            if self.uplink is not None:
                tasks.append(core.create_task(self.uplink.run(), name="sync"))
            kept = core.create_task(keep_running(self.devices, self.pipeline.emit), name="devices")
            await stop.wait()
            log.info("stopping")
            kept.cancel()
            await asyncio.wait([kept], timeout=STOP_DEVICES_S)
            await self.pipeline.close_minutes()
            for task in tasks:
                task.cancel()
        if self.uplink is not None and self.journal.durable_seq > self.journal.position.applied:
            await self.uplink.last_words(LAST_SYNC_S)

    def _measure(self) -> None:
        """Metrics that are asked for when somebody looks."""
        metrics.outbox_rows.set_function(lambda: self.journal.durable_seq - self.journal.position.applied)
        metrics.outbox_oldest_seconds.set_function(self._oldest_s)
        metrics.devices.look = self._figures

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

    async def tell_planogram(self) -> None:
        """Journal the planogram in use when it is not the one that HQ was told of."""
        facings = {f.id: f.gtin for f in self.settings.facings}
        devices = {d.id for d in self.settings.devices}
        await self._take_leave(devices)
        await asyncio.wrap_future(self.journal.forget_others(facings=facings, devices=devices))
        body = self._planogram()
        digest = sha256(encode(body)).hexdigest()
        if self.journal.recall("planogram") == digest:
            return
        capture = Capture()
        capture.effects.tell("planogram.applied", body, utc_now())
        await asyncio.wrap_future(self.journal.submit(capture))
        await asyncio.wrap_future(self.journal.remember("planogram", digest))

    async def _take_leave(self, devices: set[str]) -> None:
        """Tell HQ of devices that the configuration dropped: it would show them as they last were."""
        capture, now = Capture(), utc_now()
        for condition in self.journal.restored.conditions:
            if condition.device not in devices:
                left = replace(condition, status="offline", reason=NOT_CONFIGURED)
                capture.effects.tell("device.changed", left.body(), now)
        if capture.effects.events:
            await asyncio.wrap_future(self.journal.submit(capture))

    async def retell(self) -> None:
        """Journal the present once more, for an HQ that does not know what was forgotten here."""
        capture, now = Capture(), utc_now()
        capture.effects.tell("planogram.applied", self._planogram(), now)
        for belief in self.pipeline.estimator.beliefs.values():
            if belief.on_hand is not None:
                capture.effects.tell("stock.changed", belief.changed_from(belief, "correction"), now)
        for condition in self.pipeline.health.conditions.values():
            capture.effects.tell("device.changed", condition.body(), condition.since)
        for alarm in self.pipeline.environment.open_alarms():
            capture.effects.tell("environment.alarm", alarm, now)
        log.warning("HQ does not know this store's past: telling it all facings again")
        await asyncio.wrap_future(self.journal.submit(capture))

    def _planogram(self) -> PlanogramApplied:
        plan = self.settings.planogram
        return PlanogramApplied(
            revision=0,
            products=[p.model_dump(mode="json") for p in plan.products],
            facings=[f.model_dump(mode="json") for f in plan.facings],
        )

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
        return Status(self.settings, self.journal, self.pipeline, self.devices, self.uplink, self.started_s)

    async def _retention(self) -> None:
        """Forget what HQ has for good: rows older than `retain_days`, more of them when the quota is full."""
        agent = self.settings.agent
        while True:
            await asyncio.sleep(RETENTION_EVERY_S)
            await asyncio.wrap_future(self.journal.forget_lines(rfc3339(utc_now() - REMEMBERED)))
            await asyncio.wrap_future(self.journal.forget_hours(rfc3339(utc_now() - KEPT_FOR)))
            before = rfc3339(utc_now() - timedelta(days=agent.retain_days))
            upto = await asyncio.to_thread(self.journal.newest_seq_before, before)
            if self.journal.used_bytes() > agent.disk_quota_mb * 2**20:
                upto = self.journal.position.applied
            while self.journal.position.base_seq < (step := self._prune_step(upto)):
                await asyncio.wrap_future(self.journal.prune(step))

    def _prune_step(self, upto: int) -> int:
        """How far one transaction prunes, so that captures need not wait for all of it."""
        at = self.journal.position
        return min(upto, at.applied, at.safe, at.base_seq + PRUNE_AT_ONCE)


def build(settings: StoreSettings) -> StoreAgent:
    """Open the journal, restore the state and wire every part; touches no device yet.

    Raises ConfigError, JournalLocked or SchemaTooNew. `settings` are those of the file: what was drawn at
    the camera page is laid over them here.
    """
    written, settings = settings, with_drawn(settings)
    uplink_token = read_secret(settings.uplink.token_file) if settings.uplink else None
    write_token = read_secret(settings.agent.http.token_file)
    uplink_tls = trusted(settings.uplink.ca_file) if settings.uplink else None
    taps = Taps()
    mqtt = _mqtt(settings, taps)
    journal = Journal(settings.agent.data_dir, commit_window_s=settings.agent.commit_window_ms / 1000)
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
    agent = StoreAgent(settings, journal, pipeline, devices, mqtt, None, started_s, resources, write_token)
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
            url=settings.uplink.url,
            token=uplink_token,
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
            tls=uplink_tls,
            retell=agent.retell,
            obey=pipeline.obey,
        )
    return agent


async def run(settings: StoreSettings, stop: asyncio.Event) -> None:
    """Build the agent and run it until `stop`."""
    open_many_files()
    agent = build(settings)
    log.info(
        "store %s, %d devices, journal at row %d",
        settings.store.id,
        len(agent.devices),
        agent.journal.last_seq,
    )
    try:
        await agent.tell_planogram()
        await agent.run(stop)
    finally:
        agent.journal.close()


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
