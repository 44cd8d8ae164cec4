"""Tries everything that the configuration names, one line each: ok, warn or FAIL, with the mend."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from edge_agent.config.camera_page import CameraPage
from edge_agent.config.cameras import Camera, VisionModel
from edge_agent.config.devices import Device, MqttDevice
from edge_agent.config.drawn import drawn_notes
from edge_agent.config.store import Agent, StoreSettings
from edge_agent.contract.errors import DeviceError, ShelfEdgeError
from edge_agent.contract.messages import Whoami
from edge_agent.contract.times import parse_rfc3339, utc_now
from edge_agent.drivers import Driver, Framed, Resources, make_driver, mqtt_states, mqtt_topics
from edge_agent.drivers.mqtt_trial import Trial, try_broker
from edge_agent.fullness import ALARMS, Fullness, level_of
from edge_agent.journal.file import open_to_read, used_bytes_of
from edge_agent.page.access import Access
from edge_agent.readings import DeviceAnswered, DeviceDegraded, Reading
from edge_agent.service import tls
from edge_agent.service.finding import Finding, Level
from edge_agent.service.settings import read_secret
from edge_agent.vision.view import Views

ANSWER_WITHIN_S = 8.0
LISTEN_S = 3.0
"""Devices on the broker speak when they have something to say: silence this long is worth a warning only."""
DEVICES_AT_ONCE = 8
CLOCK_WARN_S = 5.0
DISK_WARN_MB = 500


async def examine(settings: StoreSettings) -> AsyncIterator[Finding]:
    """Everything, in the order in which it must work."""
    yield Finding("ok", "config", f"{len(settings.devices)} devices, {len(settings.facings)} facings")
    for note in drawn_notes(settings):
        hint = "discard it at the camera page, or delete it from that file"
        yield Finding("ok" if note.is_used else "warn", "config", note.text, "" if note.is_used else hint)
    yield _disk(settings.agent.data_dir)
    yield _journal(settings.agent)
    if settings.agent.camera_page.enabled:
        yield _camera_page(settings.agent.camera_page)
    async for finding in _broker(settings):
        yield finding
    async for finding in _models([d for d in settings.devices if isinstance(d, Camera)]):
        yield finding
    resources = Resources(views=Views() if settings.agent.camera_page.enabled else None)
    asked = [device for device in settings.devices if not isinstance(device, MqttDevice)]
    async for finding in _devices(asked, resources):
        yield finding
    async for finding in _hq(settings):
        yield finding


def _disk(data_dir: Path) -> Finding:
    place = next(p for p in (data_dir, *data_dir.resolve().parents) if os.access(p, os.F_OK))
    if not place.is_dir():
        return Finding("FAIL", "disk", f"{place} is no folder", "set agent.data_dir to a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        return Finding(
            "FAIL",
            "disk",
            f"{place} is not writable",
            f"give this user the folder: chown it to {os.getuid()}",
        )
    free_mb = shutil.disk_usage(place).free // 2**20
    if free_mb < DISK_WARN_MB:
        return Finding(
            "warn", "disk", f"{free_mb} MB free at {place}", "free space, or lower agent.disk_quota_mb"
        )
    return Finding("ok", "disk", f"{free_mb} MB free")


def _journal(agent: Agent) -> Finding:
    """How full it is, as a file: the agent may run or not."""
    path = agent.data_dir / "journal.db"
    if not path.exists():
        return Finding("ok", "journal", "none yet")
    try:
        with closing(open_to_read(path)) as connection:
            used, reusable = used_bytes_of(connection)
    except sqlite3.Error as error:
        return Finding("FAIL", "journal", f"{path}: {error}", "is the disk sound? the agent's log says more")
    room = reusable + shutil.disk_usage(agent.data_dir).free
    fullness = Fullness(used=used, quota=agent.disk_quota_mb * 2**20, room=room)
    text, level = f"{fullness.percent:.0f} % full", level_of(fullness)
    if level:
        grade: Level = "FAIL" if level == ALARMS[-1] else "warn"
        return Finding(grade, "journal", text, "free the disk, or see why HQ does not take the rows")
    damaged = sorted(found.name for found in agent.data_dir.glob("journal.damaged-*.db"))
    if damaged:
        hint = "keep it for support, or delete it with its -wal and -shm"
        return Finding("warn", "journal", f"{text}; damaged and moved aside: {', '.join(damaged)}", hint)
    return Finding("ok", "journal", text)


def _camera_page(page: CameraPage) -> Finding:
    try:
        Access(page, read_secret(page.token_file))
        if page.cert_file is not None and page.key_file is not None:
            tls.shown(page.cert_file, page.key_file)
    except ShelfEdgeError as error:
        return Finding("FAIL", "camera page", error.message, error.hint)
    where = f"http{'s' if page.is_https else ''}://{page.host}:{page.port}"
    who = "whoever has its token" if page.token_file else "every user of this machine"
    return Finding("ok", "camera page", f"{where} shows the cameras to {who}")


async def _broker(settings: StoreSettings) -> AsyncIterator[Finding]:
    """Log in as the agent does and listen to the topics of all devices; a line for each of them."""
    if settings.mqtt is None:
        yield Finding("ok", "broker", "none configured")
        return
    if settings.mqtt.url == "embedded":
        hint = "start a broker, give its url"
        yield Finding("FAIL", "broker", "mqtt.url: embedded is not available in this version", hint)
        return
    devices = [device for device in settings.devices if isinstance(device, MqttDevice)]
    topics, states = mqtt_topics(devices), mqtt_states(devices)
    try:
        trial = await try_broker(
            settings.mqtt, topics=topics.values(), states=states.values(), listen_s=LISTEN_S
        )
    except ShelfEdgeError as error:
        yield Finding("FAIL", "broker", error.message, error.hint)
        return
    text = f"{settings.mqtt.url} lets us in (MQTT {trial.version})"
    if settings.mqtt.allow_insecure:
        yield Finding("warn", "broker", f"{text}, allow_insecure is on", "use mqtts:// and a user")
    else:
        yield Finding("ok", "broker", text)
    for device in devices:
        wanted = [topics[device.id], *([states[device.id]] if device.id in states else [])]
        yield _listened(device.id, wanted, trial)


def _listened(device: str, topics: Sequence[str], trial: Trial) -> Finding:
    for topic in topics:
        if topic in trial.refused:
            hint = "allow the agent's user to read it (topic read … in mosquitto's acl_file)"
            return Finding("FAIL", device, f"the broker refuses {topic}: {trial.refused[topic]}", hint)
    if trial.heard[topics[0]]:
        return Finding("ok", device, f"{topics[0]}: messages arrive")
    hint = "is the device on, does it publish there, and may the agent's user read it (acl_file)?"
    return Finding("warn", device, f"{topics[0]}: nothing within {LISTEN_S:.0f} s", hint)


async def _models(cameras: Sequence[Camera]) -> AsyncIterator[Finding]:
    """Each model once, with the cameras that use it."""
    for model in dict.fromkeys(camera.model for camera in cameras):
        users = ", ".join(camera.id for camera in cameras if camera.model == model)
        yield await _model(f"model of {users}", model)


async def _model(what: str, chosen: VisionModel) -> Finding:
    """Load it, as the cameras do, and let it look at the golden frame."""
    from edge_agent.vision.detectors import IN_USE
    from edge_agent.vision.inference import in_turn

    try:
        used = (await in_turn(lambda: IN_USE.get(chosen))).report()
    except ShelfEdgeError as error:
        return Finding("FAIL", what, str(error), error.hint)
    passed = "finds the people of the golden frame" if chosen.checked else "unchecked, as model.checked says"
    return Finding("ok", what, f"{used.model} ({used.family}, {used.sha256}) {passed}")


async def _devices(devices: Sequence[Device], resources: Resources) -> AsyncIterator[Finding]:
    """Several at a time, told in the order of the configuration; those on one line share it."""
    room = asyncio.Semaphore(DEVICES_AT_ONCE)

    async def examined(device: Device) -> Finding:
        async with room:
            return await _device(device, resources)

    async with asyncio.TaskGroup() as group:
        for task in [group.create_task(examined(device)) for device in devices]:
            yield await task


async def _device(device: Device, resources: Resources) -> Finding:
    """Run the real driver until it proves that the device is there."""
    proof: asyncio.Future[Finding] = asyncio.get_running_loop().create_future()

    async def emit(readings: Sequence[Reading]) -> None:
        if readings and not proof.done():
            proof.set_result(_proof(device.id, readings[0]))

    try:
        driver = make_driver(device, resources)
    except ShelfEdgeError as error:
        return Finding("FAIL", device.id, str(error), error.hint)
    task = asyncio.ensure_future(driver.run(emit))
    waiting: set[asyncio.Future[Any]] = {task, proof}
    try:
        await asyncio.wait(waiting, timeout=ANSWER_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        return proof.result() if proof.done() else _failure(device, driver, task)
    finally:
        task.cancel()
        await asyncio.wait({task})


def _failure(device: Device, driver: Driver, task: asyncio.Future[None]) -> Finding:
    """Why a device did not prove to be there. Bytes without sense say more than silence."""
    error = task.exception() if task.done() else None
    text, hint = f"no answer within {ANSWER_WITHIN_S:.0f} s", "check cable and power"
    if isinstance(error, ShelfEdgeError):
        text = str(error)
        hint = error.hint or ("check the cable and the address" if isinstance(error, DeviceError) else "")
    elif task.done():
        return Finding("FAIL", device.id, f"ended: {error!r}", "please report it")
    if isinstance(driver, Framed) and driver.skipped_bytes:
        hint = (
            f"{driver.skipped_bytes} bytes came that are no frames of {getattr(device, 'driver', 'it')}: "
            f"are driver, baudrate and serial_format those of the device? {hint}"
        )
    return Finding("FAIL", device.id, text, hint)


def _proof(name: str, reading: Reading) -> Finding:
    if isinstance(reading, DeviceDegraded):
        return Finding("warn", name, f"answers, but {reading.reason}", "look at the device's own display")
    identity = reading.identity if isinstance(reading, DeviceAnswered) else None
    return Finding("ok", name, f"answers{f' as {identity}' if identity else ''}")


async def _hq(settings: StoreSettings) -> AsyncIterator[Finding]:
    if settings.uplink is None:
        yield Finding("warn", "HQ", "no uplink configured", "add uplink: {url, token_file}")
        return
    try:
        token = read_secret(settings.uplink.token_file)
        trust = tls.trusted(settings.uplink.ca_file)
    except ShelfEdgeError as error:
        yield Finding("FAIL", "HQ", error.message, error.hint)
        return
    headers = {"Authorization": f"Bearer {token}"}
    url = settings.uplink.url.rstrip("/")
    try:
        async with (
            asyncio.timeout(ANSWER_WITHIN_S),
            aiohttp.ClientSession() as http,
            http.get(f"{url}/v1/sync/whoami", headers=headers, ssl=trust or True) as response,
        ):
            status, answer = response.status, await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        yield Finding(
            "FAIL", "HQ", f"{url}: {type(error).__name__} {error}".rstrip(), "is the line up? see uplink.url"
        )
        return
    if status in (401, 403):
        hint = f"cloud-bridge store add {settings.store.id}; put the token into uplink.token_file"
        yield Finding("FAIL", "HQ", f"{status}: the token is refused", hint)
        return
    try:
        whose = msgspec.json.decode(answer, type=Whoami)
    except msgspec.MsgspecError:
        yield Finding("FAIL", "HQ", f"{url} answers {status}, which is not HQ's answer", "see uplink.url")
        return
    if whose.store != settings.store.id:
        yield Finding("FAIL", "HQ", f"the token is that of store {whose.store!r}", "see store.id")
        return
    yield Finding("ok", "HQ", f"{url} accepts the token of {settings.store.id}")
    offset_s = (utc_now() - parse_rfc3339(whose.server_time)).total_seconds()
    if abs(offset_s) > CLOCK_WARN_S:
        yield Finding(
            "warn", "clock", f"{offset_s:+.1f} s from HQ's", "set the time (chrony, systemd-timesyncd)"
        )
    else:
        yield Finding("ok", "clock", "agrees with HQ's")
