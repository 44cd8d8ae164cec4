"""The driver contract and the one table of drivers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from edge_agent.config.cameras import Camera
from edge_agent.config.devices import Device, Llrp, ModbusScale, MqttDevice, ZebraIotc
from edge_agent.contract.errors import AssetsMissing, ConfigError
from edge_agent.drivers.event_numbers import TopicNumbers
from edge_agent.drivers.tap import Taps
from edge_agent.readings import Emit

if TYPE_CHECKING:
    from edge_agent.drivers.modbus_line import ModbusPort
    from edge_agent.drivers.mqtt import MqttSession
    from edge_agent.vision.shelf_watch import ShelfWatch
    from edge_agent.vision.view import CameraView, Views


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
    """What drivers share.

    `mqtt` is None in a store without a broker, `views` without a camera page, `data_dir` where nothing
    is kept.
    """

    mqtt: MqttSession | None = None
    taps: Taps = field(default_factory=Taps)
    modbus_ports: dict[str, ModbusPort] = field(default_factory=dict)
    event_numbers: dict[str, TopicNumbers] = field(default_factory=dict)
    views: Views | None = None
    data_dir: Path | None = None
    shelves: dict[str, ShelfWatch] = field(default_factory=dict)
    """By camera, from the first life of its driver."""

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

    def view_of(self, camera: Camera) -> CameraView | None:
        """Where a camera shows what it sees; None where nobody may look."""
        return self.views.of(camera.id) if self.views is not None else None

    def shelf_before(self, camera: Camera) -> ShelfWatch | None:
        """What is known of the shelf that a camera watches, if it does; it outlives its driver."""
        if camera.shelf_gap is None:
            return None
        from edge_agent.vision.shelf_watch import ShelfWatch

        folder = self.data_dir / "cameras" / camera.id if self.data_dir is not None else None
        if camera.id not in self.shelves:
            self.shelves[camera.id] = ShelfWatch(camera.id, camera.shelf_gap, folder, camera.masks)
        return self.shelves[camera.id]


# Any, because each builder takes the settings of its own driver: `driver:` decides, as in the configuration.
Builder = Callable[[Any, Resources], Driver]


def _made_by(module: str, name: str, *shared: object) -> Driver:
    """`name` of a module here, which is imported only now."""
    driver: Driver = getattr(import_module(f"edge_agent.drivers.{module}"), name)(*shared)
    return driver


def _on_a_link(module: str, name: str) -> Builder:
    """A driver that opens its own link."""
    return lambda settings, resources: _made_by(module, name, settings, resources.taps.of(settings.id))


def _on_the_broker(module: str, name: str) -> Builder:
    """A driver that listens to the store's broker."""
    return lambda settings, resources: _made_by(module, name, settings, resources.broker_of(settings))


def _modbus_scale(settings: ModbusScale, resources: Resources) -> Driver:
    port, tap = resources.modbus_port(settings), resources.taps.of(settings.id)
    return _made_by("modbus_scale", "ModbusScaleDriver", settings, port, tap)


def _zebra_iotc(settings: ZebraIotc, resources: Resources) -> Driver:
    session, numbers = resources.broker_of(settings), resources.numbers_of(settings)
    return _made_by("zebra_iotc", "ZebraIotcDriver", settings, session, numbers)


def _llrp(settings: Llrp, resources: Resources) -> Driver:
    try:
        return _made_by("llrp", "LlrpDriver", settings, resources.taps.of(settings.id))
    except ModuleNotFoundError as error:
        raise AssetsMissing(
            f"{settings.id} needs {error.name}", hint="pip install 'shelf-edge[llrp]'"
        ) from error


def _camera(settings: Camera, resources: Resources) -> Driver:
    shelf, view = resources.shelf_before(settings), resources.view_of(settings)
    return _made_by("camera", "CameraDriver", settings, shelf, view)


DRIVERS: dict[str, Builder] = {
    "mt-sics": _on_a_link("mt_sics", "MtSicsDriver"),
    "toledo-8217": _on_a_link("toledo_8217", "Toledo8217Driver"),
    "ascii-scale": _on_a_link("ascii_scale", "AsciiScaleDriver"),
    "modbus-scale": _modbus_scale,
    "r2000": _on_a_link("r2000", "r2000_driver"),
    "uhfreader18": _on_a_link("uhfreader18", "uhfreader18_driver"),
    "m100": _on_a_link("m100", "m100_driver"),
    "llrp": _llrp,
    "impinj-r700": _on_the_broker("impinj_r700", "ImpinjR700Driver"),
    "zebra-iotc": _zebra_iotc,
    "mqtt-json": _on_the_broker("mqtt_json", "mqtt_json_driver"),
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
