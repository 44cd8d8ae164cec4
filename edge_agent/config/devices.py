"""What `store.yaml` says of every kind of device but the camera."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from edge_agent.config.modbus_profile import MassUnit, profile_problem, read_profile
from edge_agent.contract.planogram import Identifier
from edge_agent.service.settings import Settings

_NUMBER = re.compile(r"0|[1-9][0-9]{0,3}")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:]+):[0-9]{1,5}")


class Device(Settings):
    """What every device has. `expect_every_s` says when silence means trouble."""

    silence_s: ClassVar[float | None] = None
    """Silence that means trouble when `expect_every_s` is not given; None: the connection alone decides."""

    id: Identifier
    expect_every_s: Annotated[float, Field(gt=0)] | None = None


class Scale(Device):
    """A scale: one plate with `facings`, or several plates with `channels`."""

    has_channels: ClassVar[bool] = True
    """Whether the device names the plate that a weight is from; without it `channels` would never get one."""

    facings: list[Identifier] = []
    channels: dict[str, list[Identifier]] = {}

    def plates(self) -> dict[int | None, list[str]]:
        """Channel number (None for a one-plate scale) to the facings on that plate."""
        if self.channels:
            return {int(channel): list(facings) for channel, facings in self.channels.items()}
        return {None: list(self.facings)} if self.facings else {}

    @model_validator(mode="after")
    def _one_wiring(self) -> Self:
        if self.facings and self.channels:
            raise ValueError("has both facings and channels; use facings for one plate, channels for several")
        for channel in self.channels:
            if not _NUMBER.fullmatch(channel):
                raise ValueError(f"channel {channel!r} must be a number in quotes, without zeros before it")
        if self.channels and not self.has_channels:
            raise ValueError("has one plate and no channels; use facings")
        return self


class Reader(Device):
    """An RFID reader: antenna number to the facing it covers, and the antennas that hear the back room."""

    antennas: dict[str, Identifier] = {}
    back_room: list[Annotated[int, Field(ge=0, le=9999)]] = []

    def places(self) -> dict[int, str]:
        """Antenna number to facing."""
        return {int(antenna): facing for antenna, facing in self.antennas.items()}

    def numbers(self) -> list[int]:
        """All configured antennas, over facings or over the back room, in their order."""
        return sorted([*self.places(), *self.back_room])

    def coverage(self) -> dict[int | None, str]:
        """`places`, and where a read without an antenna (None) belongs: to the only facing, where one is."""
        places: dict[int | None, str] = dict(self.places().items())
        is_only = len(places) == 1 and not self.back_room
        return places | {None: next(iter(places.values()))} if is_only else places

    def behind(self) -> list[int | None]:
        """The antennas over the back room, and None for a read without one where there is no other."""
        antennas: list[int | None] = [*self.back_room]
        return [*antennas, None] if antennas and len(self.numbers()) == 1 else antennas

    @model_validator(mode="after")
    def _numbered(self) -> Self:
        for antenna in self.antennas:
            if not _NUMBER.fullmatch(antenna):
                raise ValueError(f"antenna {antenna!r} must be a number in quotes, without zeros before it")
        for number in self.back_room:
            if (over := self.antennas.get(str(number))) is not None:
                raise ValueError(f"antenna {number} is over {over!r} and in back_room; keep one of both")
            if self.back_room.count(number) > 1:
                raise ValueError(f"antenna {number} is twice in back_room")
        return self


Quantity = Literal["temperature_c", "humidity_pct", "door"]
UNITS: dict[Quantity, str] = {"temperature_c": "°C", "humidity_pct": "%", "door": "open"}
"""What a quantity is measured in; a door is 1 while it stands open, else 0."""


class Limits(Settings):
    """What a quantity should stay within; an alarm after `for_s` outside, cleared `hysteresis` inside."""

    min: float | None = None
    max: float | None = None
    for_s: Annotated[float, Field(ge=0)] = 600.0
    hysteresis: Annotated[float, Field(ge=0)] = 0.5

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("has neither min nor max")
        if self.min is not None and self.max is not None and self.min + 2 * self.hysteresis >= self.max:
            raise ValueError("min and max are closer than twice the hysteresis: no alarm could ever clear")
        return self


class Sensor(Device):
    """A device that may measure its surroundings; `limits` say when HQ is alarmed."""

    limits: dict[Quantity, Limits] = {}

    @model_validator(mode="after")
    def _doors_can_alarm(self) -> Self:
        door = self.limits.get("door")
        if door and (door.max is None or door.max >= 1) and (door.min is None or door.min <= 0):
            raise ValueError("limits of a door: 1 is open, 0 closed; max: 0 alarms when it is left open")
        return self


SerialFormat = Annotated[str, Field(pattern=r"^[78][NEO][12]$")]
"""Data bits, parity, stop bits: `8N1`, `7E1`, …"""


class SerialDevice(Device):
    """A device on a serial port (`/dev/serial/by-id/…`), or behind a port server (`socket://host:port`)."""

    silence_s: ClassVar[float | None] = 10.0
    shares_port: ClassVar[bool] = False
    """Whether several devices of this kind may hang on one port, each with an address of its own."""

    port: str
    baudrate: Annotated[int, Field(gt=0)] = 9600
    serial_format: SerialFormat = "8N1"


def _topic_filter(topic: str) -> str:
    levels = topic.split("/")
    if "#" in "".join(levels[:-1]) or any(len(level) > 1 and set(level) & set("+#") for level in levels):
        raise ValueError(f"found {topic!r}; + stands for a whole level and # for all the last ones")
    return topic


class MqttDevice(Device):
    """A device that publishes on the store's broker; `topic` may hold the wildcards + and #."""

    topic: Annotated[str, Field(min_length=1), AfterValidator(_topic_filter)]

    @property
    def topic_filter(self) -> str:
        """What to subscribe for readings."""
        return self.topic

    @property
    def state_filter(self) -> str | None:
        """What to subscribe for the device's own word on its presence, whose retained value counts."""
        return None


