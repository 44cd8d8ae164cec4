"""All devices of a scenario around one world: their dialogues and what they publish, without any I/O.

`clock` returns the world's seconds; real time and a virtual clock drive the same rig.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal

from device_sims import indicator, m100, modbus_scale, r2000, uhfreader18
from device_sims.ascii_scale import AsciiScale
from device_sims.climate import Fridge
from device_sims.desk_speakers import GoodsInSpeaker, SmartCameraSpeaker, TillSpeaker, Turn
from device_sims.equipment import (
    M100,
    R2000,
    Ascii,
    DoorCamera,
    Equipment,
    GoodsIn,
    HomieShelf,
    ImpinjR700,
    Llrp,
    Modbus,
    MqttPlate,
    MqttReader,
    MtSics,
    ShelfCamera,
    Sht20,
    SmartCamera,
    TagReader,
    TasmotaProbe,
    Till,
    Toledo,
    UhfReader18,
    Weighing,
    ZebraIotc,
    ZigbeeContact,
)
from device_sims.fault import Fault
from device_sims.goods_in import GoodsIn as GoodsInDesk
from device_sims.impinj import R700
from device_sims.indicator import Indicator
from device_sims.links import Dialogue
from device_sims.modbus_scale import ModbusModules, Station
from device_sims.mqtt_json import HomieShelf as Shelf
from device_sims.mqtt_json import HubPlate
from device_sims.mqtt_json import TasmotaProbe as Probe
from device_sims.mqtt_json import ZigbeeContact as Contact
from device_sims.mqtt_link import Publication
from device_sims.mt_sics import MtSicsScale
from device_sims.outlet import Outlet
from device_sims.parity import EvenParity
from device_sims.radio import Radio
from device_sims.reader_field import Field, ReaderFaults, TagInView
from device_sims.scenario import Scenario
from device_sims.shelf_layout import lay_out
from device_sims.sight import Eye, Sight
from device_sims.smart_camera import SmartCamera as Watcher
from device_sims.speakers import (
    ContactSpeaker,
    PlateSpeaker,
    ProbeSpeaker,
    ReaderSpeaker,
    ShelfSpeaker,
    Speaker,
)
from device_sims.spots import spots_of
from device_sims.till import Till as TillDesk
from device_sims.toledo_8217 import NciScale, Toledo8217Scale
from device_sims.wire import SharedLine, Wire
from device_sims.world import World
from device_sims.zebra import IotcReader

LinkKind = Literal["pty", "tcp", "modbus-tcp"]
_OF_SCALES: Final[dict[str, indicator.Fault]] = {"stuck": "stuck", "over": "over", "under": "under"}


@dataclass(slots=True)
class Rigged:
    """One device taken apart: all that a fault can get hold of. `plug` is the line or hub it hangs on."""

    equipment: Equipment
    plug: str
    indicators: Sequence[Indicator] = ()
    radio: Radio | None = None
    antennas: ReaderFaults | None = None
    wire: Wire | None = None
    outlet: Outlet | None = None
    scale: MtSicsScale | None = None
    unit_id: int = 1
    clock_off_ns: int = 0


@dataclass(slots=True)
class Line:
    """A serial line or socket with the devices on it."""

    kind: LinkKind
    wires: list[Wire] = field(default_factory=list)

    @property
    def dialogue(self) -> Dialogue:
        """What sits at the end of the line."""
        return self.wires[0] if len(self.wires) == 1 else SharedLine(self.wires)


@dataclass(slots=True)
class Hub:
    """A connection to the broker, and what is said when it comes and goes."""

    birth: list[Publication] = field(default_factory=list)
    will: Publication | None = None


class Rig:
    """`devices` by id, `lines` and `hubs` by plug."""

    def __init__(self, scenario: Scenario, world: World, *, seed: int, clock: Callable[[], float]) -> None:
        self.devices: dict[str, Rigged] = {}
        self.lines: dict[str, Line] = {}
        self.hubs: dict[str, Hub] = {}
        self._scenario, self._world, self._seed, self._clock = scenario, world, seed, clock
        self._speakers: list[tuple[float, int, float, Rigged, Speaker]] = []
        self._shelf_of = {f.id: f.shelf or f.id for f in scenario.facings}
        self._phases = Random(f"{seed}/phases")
        for number, equipment in enumerate(scenario.equipment, 1):
            self._rig(equipment, number)

    def speak(self, now_s: float, at_ns: int) -> Iterator[tuple[str, Publication]]:
        """(hub, message) of everything that devices publish by `now_s`, which is `at_ns` since 1970."""
        while self._speakers and self._speakers[0][0] <= now_s:
            due_s, number, before_s, device, speaker = heapq.heappop(self._speakers)
            said = speaker.speak(now_s, now_s - before_s, at_ns + device.clock_off_ns)
            if device.outlet is not None:
                said = device.outlet.passed(said, now_s)
            for publication in said:
                yield device.plug, publication
            # In its own rhythm, also when we were late: two thousand devices do not fall into step.
            again_s = due_s + speaker.every_s * (1 + (now_s - due_s) // speaker.every_s)
            heapq.heappush(self._speakers, (again_s, number, now_s, device, speaker))

    def befall(self, name: str, fault: Fault, *, begins: bool) -> None:
        """A fault of the device itself or of what it says begins or ends; its cable is not ours."""
        device = self.devices[name]
        match fault.kind.target:
            case "scale":
                for one in device.indicators:
                    one.fault = _OF_SCALES[fault.fault] if begins else None
            case "antenna":
                for known in (device.radio.off if device.radio else None,
                              device.antennas.missing_antennas if device.antennas else None):  # fmt: skip
                    if known is not None:
                        (known.add if begins else known.discard)(int(fault.amount))
            case "clock":
                device.clock_off_ns = round(fault.amount * 1e9) if begins else 0
            case "serial" if device.scale is not None:
                twin = next(one.scale for one in self.devices.values() if one.scale is not None)
                device.scale.worn_serial = twin.serial if begins else None
            case _ if (line := device.wire or device.outlet) is not None:
                if begins:
                    line.begin(fault.fault, fault.amount)
                else:
                    line.end(fault.fault)

    # --- building ------------------------------------------------------------------------------

    def _rig(self, equipment: Equipment, number: int) -> None:
        device = Rigged(equipment, plug=equipment.id)
        self.devices[equipment.id] = device
        if isinstance(equipment, Weighing):
            cells = self._world.plates_of(equipment.id)
            device.indicators = [Indicator(plate, max_g=equipment.max_g) for plate in cells]
        match equipment:
            case MtSics() | Toledo() | Ascii():
                self._wire(device, self._scale(device, equipment, number), equipment.link)
            case Modbus():
                self._modbus(device, equipment)
            case Sht20(link=link):
                station = Station(1, modbus_scale.sht20(self._fridge(equipment.fridge).climate), function=4)
                self._on_modbus(device, station, link)
            case R2000() | UhfReader18() | M100():
                self._serial_reader(device, equipment)
            case Llrp():
                self._radio(device, equipment)
            case DoorCamera() | ShelfCamera():
                pass  # they bring their own server
            case _:
                self._rig_on_mqtt(device, equipment)

    def _rig_on_mqtt(self, device: Rigged, equipment: Equipment) -> None:
        match equipment:
            case HomieShelf():
                channels = [str(channel) for channel in range(1, len(equipment.plates()) + 1)]
                shelf = Shelf(equipment.id, channels)
                self._publish(device, ShelfSpeaker(shelf, device.indicators, equipment.every_s))
            case MqttPlate():
                device.plug = hub_of(equipment, self._shelf_of)
                plate = HubPlate(equipment.id, device.plug)
                self._publish(device, PlateSpeaker(plate, device.indicators[0], equipment.every_s))
                self.hubs[device.plug] = Hub([plate.birth], plate.will)
            case ImpinjR700() | ZebraIotc():
                seed, radio = f"{self._seed}/{equipment.id}", self._radio(device, equipment)
                make = R700 if isinstance(equipment, ImpinjR700) else IotcReader
                self._publish(device, ReaderSpeaker(make(radio, seed=seed), topic_of(equipment)))
            case TasmotaProbe():
                fridge = self._fridge(equipment.fridge)
                self._publish(device, ProbeSpeaker(Probe(equipment.id), fridge, equipment.every_s))
            case ZigbeeContact():
                self._publish(device, ContactSpeaker(Contact(equipment.id), self._fridge(equipment.fridge)))
            case Till() | GoodsIn():
                self._publish(device, self._desk(equipment))
            case SmartCamera():
                self._publish(device, self._watcher(equipment))

    def _desk(self, equipment: Till | GoodsIn) -> Speaker:
        alike = [one.id for one in self._scenario.equipment if isinstance(one, type(equipment))]
        turn, seed = Turn(alike.index(equipment.id), len(alike)), f"{self._seed}/{equipment.id}"
        if isinstance(equipment, Till):
            till = TillDesk(equipment.id)
            return TillSpeaker(till, self._world, missed=equipment.missed, turn=turn, seed=seed)
        desk = GoodsInDesk(equipment.id)
        return GoodsInSpeaker(desk, self._world, missed=equipment.missed, turn=turn, seed=seed)

    def _watcher(self, equipment: SmartCamera) -> Speaker:
        eye = Eye(equipment.misses, equipment.false_gaps, equipment.occluded, equipment.errs_for_s)
        spots = spots_of([f for f in self._scenario.facings if f.id in equipment.facings])
        sights = {
            place.spot.facing: Sight(
                eye, front=place.front, seed=f"{self._seed}/{equipment.id}/{place.spot.facing}"
            )
            for place in lay_out(self._seed, spots).places
        }
        return SmartCameraSpeaker(Watcher(equipment.id), self._world, sights, every_s=equipment.every_s)

    def _fridge(self, name: str) -> Fridge:
        return self._world.fridges[name]

    def _scale(self, device: Rigged, equipment: MtSics | Toledo | Ascii, number: int) -> Dialogue:
        [indicator], clock = device.indicators, self._clock
        match equipment:
            case MtSics(decimals=decimals):
                serial = f"B{self._seed % 10_000:04d}{number:05d}"
                device.scale = MtSicsScale(indicator, serial=serial, decimals=decimals, clock=clock)
                return device.scale
            case Toledo(dialect=dialect):
                kind = Toledo8217Scale if dialect == "8217" else NciScale
                return EvenParity(kind(indicator, clock=clock))
            case Ascii(maker=maker):
                return AsciiScale(indicator, maker=maker, clock=clock)

    def _modbus(self, device: Rigged, equipment: Modbus) -> None:
        indicators = device.indicators
        registers = {
            "laumas": lambda: modbus_scale.laumas(indicators[0]),
            "baykon": lambda: modbus_scale.baykon(indicators[0]),
            "dini-argeo": lambda: modbus_scale.dini_argeo(indicators),
            "load-cell-16": lambda: modbus_scale.load_cell_16(indicators),
        }[equipment.profile]()
        if equipment.line is not None:
            device.plug = equipment.line
            shared = self.lines.get(equipment.line)
            device.unit_id = len(shared.wires) + 1 if shared else 1
        self._on_modbus(device, Station(device.unit_id, registers), equipment.link)

    def _on_modbus(self, device: Rigged, station: Station, link: Literal["pty", "tcp"]) -> None:
        over_tcp = link == "tcp"
        module = ModbusModules([station], clock=self._clock, over="tcp" if over_tcp else "rtu")
        spoiled = None if over_tcp else modbus_scale.spoiled
        self._wire(device, module, "modbus-tcp" if over_tcp else "pty", spoiled=spoiled)

    def _serial_reader(self, device: Rigged, equipment: R2000 | UhfReader18 | M100) -> None:
        device.antennas = faults = ReaderFaults()
        seen = self._field(self._radio(device, equipment))
        made: Dialogue
        match equipment:
            case R2000():
                made, spoiled = r2000.R2000Reader(seen, faults=faults), r2000.spoiled
            case UhfReader18(model=model):
                made, spoiled = uhfreader18.UhfReader(seen, model=model, faults=faults), uhfreader18.spoiled
            case M100():
                made, spoiled = m100.M100Module(seen, faults=faults), m100.spoiled
        self._wire(device, made, equipment.link, spoiled=spoiled)

    def _radio(self, device: Rigged, equipment: TagReader) -> Radio:
        seed = f"{self._seed}/{equipment.id}"
        places = equipment.places() if isinstance(equipment, MqttReader) else equipment.facings
        device.radio = Radio(self._world, places, self._scenario.noise, seed=seed)
        return device.radio

    def _field(self, radio: Radio) -> Field:
        """What one inventory over an antenna finds: the reads since the last one over it."""
        asked_s: dict[int, float] = {}

        def field(antenna: int) -> list[TagInView]:
            now_s = self._clock()
            elapsed_s = min(5.0, now_s - asked_s.get(antenna, now_s - 0.1))
            asked_s[antenna] = now_s
            if not 1 <= antenna <= len(radio.facings):
                return []
            heard = radio.hears(elapsed_s, [antenna])
            return [TagInView(bytes.fromhex(one.epc), round(one.rssi_dbm), one.channel) for one in heard]

        return field

    def _wire(
        self,
        device: Rigged,
        dialogue: Dialogue,
        link: LinkKind,
        *,
        spoiled: Callable[[bytes], bytes] | None = None,
    ) -> None:
        seed = f"{self._seed}/{device.equipment.id}"
        device.wire = Wire(dialogue, clock=self._clock, seed=seed, spoiled=spoiled)
        self.lines.setdefault(device.plug, Line(link)).wires.append(device.wire)

    def _publish(self, device: Rigged, speaker: Speaker) -> None:
        device.outlet = Outlet(seed=f"{self._seed}/{device.equipment.id}")
        if device.plug not in self.hubs:
            self.hubs[device.plug] = Hub([speaker.birth] if speaker.birth else [], speaker.will)
        first_s = self._clock() + self._phases.uniform(0.0, speaker.every_s)
        heapq.heappush(self._speakers, (first_s, len(self._speakers), self._clock(), device, speaker))


def topic_of(equipment: ImpinjR700 | ZebraIotc) -> str:
    """Where a reader publishes."""
    return equipment.topic or f"rfid/{equipment.id}/events"


def hub_of(equipment: MqttPlate, shelf_of: dict[str, str]) -> str:
    """The hub behind which a plate is: that of its shelf."""
    return f"hub-{shelf_of[equipment.facings[0]].lower()}"
