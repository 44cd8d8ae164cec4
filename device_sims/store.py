"""A simulated store in real time: its world on real wires, its people, its faults, its truth."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from device_sims.breakage import Breakage, alike
from device_sims.devices import Devices, powered
from device_sims.fault import END_BY_THEMSELVES, Fault
from device_sims.mqtt_link import MqttLink
from device_sims.plan import Act, ActKind, plan_visit
from device_sims.proxy import UplinkProxy
from device_sims.scenario import Scenario
from device_sims.store_file import Line, Places
from device_sims.truth import (
    AnyRecord,
    Closed,
    Crossed,
    FaultChanged,
    LineChanged,
    Opened,
    Stocked,
    truth_of,
)
from device_sims.world import World
from edge_agent.contract.errors import ConfigError

_STEP_S = 0.02
_RESTART_S = 2.0
_BY_HAND = 1_000_000
"""The number of the person who moves what `device-sims move` says."""


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
        ports: dict[str, int] | None = None,
        tell: Callable[[AnyRecord], None],
    ) -> None:
        self.scenario, self._seed, self._folder = scenario, seed, folder
        self._hq_url, self._clip, self._ports, self._tell = hq_url, clip, ports, tell
        self._plan = plan_visit(scenario, seconds=scenario.seconds, seed=seed)
        self._world = World(scenario, self._plan, seed=seed)
        self._devices: Devices | None = None
        self._proxy: UplinkProxy | None = None
        self._group: asyncio.TaskGroup | None = None
        self._now: dict[int, tuple[Fault, list[str], asyncio.Task[None]]] = {}
        self._numbers = itertools.count(1)
        self._open = False
        self._breaking = asyncio.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Places]:
        """All devices have power and can be reached at the yielded places."""
        async with AsyncExitStack() as stack:
            devices = await stack.enter_async_context(
                powered(self.scenario, self._world, seed=self._seed, folder=self._folder, ports=self._ports)
            )
            self._devices = devices
            source, line = await self._power_camera(stack, devices)
            uplink = await self._lay_line(stack, self._hq_url) if self._hq_url is not None else None
            async with asyncio.TaskGroup() as self._group:
                try:
                    yield Places(
                        devices.addresses(),
                        devices.units(),
                        devices.broker,
                        source,
                        line,
                        uplink,
                        slots=devices.slots,
                    )
                finally:
                    for _, _, ending in self._now.values():
                        ending.cancel()

    async def visit(self) -> None:
        """One whole plan in real time: opens, plays, closes. Call it once, inside `running()`."""
        opened_s, opened_at = time.monotonic(), datetime.now(UTC)
        self._tell(self._opening(opened_at))
        self._world.open(opened_s)
        self._open = True
        async with asyncio.TaskGroup() as group:
            for name, work in self._work(opened_s, opened_at):
                group.create_task(work, name=name)
        self._open = False
        self._tell(Closed(occurred_at=datetime.now(UTC)))

    def _work(self, opened_s: float, opened_at: datetime) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        work: list[tuple[str, Coroutine[Any, Any, None]]] = [("world", self._live(opened_s, opened_at))]
        if self._devices is not None and self._devices.camera is not None:
            work.append(("door", self._walk(opened_s)))
        has_line = self._proxy is not None
        faults = [fault for fault in self.scenario.faults if fault.fault != "uplink-cut" or has_line]
        return work + [(f"fault {fault.fault}", self._scripted(fault, opened_s)) for fault in faults]

    async def _scripted(self, fault: Fault, opened_s: float) -> None:
        await _until(opened_s + fault.begins_s(self.scenario.seconds))
        await self.begin(fault)

    # --- at any time ---------------------------------------------------------------------------

    async def begin(self, fault: Fault) -> int:
        """The fault is there from now on, for `for_s` or until `end`; returns its number.

        ConfigError where it cannot be.
        """
        problems = list(self.scenario.fault_problems(fault))
        if problems or self._devices is None or self._group is None:
            raise ConfigError(problems[0] if problems else "the store has no power yet")
        if fault.fault == "uplink-cut" and self._proxy is None:
            raise ConfigError("this store has no line to HQ", hint="start it with --hq")
        names = self.scenario.befallen(fault)
        async with self._breaking:
            await Breakage(self._devices).begin(fault, names)
        await self._tell_fault(fault, names, begins=True)
        for_s = fault.for_s or (_RESTART_S if fault.fault in END_BY_THEMSELVES else None)
        number = next(self._numbers)
        ending = self._group.create_task(self._end_later(number, for_s), name=f"end of {fault.fault}")
        self._now[number] = (fault, names, ending)
        return number

    async def end(self, number: int | None = None) -> int:
        """The fault of that number is over, or all are; returns how many that were."""
        if number is not None and number not in self._now:
            known = ", ".join(map(str, self._now)) or "none"
            raise ConfigError(f"there is no fault with number {number}", hint=f"there are: {known}")
        ended = [n for n in list(self._now) if number is None or n == number]
        for one in ended:
            await self._over(one)
        return len(ended)

    def move(self, facing: str, change: int) -> dict[str, Any]:
        """Somebody takes or puts so many items now; ConfigError when that cannot be.

        Returns what will lie there (`on_hand`), in how many `seconds`.
        """
        known = {f.id: f.capacity for f in self.scenario.facings}
        if facing not in known:
            raise ConfigError(f"facing {facing!r} is not in this store", hint=f"known: {', '.join(known)}")
        if not self._open:
            raise ConfigError(
                "the store is closed: nobody moves anything",
                hint="a held one opens at the first line on stdin",
            )
        there = self._world.on_hand(facing)
        if change == 0 or not 0 <= there + change <= known[facing]:
            room = known[facing] - there
            raise ConfigError(
                f"{there} items lie on {facing}: {change:+d} cannot be",
                hint=f"-{there} to -1, or 1 to {room}" if room > 0 else f"it is full; -{there} to -1",
            )
        kind: ActKind = "pick" if change < 0 else "restock"
        act = Act(0.5, facing, kind, abs(change), _BY_HAND)
        self._world.perform(act, time.monotonic())
        return {"on_hand": there + change, "seconds": round(act.end_s, 1)}

    def facts(self) -> dict[str, Any]:
        """What there is and what is wrong with it now, for people and programs."""
        return {
            "store": self.scenario.store.id,
            "devices": [one.id for one in self.scenario.equipment],
            "on_hand": {f.id: self._world.on_hand(f.id) for f in self.scenario.facings},
            "published": sum(
                cable.published for cable in self._devices.cables.values() if isinstance(cable, MqttLink)
            )
            if self._devices is not None
            else 0,
            "faults": [
                {"number": number, "fault": fault.fault, "devices": names}
                for number, (fault, names, _) in self._now.items()
            ],
        }

    async def _end_later(self, number: int, for_s: float | None) -> None:
        if for_s is None:
            return
        await asyncio.sleep(for_s)
        await self._over(number)

    async def _over(self, number: int) -> None:
        if number not in self._now:
            return  # it ended by itself while others were ended
        fault, names, ending = self._now.pop(number)
        if ending is not asyncio.current_task():
            ending.cancel()
        if self._devices is not None:
            async with self._breaking:
                await Breakage(self._devices).end(fault, names)
                # What else is wrong with the same things stays wrong.
                for other, others, _ in list(self._now.values()):
                    if alike(other, fault):
                        await Breakage(self._devices).begin(other, others)
        await self._tell_fault(fault, names, begins=False)

    async def _tell_fault(self, fault: Fault, names: list[str], *, begins: bool) -> None:
        now = datetime.now(UTC)
        if fault.fault == "uplink-cut" and self._proxy is not None:
            await self._proxy.set_mode(fault.manner if begins else "open")
            self._tell(LineChanged(occurred_at=now, state="cut" if begins else "back"))
            return
        self._tell(
            FaultChanged(
                occurred_at=now, fault=fault.fault, devices=names, state="began" if begins else "ended"
            )
        )

    # --- building ------------------------------------------------------------------------------

    async def _power_camera(self, stack: AsyncExitStack, devices: Devices) -> tuple[str | None, Line | None]:
        if self._clip is not None:
            return str(self._clip.path.resolve()), self._clip.line
        door = self.scenario.door
        if door is None:
            return None, None
        from device_sims.camera import DoorCamera

        devices.camera = camera = DoorCamera(self._seed, fps=door.fps)
        camera.on_crossing = self._crossed
        source = await stack.enter_async_context(camera.serving())
        return source, camera.line

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
            for f in self.scenario.facings
        ]
        return Opened(
            occurred_at=opened_at,
            store=self.scenario.store.id,
            seed=self._seed,
            seconds=self.scenario.seconds,
            door=self._devices is not None and self._devices.camera is not None,
            facings=stocked,
        )

    async def _live(self, opened_s: float, opened_at: datetime) -> None:
        while (now_s := time.monotonic()) < opened_s + self.scenario.seconds:
            for occurred in self._world.advance(now_s):
                self._tell(truth_of(occurred, opened_s, opened_at))
            await asyncio.sleep(_STEP_S)

    async def _walk(self, opened_s: float) -> None:
        for passage in self._plan.passages:
            await _until(opened_s + passage.at_s)
            if self._devices is not None and self._devices.camera is not None:
                self._devices.camera.walk_through(passage.direction)

    def _crossed(self, direction: str) -> None:
        door = self.scenario.door
        entered = direction == "entered"
        self._tell(
            Crossed(
                occurred_at=datetime.now(UTC),
                line=door.line if door is not None else "door",
                direction="entered" if entered else "exited",
            )
        )


async def _until(at_s: float) -> None:
    await asyncio.sleep(max(0.0, at_s - time.monotonic()))
