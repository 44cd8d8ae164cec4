"""Which faults can befall which devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, get_args

from device_sims.equipment import (
    M100,
    R2000,
    Ascii,
    DoorCamera,
    Equipment,
    GoodsIn,
    HomieShelf,
    ImpinjR700,
    Modbus,
    MqttPlate,
    MqttReader,
    MtSics,
    OverFacings,
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
from device_sims.fault import Fault, Target

_Kinds = tuple[type[Equipment], ...]
_CHECKED: Final[_Kinds] = (Modbus, Sht20, R2000, UhfReader18, M100)
_ON_A_LINE: Final[_Kinds] = (MtSics, Toledo, Ascii, *_CHECKED)
_WITH_CLOCK: Final[_Kinds] = (MqttPlate, ImpinjR700, ZebraIotc, Till, GoodsIn, SmartCamera)
ON_MQTT: Final[_Kinds] = (HomieShelf, TasmotaProbe, ZigbeeContact, *_WITH_CLOCK)
_READERS: Final[_Kinds] = get_args(TagReader)
_FOR: Final[dict[Target, tuple[str, _Kinds]]] = {
    "cable": ("devices", tuple({*_ON_A_LINE, *ON_MQTT, *_READERS, DoorCamera})),
    "wire": ("devices on a line or on MQTT", (*_ON_A_LINE, *ON_MQTT)),
    "line": ("devices on a line", _ON_A_LINE),
    "check": ("Modbus RTU and serial RFID readers, whose frames have a check", _CHECKED),
    "scale": ("scales and plates", get_args(Weighing)),
    "antenna": ("RFID readers", _READERS),
    "broker client": ("devices on MQTT", ON_MQTT),
    "clock": ("devices that tell the time of what they say", _WITH_CLOCK),
    "serial": ("MT-SICS scales", (MtSics,)),
    "fridge": ("fridges", ()),
}


def misfit(fault: Fault, device: Equipment) -> str | None:
    """Why a fault cannot befall a device; None when it can."""
    meant, kinds = _FOR[fault.kind.target]
    over_tcp = fault.kind.target == "check" and isinstance(device, Modbus | Sht20) and device.link == "tcp"
    if isinstance(device, kinds) and not over_tcp:
        antennas = len(device.facings) if isinstance(device, OverFacings) else 0
        antennas += isinstance(device, MqttReader) and device.back_room
        if fault.fault == "antenna-off" and fault.amount > antennas:
            return f"{device.id!r} has {antennas} antennas, and not number {fault.amount:g}"
        return None
    return f"{fault.fault} cannot befall {device.id!r}: it is for {meant}"


def has_broker(equipment: Sequence[Equipment]) -> bool:
    """Whether any of these devices needs the store's broker."""
    return any(isinstance(one, ON_MQTT) for one in equipment)
