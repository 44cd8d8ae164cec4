"""The devices of a simulated store as its scenario file names them.

An `id` with `{facing}`, `{shelf}` or `{fridge}` in it stands for one device each; a device covers those of
its `facings` (names or patterns such as `A1-*`) that belong there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from device_sims.part import Part, Share
from edge_agent.contract.planogram import Facing

BACK_ROOM = "back room"
"""What an antenna hangs over that hears no facing; no facing can be called that."""
LinkName = Literal["pty", "tcp"]
Pattern = Annotated[str, Field(min_length=1)]

_PER = re.compile(r"\{(facing|shelf|fridge)\}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Equipment(Part):
    """One device, or one of each."""

    id: str

    def problem(self) -> str | None:
        """What is wrong with this single device; None for a sound one."""
        if _IDENTIFIER.fullmatch(self.id):
            return None
        return f"{self.id!r} is no identifier; use {{facing}}, {{shelf}} or {{fridge}}"

    def expanded(self, facings: Sequence[Facing], fridges: Sequence[str]) -> list[Self]:
        """The devices that this line stands for, each with a plain id and the names of what it covers."""
        del facings, fridges
        return [self]

    def unknown(self, facings: Sequence[Facing], fridges: Sequence[str]) -> list[str]:
        """Patterns of this line that mean nothing in this store."""
        del facings, fridges
        return []

    def _named(self, **names: str) -> str:
        return _PER.sub(lambda found: names[found[1]].lower(), self.id)


class OverFacings(Equipment):
    """A device that covers facings."""

    most_facings: ClassVar[int | None] = None
    """How many facings one such device can cover; None: any number."""

    facings: Annotated[list[Pattern], Field(min_length=1)] = ["*"]

    def expanded(self, facings: Sequence[Facing], fridges: Sequence[str]) -> list[Self]:
        """One for each facing or shelf that the id names, else one for all."""
        del fridges
        covered = [f for f in facings if _called(f.id, self.patterns)]
        if "{facing}" in self.id:
            return [self._over([f], facing=f.id, shelf=f.shelf or f.id) for f in covered]
        if "{shelf}" in self.id:
            shelves = dict.fromkeys(f.shelf or f.id for f in covered)
            return [self._over([f for f in covered if (f.shelf or f.id) == s], shelf=s) for s in shelves]
        return [self._over(covered)] if covered else []

    def unknown(self, facings: Sequence[Facing], fridges: Sequence[str]) -> list[str]:
        """Patterns that no facing is called by."""
        del fridges
        return [one for one in self.patterns if not any(fnmatchcase(f.id, one) for f in facings)]

    @property
    def patterns(self) -> list[str]:
        """What the file calls the facings."""
        return self.facings

    def problem(self) -> str | None:
        """Also when it covers more than it can."""
        if self.most_facings is not None and len(self.facings) > self.most_facings:
            return f"{self.id} covers {len(self.facings)} facings; such a device can {self.most_facings}"
        return super().problem()

    def _over(self, facings: Sequence[Facing], **names: str) -> Self:
        return self.model_copy(update={"id": self._named(**names), "facings": [f.id for f in facings]})


def _called(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


class Channelled(OverFacings):
    """A device with a plate for each of its facings, or with what `channels` say: "1", "2", … to facings.

    A facing that several channels name lies on all of those plates, side by side in their order.
    """

    channels: dict[str, list[Pattern]] = {}

    def problem(self) -> str | None:
        """Also when nothing lies on a plate."""
        bare = next((number for number, names in self.channels.items() if not names), None)
        return f"{self.id} has nothing on channel {bare}" if bare is not None else super().problem()

    @property
    def patterns(self) -> list[str]:
        """Those of all channels, where there are any."""
        return list(dict.fromkeys(name for names in self.channels.values() for name in names)) or self.facings

    def plates(self) -> list[list[str]]:
        """The facings on each of its plates, in order."""
        return [list(names) for names in self.channels.values()] or [[facing] for facing in self.facings]

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        if self.channels and "facings" in self.model_fields_set:
            raise ValueError("has both facings and channels; channels say what lies on each plate")
        if list(self.channels) != [str(number) for number in range(1, len(self.channels) + 1)]:
            raise ValueError(f'channels {", ".join(self.channels)} must be "1", "2", … in order')
        return self

    def _over(self, facings: Sequence[Facing], **names: str) -> Self:
        lying = {
            number: [f.id for f in facings if _called(f.id, patterns)]
            for number, patterns in self.channels.items()
        }
        return super()._over(facings, **names).model_copy(update={"channels": lying})


class Scale(OverFacings):
    """A scale with one plate; all its facings lie on it."""

    link: LinkName = "pty"
    max_g: Annotated[float, Field(gt=0)] = 15_000.0
    poll_hz: Annotated[float, Field(gt=0, le=50)] | None = None

    def plates(self) -> list[list[str]]:
        """The facings on each of its plates, in order."""
        return [list(self.facings)]


class MtSics(Scale):
    """A scale that speaks MT-SICS."""

    kind: Literal["mt-sics"]
    decimals: Annotated[int, Field(ge=0, le=2)] = 1


class Toledo(Scale):
    """A counter scale: Toledo 8217, or NCI SCP-01."""

    kind: Literal["toledo-8217"]
    dialect: Literal["8217", "nci"] = "8217"


class Ascii(Scale):
    """A scale that sends lines of text in its maker's format."""

    kind: Literal["ascii-scale"]
    maker: Literal["and", "st-gs", "sartorius", "sartorius-22", "adam", "ohaus", "sma", "hx711"] = "st-gs"


