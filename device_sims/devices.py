"""The devices of a simulated store in real time: the rig on real wires, sockets and a real broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from device_sims.broker import Broker, running_broker
from device_sims.equipment import Llrp, ShelfCamera
from device_sims.links import PtyLink, TcpLink, plugged_in
from device_sims.mqtt_link import MqttLink
from device_sims.rig import Rig
from device_sims.scenario import Scenario
from device_sims.world import World

if TYPE_CHECKING:
    from device_sims.camera import DoorCamera as Camera
    from device_sims.llrp import LlrpReader
    from device_sims.shelf_scene import Corner

_SPEAK_S = 0.02
_LLRP_LOOKS_S = 0.5

Cable = PtyLink | TcpLink | MqttLink


@dataclass(slots=True)
class Devices:
    """All devices with power: `cables` by plug, `readers` that bring their own server by device."""

    rig: Rig
    world: World
    cables: dict[str, Cable] = field(default_factory=dict)
    readers: dict[str, LlrpReader] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    """Shelf cameras and where their pictures are."""
    slots: dict[str, dict[str, list[Corner]]] = field(default_factory=dict)
    """Shelf camera to facing to the corners of its place in the picture."""
    camera: Camera | None = None
    broker: Broker | None = None
    off: set[str] = field(default_factory=set)
    """Readers without power: their server is told to stop and to start once each."""

    def addresses(self) -> dict[str, str]:
        """Device to what the agent writes as its port or address."""
        found = {name: f"127.0.0.1:{reader.port}" for name, reader in self.readers.items()}
        found |= self.pictures
        for name, device in self.rig.devices.items():
            cable, line = self.cables.get(device.plug), self.rig.lines.get(device.plug)
            if line is not None and isinstance(cable, PtyLink | TcpLink):
                modbus = line.kind == "modbus-tcp"
                found[name] = cable.address.replace("socket://", "tcp://") if modbus else cable.address
        return found

    def units(self) -> dict[str, int]:
        """Device to its number on a line that it shares."""
        return {name: device.unit_id for name, device in self.rig.devices.items()}


@asynccontextmanager
async def powered(
    scenario: Scenario, world: World, *, seed: int, folder: Path, ports: dict[str, int] | None = None
) -> AsyncIterator[Devices]:
    """Every device of the scenario with power, on ptys in `folder/tty`, sockets and a broker of their own."""
    rig = Rig(scenario, world, seed=seed, clock=time.monotonic)
    devices = Devices(rig, world)
    async with AsyncExitStack() as stack:
        wired: dict[str, PtyLink | TcpLink] = {}
        for plug, line in rig.lines.items():
            if line.kind == "pty":
                wired[plug] = PtyLink(line.dialogue, folder / "tty" / plug)
            else:
                wired[plug] = TcpLink(line.dialogue, port=(ports or {}).get(plug, 0))
        await stack.enter_async_context(plugged_in(*wired.values()))
        devices.cables |= wired
        if rig.hubs:
            await stack.enter_async_context(_on_a_broker(devices, scenario, folder))
        await _served(devices, scenario, stack, seed)
        async with asyncio.TaskGroup() as group:
            speaking = group.create_task(_speak(devices), name="devices speak")
            try:
                yield devices
            finally:
                speaking.cancel()


@asynccontextmanager
async def _on_a_broker(devices: Devices, scenario: Scenario, folder: Path) -> AsyncIterator[None]:
    async with running_broker(folder / "broker", name=scenario.broker) as broker:
        devices.broker = broker
        links = {
            plug: MqttLink(
                broker.port_311, client_id=plug, user=broker.reader, birth=hub.birth, will=hub.will
            )
            for plug, hub in devices.rig.hubs.items()
        }
        for link in links.values():
            await link.replug()
        devices.cables |= links
        try:
            yield
        finally:
            for link in links.values():
                await link.close()


async def _served(devices: Devices, scenario: Scenario, stack: AsyncExitStack, seed: int) -> None:
    for equipment in scenario.equipment:
        if isinstance(equipment, Llrp):
            from device_sims.llrp import LlrpReader, tags_in_view

            tags = tags_in_view(devices.world, equipment.facings)
            reader = LlrpReader(tags, antennas=len(equipment.facings), seed=seed)
            await reader.start()
            stack.push_async_callback(reader.stop)
            devices.readers[equipment.id] = reader
        elif isinstance(equipment, ShelfCamera):
            source = await _shelf_camera(equipment, devices, scenario, stack, seed)
            devices.pictures[equipment.id] = source


async def _shelf_camera(
    equipment: ShelfCamera, devices: Devices, scenario: Scenario, stack: AsyncExitStack, seed: int
) -> str:
    from device_sims.shelf_camera import ShelfCamera as Camera
    from device_sims.spots import spots_of

    facings = [facing for facing in scenario.facings if facing.id in equipment.facings]
    world = devices.world
    camera = Camera(
        seed, spots_of(facings), lambda: {f.id: world.on_hand(f.id) for f in facings}, fps=equipment.fps
    )
    devices.slots[equipment.id] = {facing.id: camera.polygon(facing.id) for facing in facings}
    return await stack.enter_async_context(camera.serving())


async def _speak(devices: Devices) -> None:
    """Everything that devices publish by themselves, until cancelled."""
    looked_s = 0.0
    while True:
        now_s = time.monotonic()
        for plug, said in devices.rig.speak(now_s, time.time_ns()):
            link = devices.cables[plug]
            if isinstance(link, MqttLink):
                link.publish(said)
        if devices.readers and now_s - looked_s > _LLRP_LOOKS_S:
            looked_s = now_s
            from device_sims.llrp import tags_in_view

            for name, reader in devices.readers.items():
                equipment = devices.rig.devices[name].equipment
                if isinstance(equipment, Llrp):
                    reader.tags[:] = tags_in_view(devices.world, equipment.facings)
        await asyncio.sleep(_SPEAK_S)