class MtSics(SerialDevice, Scale):
    """A Mettler-Toledo, Ohaus or Kern scale speaking MT-SICS.

    `stream`: the scale sends its weight by itself (SIR, about 15 times a second) instead of being asked.
    """

    has_channels: ClassVar[bool] = False

    driver: Literal["mt-sics"]
    poll_hz: Annotated[float, Field(gt=0, le=50)] = 10.0
    stream: bool = False


class Toledo8217(SerialDevice, Scale):
    """A counter or bin scale that speaks Toledo 8217, or NCI SCP-01 (`dialect: nci`).

    An 8217 does not name its unit: `auto` reads WW.WWW as kilograms and WW.WW as pounds. NCI names its own.
    """

    has_channels: ClassVar[bool] = False

    driver: Literal["toledo-8217"]
    serial_format: SerialFormat = "7E1"
    dialect: Literal["8217", "nci"] = "8217"
    unit: Literal["auto", "kg", "lb"] = "auto"
    poll_hz: Annotated[float, Field(gt=0, le=20)] = 5.0

    @field_validator("dialect", mode="before")
    @classmethod
    def _digits(cls, dialect: object) -> object:
        return str(dialect) if isinstance(dialect, int) else dialect  # YAML reads 8217 as a number


def _modbus_port(port: str) -> str:
    kind, _, place = port.partition("://")
    if not place:
        return port
    if kind not in ("tcp", "socket") or not _HOST_PORT.fullmatch(place):
        raise ValueError(f"found {port!r}; a path, tcp://host:502 (Modbus TCP) or socket://host:port (RTU)")
    return port


def _usable_profile(name: str, info: ValidationInfo) -> str:
    base = (info.context or {}).get("base")
    if name.endswith((".yaml", ".yml")) and base is not None:
        name = str(Path(base, name))
    problem = profile_problem(name)
    if problem is not None:
        raise ValueError(problem)
    return name


class ModbusScale(SerialDevice, Scale, Sensor):
    """A weighing module or sensor on Modbus RTU or TCP; `profile` is its register map.

    Many modules may hang on one `port`, each with its own `unit_id`; baudrate and format are then the same.
    `port` may also be `tcp://host:502` (Modbus TCP) and `socket://host:port` (RTU behind a port server).
    `response_timeout_s` is what the module may think, beside the time on the wire. `unit` and `decimals` win
    over what the profile says or reads. `poll_hz` not given: the profile's.
    """

    shares_port: ClassVar[bool] = True

    driver: Literal["modbus-scale"]
    port: Annotated[str, AfterValidator(_modbus_port)]
    unit_id: Annotated[int, Field(ge=1, le=247)] = 1
    profile: Annotated[str, AfterValidator(_usable_profile)] = "laumas"
    poll_hz: Annotated[float, Field(gt=0, le=50)] | None = None
    response_timeout_s: Annotated[float, Field(gt=0, le=1)] = 0.3
    unit: MassUnit | None = None
    decimals: Annotated[int, Field(ge=0, le=6)] | None = None

    @model_validator(mode="after")
    def _fits_its_profile(self) -> Self:
        channels = read_profile(self.profile).channels
        known = ", ".join(str(channel) for channel in sorted(c for c in channels if c is not None))
        if (self.facings or self.channels) and not channels:
            raise ValueError(f"profile {self.profile} has no plate: it measures the surroundings only")
        if self.facings and None not in channels:
            raise ValueError(f"profile {self.profile} has several plates; use channels: {known}")
        if self.channels and None in channels:
            raise ValueError(f"profile {self.profile} has one plate; use facings")
        for channel in self.channels:
            if int(channel) not in channels:
                raise ValueError(f"channel {channel!r} is not in profile {self.profile}; known: {known}")
        return self