ModbusProfile = Literal["laumas", "baykon", "dini-argeo", "load-cell-16"]
_CHANNELS: dict[str, int] = {"dini-argeo": 4, "load-cell-16": 16}


class Modbus(Channelled, Scale):
    """A weighing module on Modbus; `line` names an RS-485 line that several share, numbered in order.

    `dini-argeo` and `load-cell-16` have channels, the others one plate.
    """

    kind: Literal["modbus-scale"]
    profile: ModbusProfile = "laumas"
    line: str | None = None

    def problem(self) -> str | None:
        """Also when it has fewer channels than plates."""
        most = _CHANNELS.get(self.profile)
        if most is None and self.channels:
            return f"{self.id} has channels; {self.profile} has one plate: use facings"
        if most is not None and len(self.plates()) > most:
            what = "channels" if self.channels else "facings"
            return f"{self.id} covers {len(self.plates())} {what}; {self.profile} has {most} channels"
        return super().problem()

    def plates(self) -> list[list[str]]:
        """Modules without channels have one."""
        return super().plates() if self.profile in _CHANNELS else [list(self.facings)]


class HomieShelf(Channelled):
    """A shelf on MQTT with several plates, as an unstaffed village shop has them."""

    kind: Literal["homie-shelf"]
    max_g: Annotated[float, Field(gt=0)] = 20_000.0
    every_s: Annotated[float, Field(gt=0)] = 1.0


class MqttPlate(OverFacings):
    """A plate that publishes its weight as JSON; those of a shelf share a hub and its last will."""

    kind: Literal["mqtt-plate"]
    max_g: Annotated[float, Field(gt=0)] = 20_000.0
    every_s: Annotated[float, Field(gt=0)] = 1.0

    def plates(self) -> list[list[str]]:
        """One plate with all its facings."""
        return [list(self.facings)]


class SerialReader(OverFacings):
    """An RFID reader on a serial line; antenna n hangs over the n-th facing."""

    link: LinkName = "pty"


class R2000(SerialReader):
    """A reader with the 0xA0 protocol."""

    most_facings: ClassVar[int | None] = 4
    kind: Literal["r2000"]


class UhfReader18(SerialReader):
    """A reader of the UHFReader18 family, or of the 288 family."""

    most_facings: ClassVar[int | None] = 1
    kind: Literal["uhfreader18"]
    model: Literal[18, 288] = 18


class M100(SerialReader):
    """A module with the 0xBB protocol."""

    most_facings: ClassVar[int | None] = 1
    kind: Literal["m100"]


class Llrp(OverFacings):
    """A reader that speaks LLRP over TCP."""

    kind: Literal["llrp"]


