"""The agent's settings, whole (`store.yaml`)."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, model_validator

from edge_agent.config.camera_page import CameraPage
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
    Reader,
    Scale,
    SerialDevice,
    Toledo8217,
    UhfReader18,
    ZebraIotc,
)
from edge_agent.config.mappings import MqttJson
from edge_agent.config.text_devices import AsciiScale
from edge_agent.contract.gs1 import Gln
from edge_agent.contract.place import Latitude, Longitude
from edge_agent.contract.planogram import (
    Facing,
    Identifier,
    Planogram,
    Product,
    planogram_problems,
    plate_problems,
)
from edge_agent.service.settings import FilePath, Place, Settings, invalid, is_loopback

ENV_PREFIX = "EDGE_AGENT"


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"found {name!r}, which is not a time zone; use a name like Asia/Shanghai")
    return name


class Store(Settings):
    """Who this store is."""

    id: Identifier
    name: str = ""
    gln: Gln | None = None
    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    latitude: Latitude | None = None
    longitude: Longitude | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The store's own clock."""
        return ZoneInfo(self.timezone)


class Http(Settings):
    """The agent's own page and API."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8787
    token_file: FilePath | None = None
    allow_insecure: bool = False

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if not is_loopback(self.host) and not self.allow_insecure:
            raise ValueError(
                f"host {self.host!r} is beyond loopback and needs TLS and a token; "
                "use 127.0.0.1 behind a TLS proxy, or set allow_insecure: true"
            )
        return self


class Stock(Settings):
    """How counts come about (docs/stock.md)."""

    tag_power: Annotated[float, Field(gt=0, le=1)] = 1.0
    confidence_step: Annotated[float, Field(ge=0.01, le=1)] = 0.1


class Agent(Settings):
    """Where the agent keeps its journal and how it may be asked."""

    data_dir: FilePath = Path("./var")
    http: Http = Http()
    camera_page: CameraPage = CameraPage()
    disk_quota_mb: Annotated[int, Field(ge=16)] = 1024
    ballast_mb: Annotated[int, Field(ge=0, le=1024)] = 8
    retain_days: Annotated[float, Field(ge=0)] = 3.0
    commit_window_ms: Annotated[float, Field(ge=0, le=1000)] = 5.0
    stock: Stock = Stock()


class Mqtt(Settings):
    """The in-store broker."""

    url: str
    username: str | None = None
    password_file: FilePath | None = None
    ca_file: FilePath | None = None
    client_cert_file: FilePath | None = None
    client_key_file: FilePath | None = None
    allow_insecure: bool = False

    @model_validator(mode="after")
    def _reachable_safely(self) -> Self:
        if self.url == "embedded":
            return self
        parts = urlsplit(self.url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.port == 0:
            raise ValueError(f"url {self.url!r} must be mqtt://host:port, mqtts://host:port or embedded")
        guarded = parts.scheme == "mqtts" and (self.username or self.client_cert_file)
        if not is_loopback(parts.hostname) and not guarded and not self.allow_insecure:
            raise ValueError(
                f"url {self.url!r} is beyond loopback: use mqtts:// and a user, or allow_insecure: true"
            )
        return self


class Uplink(Settings):
    """HQ's address and this store's token."""

    url: str
    token_file: FilePath
    ca_file: FilePath | None = None
    allow_insecure: bool = False

    @model_validator(mode="after")
    def _reachable_safely(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError(f"url {self.url!r} must be https://host or, to loopback only, http://host:port")
        if parts.scheme == "http" and not is_loopback(parts.hostname) and not self.allow_insecure:
            raise ValueError(f"url {self.url!r} is plain http beyond loopback; use https://")
        return self


AnyDevice = Annotated[
    MtSics
    | Toledo8217
    | ModbusScale
    | AsciiScale
    | ImpinjR700
    | ZebraIotc
    | Llrp
    | R2000
    | UhfReader18
    | M100
    | MqttJson
    | Camera,
    Field(discriminator="driver"),
]

DEVICE_KINDS: dict[str, type[Device]] = {
    get_args(kind.model_fields["driver"].annotation)[0]: kind for kind in get_args(get_args(AnyDevice)[0])
}
"""`driver:` -> its settings."""


class StoreSettings(Settings):
    """The whole of `store.yaml`."""

    store: Store
    agent: Agent = Agent()
    mqtt: Mqtt | None = None
    uplink: Uplink | None = None
    products: list[Product] = []
    products_file: FilePath | None = None
    facings: list[Facing] = []
    devices: list[AnyDevice] = []

    @property
    def planogram(self) -> Planogram:
        """The file's planogram, revision 0."""
        return Planogram(products=self.products, facings=self.facings)

    @model_validator(mode="before")
    @classmethod
    def _read_products_file(cls, values: Any, info: ValidationInfo) -> Any:
        if not isinstance(values, dict) or not values.get("products_file"):
            return values
        if values.get("products"):
            raise ValueError("has both products and products_file; keep one")
        path = Path((info.context or {}).get("base", "."), str(values["products_file"]))
        try:
            products, problems = _product_rows(path)
        except OSError as error:
            raise invalid([(("products_file",), f"{path}: cannot be read: {error.strerror}")]) from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise invalid([(("products_file",), f"{path}: is not UTF-8 CSV: {error}")]) from error
        if problems:
            raise invalid([(("products_file",), problem) for problem in problems])
        return {**values, "products": products}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = self.problems()
        if problems:
            raise invalid(problems)
        return self

    def problems(self) -> list[tuple[Place, str]]:
        """What does not go together, as (place, sentence): products, facings, and devices that name them."""
        return planogram_problems(self.products, self.facings) + self._device_problems()

    def _device_problems(self) -> list[tuple[Place, str]]:
        known, seen, problems = {f.id for f in self.facings}, set[str](), []
        wired: dict[str, SerialDevice] = {}
        for index, device in enumerate(self.devices):
            here: Place = ("devices", index)
            if device.id in seen:
                problems.append(((*here, "id"), f"{device.id!r} is used twice; ids are unique"))
            seen.add(device.id)
            on_plates = _on_plates(device)
            for place, facing in on_plates + _in_view(device):
                if facing not in known:
                    problems.append(((*here, *place), f"facing {facing!r} is not in facings"))
            if isinstance(device, SerialDevice):
                first = wired.setdefault(_port_name(device.port), device)
                problems += [((*here, key), text) for key, text in _port_problems(first, device)]
            if isinstance(device, MqttDevice) and self.mqtt is None:
                problems.append(
                    ((*here, "driver"), f"{device.driver} needs the mqtt section, which is missing")
                )
        return problems + _plate_problems(self.facings, self.devices) + _shared_plates(self.devices)


