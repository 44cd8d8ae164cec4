"""What a fault does to the devices of a running store, and what ends it."""

from __future__ import annotations

from typing import Final

from device_sims.devices import Cable, Devices
from device_sims.equipment import DoorCamera
from device_sims.fault import Fault
from device_sims.rig import Rigged

_OF_THE_BROKER: Final = ("broker-restart", "power-cut")
_OF_CABLES: Final = {"unplug", "power-cut", "same-serial", "broker-restart"}


def alike(one: Fault, other: Fault) -> bool:
    """Whether the end of one would mend what the other has broken as well."""
    return one.fault == other.fault or {one.fault, other.fault} <= _OF_CABLES


class Breakage:
    """Breaks and mends `devices`."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices

    async def begin(self, fault: Fault, devices: list[str]) -> None:
        """The fault befalls these devices or fridges now: such as it can, says the scenario."""
        for cable in self._cables_of(fault, devices):
            await cable.unplug()
        if fault.fault in _OF_THE_BROKER and self._devices.broker is not None:
            await self._devices.broker.kill()
        for name in self._befallen(fault, devices):
            await self._set(name, fault, begins=True)
        if fault.fault == "same-serial":  # the other scale is in its place at once
            for cable in self._cables_of(fault, devices):
                await cable.replug()

    async def end(self, fault: Fault, devices: list[str]) -> None:
        """It is over: everything as before."""
        broker = self._devices.broker
        if fault.fault in _OF_THE_BROKER and broker is not None and not broker.running:
            await broker.start()
        if fault.fault == "same-serial":
            for cable in self._cables_of(fault, devices):
                await cable.unplug()
        for name in self._befallen(fault, devices):
            await self._set(name, fault, begins=False)
        for cable in self._cables_of(fault, devices):
            await cable.replug()

    def _befallen(self, fault: Fault, devices: list[str]) -> list[str]:
        if fault.fault == "power-cut":
            served = [name for name, one in self._devices.rig.devices.items() if self._is_camera(one)]
            return [*self._devices.readers, *served]
        return devices

    @staticmethod
    def _is_camera(device: Rigged) -> bool:
        return isinstance(device.equipment, DoorCamera)

    def _cables_of(self, fault: Fault, devices: list[str]) -> list[Cable]:
        if fault.fault == "power-cut":
            return list(self._devices.cables.values())
        if fault.fault not in ("unplug", "same-serial"):
            return []
        plugs = dict.fromkeys(self._devices.rig.devices[name].plug for name in devices)
        return [self._devices.cables[plug] for plug in plugs if plug in self._devices.cables]

    async def _set(self, name: str, fault: Fault, *, begins: bool) -> None:
        if name in self._devices.world.fridges:
            self._devices.world.fridges[name].failed = begins
            return
        device = self._devices.rig.devices[name]
        match "cable" if fault.fault == "power-cut" else fault.kind.target:
            case "cable":
                await self._unserve(name, device, begins=begins)
            case "antenna" if name in self._devices.readers:
                await self._devices.readers[name].set_antenna_connected(int(fault.amount), not begins)
            case _:
                self._devices.rig.befall(name, fault, begins=begins)

    async def _unserve(self, name: str, device: Rigged, *, begins: bool) -> None:
        """Devices without a cable of their own: a server stops, a camera stands still."""
        reader, camera = self._devices.readers.get(name), self._devices.camera
        if reader is not None and begins != (name in self._devices.off):
            self._devices.off.symmetric_difference_update((name,))
            await (reader.stop() if begins else reader.start())
        elif camera is not None and self._is_camera(device):
            camera.paused = begins