class MqttReader(OverFacings):
    """An RFID reader on MQTT; `topic` not given: `rfid/<id>/events`.

    `back_room`: it has one more antenna, and that one hears the back room.
    """

    topic: str | None = None
    back_room: bool = False

    def places(self) -> list[str]:
        """What its antennas hang over, in their order."""
        return [*self.facings, BACK_ROOM] if self.back_room else list(self.facings)


class ImpinjR700(MqttReader):
    """An Impinj R700."""

    kind: Literal["impinj-r700"]


class ZebraIotc(MqttReader):
    """A Zebra reader with the IoT Connector."""

    kind: Literal["zebra-iotc"]


class OverFridge(Equipment):
    """A sensor of a fridge."""

    fridge: str = "*"

    def expanded(self, facings: Sequence[Facing], fridges: Sequence[str]) -> list[Self]:
        """One for each fridge where the id says so, else the one fridge that it names."""
        del facings
        covered = [name for name in fridges if fnmatchcase(name, self.fridge)]
        if "{fridge}" not in self.id:
            covered = covered[:1]
        return [self.model_copy(update={"id": self._named(fridge=f), "fridge": f}) for f in covered]


class TasmotaProbe(OverFridge):
    """A temperature probe on MQTT."""

    kind: Literal["tasmota-probe"]
    every_s: Annotated[float, Field(gt=0)] = 2.0


class ZigbeeContact(OverFridge):
    """A door contact behind zigbee2mqtt."""

    kind: Literal["zigbee-contact"]


class Sht20(OverFridge):
    """A temperature and humidity transmitter on Modbus RTU."""

    kind: Literal["sht20"]
    link: LinkName = "pty"


class DoorCamera(Equipment):
    """The camera over the door."""

    kind: Literal["door-camera"]
    line: str = "door"
    fps: Annotated[float, Field(gt=0, le=30)] = 10.0


class ShelfCamera(OverFacings):
    """A camera before a rack: a drawn picture of its facings as they are filled, as MJPEG over HTTP.

    `every_s` is how often the agent is to judge it.
    """

    kind: Literal["shelf-camera"]
    fps: Annotated[float, Field(gt=0, le=10)] = 1.0
    every_s: Annotated[float, Field(ge=1)] = 10.0


class Till(Equipment):
    """A till on MQTT: a JSON message with the lines of each receipt of a shopper who pays.

    Several tills take the shoppers in turn. What no shopper takes (`move`, a scripted pick) is on no receipt.
    """

    kind: Literal["till"]
    missed: Share = 0.0
    """Share of a receipt's lines that are not scanned."""


class GoodsIn(Equipment):
    """A scanner at goods-in on MQTT: deliveries into the back room, and what staff put onto which facing."""

    kind: Literal["goods-in"]
    missed: Share = 0.0
    """Share of fillings that nobody scans."""


class SmartCamera(OverFacings):
    """A camera on MQTT that says itself how full the front of each of its places looks.

    Its errors last: they are drawn anew about every `errs_for_s`, and where a hand has been. `misses` and
    `false_gaps` are what a trial reached on 507 empty and 507 stocked places of real photos, single pictures
    beside a reference picture (recall 0.775 at 5 % false alarms); the rest is chosen.
    """

    kind: Literal["smart-camera"]
    every_s: Annotated[float, Field(gt=0)] = 5.0
    misses: Share = 0.225
    """Share of the time in which an empty place is taken for stocked."""
    false_gaps: Share = 0.05
    """Share of the time in which a stocked place is taken for empty."""
    errs_for_s: Annotated[float, Field(gt=0)] = 60.0
    occluded: Share = 0.05
    """Share of the time in which somebody stands before a place who does not reach into it: no verdict."""


AnyEquipment = Annotated[
    MtSics | Toledo | Ascii | Modbus | HomieShelf | MqttPlate | R2000 | UhfReader18 | M100 | Llrp
    | ImpinjR700 | ZebraIotc | TasmotaProbe | ZigbeeContact | Sht20 | DoorCamera | ShelfCamera | Till
    | GoodsIn | SmartCamera,
    Field(discriminator="kind"),
]  # fmt: skip
Weighing = MtSics | Toledo | Ascii | Modbus | HomieShelf | MqttPlate
TagReader = R2000 | UhfReader18 | M100 | Llrp | ImpinjR700 | ZebraIotc