def _product_rows(path: Path) -> tuple[list[Product], list[str]]:
    """The products of a CSV file, and what is wrong with its rows, each as `file:line column: what`."""
    products, problems = list[Product](), list[str]()
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, restkey="(too many)")
        for row in rows:
            try:
                products.append(Product.model_validate({k: v for k, v in row.items() if v}))
            except ValidationError as error:
                problems += [
                    f"{path}:{rows.line_num} {item['loc'][0]}: {item['msg'].removeprefix('Value error, ')}"
                    for item in error.errors()
                ]
    return products, problems


def _port_name(port: str) -> str:
    return port if "://" in port else os.path.normpath(port)


def _port_problems(first: SerialDevice, device: SerialDevice) -> list[tuple[str, str]]:
    """What is wrong with a device on the port of `first`; that one itself has no problem."""
    if device is first:
        return []
    if type(device) is not type(first) or not device.shares_port:
        return [("port", f"{device.port} is already the port of {first.id!r}; one device has it to itself")]
    return [
        (key, f"must be {getattr(first, key)} as for {first.id!r}, on the same line")
        for key in ("baudrate", "serial_format")
        if getattr(device, key) != getattr(first, key)
    ]


def _plate_problems(facings: Sequence[Facing], devices: Sequence[Device]) -> list[tuple[Place, str]]:
    """Facings that a plate names twice, and plates that a wide facing joins across shelves."""
    plates: dict[Place, list[str]] = {}
    problems: list[tuple[Place, str]] = []
    for index, device in enumerate(devices):
        for place, facing in _on_plates(device):
            there = plates.setdefault(("devices", index, *place[:-1]), [])
            if facing in there:
                text = f"facing {facing!r} is already on this plate of {device.id!r}"
                problems.append((("devices", index, *place), text))
            there.append(facing)
    places = list(plates)
    return problems + [(places[i], text) for i, text in plate_problems(facings, list(plates.values()))]


def _shared_plates(devices: Sequence[Device]) -> list[tuple[Place, str]]:
    """Modbus devices that are one and the same plate of one module: most likely a unit_id copied."""
    owners: dict[tuple[object, ...], str] = {}
    problems: list[tuple[Place, str]] = []
    for index, device in enumerate(devices):
        if not isinstance(device, ModbusScale):
            continue
        module = (_port_name(device.port), device.unit_id, device.profile)
        first = {owners.setdefault((*module, plate), device.id) for plate in device.plates()}
        for other in sorted(first - {device.id}):
            text = f"{device.unit_id} is already {other!r} on this port, with the same plate"
            problems.append((("devices", index, "unit_id"), text))
    return problems


def _on_plates(device: Device) -> list[tuple[Place, str]]:
    """The facings that lie on a device's plates, and where it says so."""
    if not isinstance(device, Scale):
        return []
    found: list[tuple[Place, str]] = [(("facings", i), f) for i, f in enumerate(device.facings)]
    return found + [(("channels", c, i), f) for c, fs in device.channels.items() for i, f in enumerate(fs)]


def _in_view(device: Device) -> list[tuple[Place, str]]:
    """The facings that a device hears or sees, and where it says so."""
    found: list[tuple[Place, str]] = []
    if isinstance(device, Reader):
        found += [(("antennas", antenna), facing) for antenna, facing in device.antennas.items()]
    if isinstance(device, MqttJson) and device.gap is not None:
        found += [(("gap", "facing_names", name), f) for name, f in device.gap.facing_names.items()]
    if isinstance(device, Camera) and device.shelf_gap is not None:
        found += [(("shelf_gap", "facings", facing), facing) for facing in device.shelf_gap.facings]
    return found
