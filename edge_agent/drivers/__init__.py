"""The driver contract and the one table of drivers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from edge_agent.config.cameras import Camera
from edge_agent.config.devices import (
    M100,
    R2000,
    Device,
    ImpinjR700,
    Llrp,
    ModbusScale,
    MqttDevice,
    MtSics,
    Toledo8217,
    UhfReader18,
    ZebraIotc,
)
from edge_agent.config.mappings import MqttJson
from edge_agent.config.text_devices import AsciiScale
from edge_agent.contract.errors import AssetsMissing, ConfigError
from edge_agent.drivers.event_numbers import TopicNumbers
from edge_agent.drivers.tap import Taps
from edge_agent.readings import Emit

if TYPE_CHECKING:
    from edge_agent.drivers.modbus_line import ModbusPort
    from edge_agent.drivers.mqtt import MqttSession


class Driver(Protocol):
    """One configured device on its real protocol.

    `run` lasts until it is cancelled. It raises `DeviceError` when the device is lost; the supervisor
    backs off and calls `run` again on a new object. It owns its resources and leaves none behind.
    A driver says `DeviceAnswered` as soon as the device has proved to be there.
    """

    async def run(self, emit: Emit) -> None:
        """Read the device and `await emit(readings)`; emit returns when they are durable."""
        ...


@runtime_checkable
class Framed(Protocol):
    """A driver that counts the bytes that were no part of a good frame."""

    @property
    def skipped_bytes(self) -> int:
        """So many since this driver was made."""
        ...


@dataclass(frozen=True, slots=True)
class Resources:
    """What drivers share. `mqtt` is None in a store without a broker."""

    mqtt: MqttSession | None = None
    taps: Taps = field(default_factory=Taps)
    modbus_ports: dict[str, ModbusPort] = field(default_factory=dict)
    event_numbers: dict[str, TopicNumbers] = field(default_factory=dict)

    def broker_of(self, device: Device) -> MqttSession:
        """The broker's session; ConfigError in a store without one."""
        if self.mqtt is None:
            raise ConfigError(
                f"device {device.id} needs the mqtt section", hint="add mqtt.url to the store file"
            )
        return self.mqtt

    def modbus_port(self, settings: ModbusScale) -> ModbusPort:
        """What all devices on one Modbus line share."""
        from edge_agent.drivers.modbus_line import ModbusPort

        return self.modbus_ports.setdefault(settings.port, ModbusPort())

    def numbers_of(self, device: Device) -> TopicNumbers:
        """The event numbers of one device; they outlive its driver, for what an outage has cost."""
        return self.event_numbers.setdefault(device.id, TopicNumbers())


def _modbus_scale(settings: ModbusScale, resources: Resources) -> Driver:
    from edge_agent.drivers.modbus_scale import ModbusScaleDriver

    return ModbusScaleDriver(settings, resources.modbus_port(settings), resources.taps.of(settings.id))


def _mt_sics(settings: MtSics, resources: Resources) -> Driver:
    from edge_agent.drivers.mt_sics import MtSicsDriver

    return MtSicsDriver(settings, resources.taps.of(settings.id))


def _toledo_8217(settings: Toledo8217, resources: Resources) -> Driver:
    from edge_agent.drivers.toledo_8217 import Toledo8217Driver

    return Toledo8217Driver(settings, resources.taps.of(settings.id))


def _ascii_scale(settings: AsciiScale, resources: Resources) -> Driver:
    from edge_agent.drivers.ascii_scale import AsciiScaleDriver

    return AsciiScaleDriver(settings, resources.taps.of(settings.id))


def _impinj_r700(settings: ImpinjR700, resources: Resources) -> Driver:
    from edge_agent.drivers.impinj_r700 import ImpinjR700Driver

    return ImpinjR700Driver(settings, resources.broker_of(settings))


def _zebra_iotc(settings: ZebraIotc, resources: Resources) -> Driver:
    from edge_agent.drivers.zebra_iotc import ZebraIotcDriver

    return ZebraIotcDriver(settings, resources.broker_of(settings), resources.numbers_of(settings))


def _llrp(settings: Llrp, resources: Resources) -> Driver:
    try:
        from edge_agent.drivers.llrp import LlrpDriver
    except ModuleNotFoundError as error:
        raise AssetsMissing(
            f"{settings.id} needs {error.name}", hint="pip install 'shelf-edge[llrp]'"
        ) from error
    return LlrpDriver(settings, resources.taps.of(settings.id))


def _r2000(settings: R2000, resources: Resources) -> Driver:
    from edge_agent.drivers.r2000 import r2000_driver

    return r2000_driver(settings, resources.taps.of(settings.id))


def _uhfreader18(settings: UhfReader18, resources: Resources) -> Driver:
    from edge_agent.drivers.uhfreader18 import uhfreader18_driver

    return uhfreader18_driver(settings, resources.taps.of(settings.id))


def _m100(settings: M100, resources: Resources) -> Driver:
    from edge_agent.drivers.m100 import m100_driver

    return m100_driver(settings, resources.taps.of(settings.id))


def _mqtt_json(settings: MqttJson, resources: Resources) -> Driver:
    from edge_agent.drivers.mqtt_json import mqtt_json_driver

    return mqtt_json_driver(settings, resources.broker_of(settings))


def _camera(settings: Camera, _resources: Resources) -> Driver:
    from edge_agent.drivers.camera import CameraDriver

    return CameraDriver(settings)


# Any, because each builder takes the settings of its own driver: `driver:` decides, as in the configuration.
DRIVERS: dict[str, Callable[[Any, Resources], Driver]] = {
    "mt-sics": _mt_sics,
    "modbus-scale": _modbus_scale,
    "toledo-8217": _toledo_8217,
    "ascii-scale": _ascii_scale,
    "impinj-r700": _impinj_r700,
    "zebra-iotc": _zebra_iotc,
    "llrp": _llrp,
    "r2000": _r2000,
    "uhfreader18": _uhfreader18,
    "m100": _m100,
    "mqtt-json": _mqtt_json,
    "camera": _camera,
}
"""`driver:` in the configuration -> what builds it. Each imports its libraries only when it is used."""


def make_driver(settings: Device, resources: Resources) -> Driver:
    """A new driver for one life of a device; touches nothing yet."""
    name: str = getattr(settings, "driver", "")
    build = DRIVERS.get(name)
    if build is None:
        raise ConfigError(f"there is no driver {name!r}", hint=f"known: {', '.join(DRIVERS)}")
    return build(settings, resources)


def mqtt_topics(devices: Sequence[Device]) -> dict[str, str]:
    """Device id -> topic of every device that listens to the broker (what `MqttSession` wants)."""
    return {device.id: device.topic_filter for device in devices if isinstance(device, MqttDevice)}


def mqtt_states(devices: Sequence[Device]) -> dict[str, str]:
    """Device id -> topic on which it says whether it is there."""
    mqtt = (device for device in devices if isinstance(device, MqttDevice))
    return {device.id: device.state_filter for device in mqtt if device.state_filter is not None}