class ImpinjR700(MqttDevice, Reader):
    """An Impinj R700 (IoT Device Interface) publishing tag events on `topic`.

    `will_message` and `connect_message` are the texts of its MQTT settings, where `topic` covers their topic.
    """

    driver: Literal["impinj-r700"]
    will_message: str | None = None
    connect_message: str | None = None


class ZebraIotc(MqttDevice, Reader):
    """A Zebra reader with the IoT Connector, publishing tag data events on `topic`."""

    driver: Literal["zebra-iotc"]


LLRP_PORT = 5084
"""Registered with IANA for LLRP without TLS."""


def _llrp_address(address: str) -> str:
    try:
        parts = urlsplit(f"//{address}")
        usable = bool(parts.hostname) and parts.port != 0 and not parts.path
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"found {address!r}; write host, or host:{LLRP_PORT}")
    return address


class Llrp(Reader):
    """A reader that speaks LLRP at `address` (host or host:port); needs the extra `[llrp]`.

    `session` is the Gen2 session, `tx_power_dbm` the highest power not above it that the reader knows.
    `report_every_tags` above 1 lets a busy reader merge its reads for up to a second.
    """

    silence_s: ClassVar[float | None] = 10.0

    driver: Literal["llrp"]
    address: Annotated[str, AfterValidator(_llrp_address)]
    session: Annotated[int, Field(ge=0, le=3)] = 1
    tx_power_dbm: Annotated[float, Field(ge=0, le=36)] | None = None
    report_every_tags: Annotated[int, Field(ge=1, le=1000)] = 1

    @property
    def url(self) -> str:
        """The address as a link opens it."""
        has_port = urlsplit(f"//{self.address}").port is not None
        return f"socket://{self.address}" if has_port else f"socket://{self.address}:{LLRP_PORT}"


class SerialReader(SerialDevice, Reader):
    """An RFID reader on a serial port; `poll_hz` inventories a second at most, all its antennas together."""

    baudrate: Annotated[int, Field(gt=0)] = 115200
    poll_hz: Annotated[float, Field(gt=0, le=50)] = 10.0

    @property
    def only_antenna(self) -> int | None:
        """The antenna of readers whose protocol names none: the one that is configured."""
        numbers = self.numbers()
        return numbers[0] if len(numbers) == 1 else None


class R2000(SerialReader):
    """A reader with the 0xA0 protocol of R2000 modules; the configured antennas are inventoried in turn.

    `high_antenna_in_rssi`: the firmware tells antennas 5 to 8 by the highest bit of RSSI. `power_dbm` is kept
    until the reader is switched off.
    """

    driver: Literal["r2000"]
    address: Annotated[int, Field(ge=0, le=255)] = 255
    high_antenna_in_rssi: bool = False
    power_dbm: Annotated[int, Field(ge=20, le=33)] | None = None

    @model_validator(mode="after")
    def _antennas_told_apart(self) -> Self:
        most = 8 if self.high_antenna_in_rssi else 4
        for antenna in self.numbers():
            if not 1 <= antenna <= most:
                raise ValueError(
                    f"antenna {antenna} must be from 1 to {most}"
                    + ("" if most == 8 else "; readers with more need high_antenna_in_rssi: true")
                )
        return self


class UhfReader18(SerialReader):
    """A reader of the UHFReader18 or UHFReader288 family; `model` says which, `auto` asks the reader.

    The power is kept in the reader's flash and written only when it differs.
    """

    driver: Literal["uhfreader18"]
    baudrate: Annotated[int, Field(gt=0)] = 57600
    address: Annotated[int, Field(ge=0, le=255)] = 255
    model: Literal["auto", 18, 288] = "auto"
    power_dbm: Annotated[int, Field(ge=1, le=33)] | None = None

    @model_validator(mode="after")
    def _antennas_it_may_have(self) -> Self:
        most = 1 if self.model == 18 else 8
        numbers = self.numbers()
        if len(numbers) > most or any(not 1 <= antenna <= 8 for antenna in numbers):
            raise ValueError(f"antennas must be 1 to 8, at most {most} of them")
        return self


class M100(SerialReader):
    """A module with the 0xBB protocol (M100, QM100, YRM100, R200); it has one antenna."""

    driver: Literal["m100"]
    power_dbm: Annotated[int, Field(ge=1, le=33)] | None = None

    @model_validator(mode="after")
    def _one_antenna(self) -> Self:
        if len(self.numbers()) > 1:
            raise ValueError('has more than one antenna; write antennas: {"1": FACING} or back_room: [1]')
        return self
