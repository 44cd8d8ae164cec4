"""A simulated store in real time: its world on real wires, its people, its faults, its truth."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from device_sims.broker import running_broker
from device_sims.impinj import R700, Publisher, connected
from device_sims.indicator import Indicator
from device_sims.links import PtyLink, TcpLink, plugged_in
from device_sims.mt_sics import MtSicsScale
from device_sims.plan import plan_visit
from device_sims.proxy import UplinkProxy
from device_sims.scenario import Scenario, Unplug, UplinkCut, scale_id
from device_sims.store_file import Line, Places
from device_sims.truth import (
    AnyRecord,
    CableChanged,
    Closed,
    Crossed,
    ItemsMoved,
    LineChanged,
    Opened,
    Stocked,
)
from device_sims.world import Moved, World
from edge_agent.contract.errors import ConfigError

if TYPE_CHECKING:
    from device_sims.camera import DoorCamera

log = logging.getLogger(__name__)

_STEP_S = 0.02
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Clip:
    """A recorded video in place of the drawn door, and the line to count on."""

    path: Path
    line: Line


def clip_of(video: Path | None, line: str | None) -> Clip | None:
    """The clip behind `--video FILE --line X1,Y1,X2,Y2`; ConfigError when one is wrong or missing."""
    if video is None and line is None:
        return None
    if video is None or line is None:
        raise ConfigError(
            "--video and --line go together", hint="as in --video door.mp4 --line 100,300,500,300"
        )
    if not video.is_file():
        raise ConfigError(f"{video}: no such video file")
    try:
        x1, y1, x2, y2 = (float(part) for part in line.split(","))
    except ValueError:
        raise ConfigError(f"--line {line!r} must be four numbers: X1,Y1,X2,Y2") from None
    return Clip(video, ((x1, y1), (x2, y2)))


class SimulatedStore:
    """Everything of one store but the agent. `running()` powers the devices, `visit()` lets people in."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        seed: int,
        folder: Path,
        hq_url: str | None = None,
        clip: Clip | None = None,
        tell: Callable[[AnyRecord], None],
    ) -> None:
        self._scenario, self._seed, self._folder = scenario, seed, folder
        self._hq_url, self._clip, self._tell = hq_url, clip, tell
        self._plan = plan_visit(scenario, seconds=scenario.seconds, seed=seed)
        self._world = World(scenario, self._plan, seed=seed)
        self._links: dict[str, PtyLink | TcpLink] = {}
        self._proxy: UplinkProxy | None = None
        self._camera: DoorCamera | None = None
        self._publisher: Publisher | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Places]:
        """All devices have power and can be reached at the yielded places."""
        async with AsyncExitStack() as stack:
            places = Places(scales=await self._power_scales(stack))
            if self._scenario.reader is not None:
                broker = await stack.enter_async_context(
                    running_broker(self._folder / "broker", name=self._scenario.broker)
                )
                reader = self._scenario.reader
                self._publisher = await stack.enter_async_context(
                    connected(broker, reader.topic, client_id=reader.id)
                )
                places = replace(places, broker=broker)
            if self._scenario.camera is not None:
                source, line = await self._power_camera(stack)
                places = replace(places, camera_source=source, camera_line=line)
            if self._hq_url is not None:
                places = replace(places, uplink_url=await self._lay_line(stack, self._hq_url))
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read_tags(), name="rfid reader")
                try:
                    yield places
                finally:
                    reading.cancel()

    async def visit(self) -> None:
        """One whole plan in real time: opens, plays, closes. Call it once, inside `running()`."""
        opened_s, opened_at = time.monotonic(), datetime.now(UTC)
        self._tell(self._opening(opened_at))
        self._world.open(opened_s)
        async with asyncio.TaskGroup() as group:
            for name, work in self._work(opened_s, opened_at):
                group.create_task(work, name=name)
        self._tell(Closed(occurred_at=datetime.now(UTC)))

    def _work(self, opened_s: float, opened_at: datetime) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        work: list[tuple[str, Coroutine[Any, Any, None]]] = [("world", self._live(opened_s, opened_at))]
        if self._camera is not None:
            work.append(("door", self._walk(self._camera, opened_s)))
        for fault in self._scenario.faults:
            at_s = opened_s + fault.at_share * self._scenario.seconds
            if isinstance(fault, Unplug):
                work.append((f"unplug {fault.device}", self._unplug(fault, at_s)))
            elif self._proxy is not None:
                work.append(("uplink cut", self._cut(self._proxy, fault, at_s)))
        return work

    async def _power_scales(self, stack: AsyncExitStack) -> dict[str, str]:
        wiring = self._scenario.scales
        if wiring is None:
            return {}
        for number, facing in enumerate(self._scenario.facings, 1):
            indicator = Indicator(self._world.plate(facing.id), max_g=wiring.max_g)
            serial = f"B{self._seed % 10_000:04d}{number:05d}"
            scale = MtSicsScale(indicator, serial=serial, decimals=wiring.decimals, clock=time.monotonic)
            device = scale_id(facing.id)
            pty = wiring.link == "pty"
            self._links[device] = PtyLink(scale, self._folder / "tty" / device) if pty else TcpLink(scale)
        await stack.enter_async_context(plugged_in(*self._links.values()))
        return {device: link.address for device, link in self._links.items()}

    async def _power_camera(self, stack: AsyncExitStack) -> tuple[str, Line]:
        if self._clip is not None:
            return str(self._clip.path.resolve()), self._clip.line
        from device_sims.camera import DoorCamera

        place = self._scenario.camera
        self._camera = DoorCamera(self._seed, fps=place.fps if place is not None else 10.0)
        self._camera.on_crossing = self._crossed
        source = await stack.enter_async_context(self._camera.serving())
        return source, self._camera.line

    async def _lay_line(self, stack: AsyncExitStack, hq_url: str) -> str:
        parts = urlsplit(hq_url)
        if parts.scheme != "http" or not parts.hostname or not parts.port:
            raise ConfigError(
                f"HQ's address {hq_url!r} must be http://host:port", hint="as in http://127.0.0.1:8780"
            )
        self._proxy = UplinkProxy(parts.hostname, parts.port)
        await stack.enter_async_context(self._proxy.running())
        return f"http://127.0.0.1:{self._proxy.port}"

    def _opening(self, opened_at: datetime) -> Opened:
        stocked = [
            Stocked(facing=f.id, gtin=f.gtin, on_hand=self._world.on_hand(f.id))
            for f in self._scenario.facings
        ]
        return Opened(
            occurred_at=opened_at,
            store=self._scenario.store.id,
            seed=self._seed,
            seconds=self._scenario.seconds,
            door=self._camera is not None,
            facings=stocked,
        )

    async def _live(self, opened_s: float, opened_at: datetime) -> None:
        while (now_s := time.monotonic()) < opened_s + self._scenario.seconds:
            for moved in self._world.advance(now_s):
                self._tell(truth_of(moved, opened_s, opened_at))
            await asyncio.sleep(_STEP_S)

    async def _read_tags(self) -> None:
        if self._publisher is None or self._scenario.reader is None:
            return
        facings = [facing.id for facing in self._scenario.facings]
        reader = R700(self._world, facings, self._scenario.noise, seed=self._seed)
        self._publisher.publish([reader.running(time.time_ns())])
        while True:
            await asyncio.sleep(_LOOK_S)
            self._publisher.publish(reader.look(_LOOK_S, time.time_ns()))

    async def _walk(self, camera: DoorCamera, opened_s: float) -> None:
        for passage in self._plan.passages:
            await _until(opened_s + passage.at_s)
            camera.walk_through(passage.direction)

    def _crossed(self, direction: str) -> None:
        line = self._scenario.camera.line if self._scenario.camera is not None else "door"
        entered = direction == "entered"
        self._tell(
            Crossed(occurred_at=datetime.now(UTC), line=line, direction="entered" if entered else "exited")
        )

    async def _cut(self, proxy: UplinkProxy, fault: UplinkCut, at_s: float) -> None:
        await _until(at_s)
        await proxy.set_mode(fault.manner)
        self._tell(LineChanged(occurred_at=datetime.now(UTC), state="cut"))
        await _until(at_s + fault.for_s)
        await proxy.set_mode("open")
        self._tell(LineChanged(occurred_at=datetime.now(UTC), state="back"))

    async def _unplug(self, fault: Unplug, at_s: float) -> None:
        link = self._links[fault.device]
        await _until(at_s)
        await link.unplug()
        self._tell(CableChanged(occurred_at=datetime.now(UTC), device=fault.device, state="unplugged"))
        if fault.for_s is None:
            return
        await _until(at_s + fault.for_s)
        await link.replug()
        self._tell(CableChanged(occurred_at=datetime.now(UTC), device=fault.device, state="plugged"))


def truth_of(moved: Moved, opened_s: float, opened_at: datetime) -> ItemsMoved:
    """A move of the world as a line of the truth file: its clock was `opened_s` at `opened_at`."""

    def wall(at_s: float) -> datetime:
        return opened_at + timedelta(seconds=at_s - opened_s)

    return ItemsMoved(
        occurred_at=wall(moved.moved_s),
        facing=moved.facing,
        gtin=moved.gtin,
        cause=moved.cause,
        quantity=moved.quantity,
        on_hand=moved.on_hand,
        started_at=wall(moved.started_s),
        at_rest_at=wall(moved.at_rest_s),
    )


async def _until(at_s: float) -> None:
    await asyncio.sleep(max(0.0, at_s - time.monotonic()))
