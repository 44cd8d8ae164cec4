"""The `store.yaml` with which an agent can work in a simulated store, as `interfaces.md` §2 describes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from device_sims.broker import Broker
from device_sims.climate import FridgeSettings
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
    MtSics,
    OverFridge,
    Scale,
    ShelfCamera,
    Sht20,
    SmartCamera,
    TasmotaProbe,
    Till,
    Toledo,
    UhfReader18,
    ZebraIotc,
    ZigbeeContact,
)
from device_sims.fitting import ON_MQTT
from device_sims.rig import hub_of, topic_of
from device_sims.scenario import Scenario

_LONGEST_SILENCE_S = 3.0
"""What speaks by itself more often than that is in trouble when it is silent for so long."""

Line = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Places:
    """Where the devices are: device to port and to unit, the broker, the camera, the line to HQ.

    `slots`: shelf camera to facing to the corners of its place in the picture.
    """

    ports: Mapping[str, str]
    units: Mapping[str, int] = field(default_factory=dict)
    broker: Broker | None = None
    camera_source: str | None = None
    camera_line: Line | None = None
    uplink_url: str | None = None
    slots: Mapping[str, Mapping[str, Sequence[Sequence[float]]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AgentFiles:
    """What the agent brings itself: its port, where it may write, and HQ's token."""

    data_dir: Path
    token_file: Path | None = None
    http_port: int = 8787


def store_yaml(scenario: Scenario, places: Places, files: AgentFiles) -> str:
    """The whole file as YAML text; it needs no other file but the two secrets that it names."""
    settings: dict[str, Any] = {
        "store": scenario.store.model_dump(exclude_none=True),
        "agent": {
            "data_dir": str(files.data_dir),
            "http": {"host": "127.0.0.1", "port": files.http_port},
        },
    }
    if places.broker is not None:
        settings["mqtt"] = {
            "url": places.broker.url,
            "username": places.broker.agent.name,
            "password_file": str(places.broker.agent_password_file),
        }
    if places.uplink_url is not None and files.token_file is not None:
        settings["uplink"] = {"url": places.uplink_url, "token_file": str(files.token_file)}
    settings["products"] = [product.model_dump(exclude_none=True) for product in scenario.products]
    settings["facings"] = [f.model_dump(exclude_none=True, exclude={"on_hand"}) for f in scenario.facings]
    entries = [device_entry(scenario, one, places) for one in scenario.equipment]
    settings["devices"] = [entry for entry in entries if entry is not None]
    return yaml.safe_dump(settings, allow_unicode=True, sort_keys=False, width=200)


def device_entry(scenario: Scenario, one: Equipment, places: Places) -> dict[str, Any] | None:
    """One line under `devices:`; None for a device that cannot be reached."""
    if isinstance(one, DoorCamera):
        return _camera(one, places)
    if isinstance(one, ShelfCamera):
        return _shelf_camera(one, places)
    at = _At(scenario, places.ports.get(one.id, ""), places.units.get(one.id, 1))
    if places.broker is None if isinstance(one, ON_MQTT) else not at.port:
        return None
    entry = {"id": one.id, **_ENTRIES[type(one)](one, at)}
    if isinstance(one, TasmotaProbe | Sht20):
        entry["limits"] = {"temperature_c": _limit(scenario, one)}
    if isinstance(one, HomieShelf | MqttPlate | TasmotaProbe | SmartCamera):
        entry["expect_every_s"] = max(_LONGEST_SILENCE_S, 5 * one.every_s)
    if isinstance(one, Scale) and one.poll_hz is not None:
        entry["poll_hz"] = one.poll_hz
    return entry


@dataclass(frozen=True, slots=True)
class _At:
    scenario: Scenario
    port: str
    unit_id: int


def _scale(one: Any, at: _At) -> dict[str, Any]:
    return {"driver": one.kind, "port": at.port, "facings": one.facings}


def _toledo(one: Any, at: _At) -> dict[str, Any]:
    return _scale(one, at) | {"dialect": one.dialect}


def _ascii(one: Any, at: _At) -> dict[str, Any]:
    bare = {"preset": "hx711", "unit": "g"} if one.maker == "hx711" else {}
    return _scale(one, at) | bare


def _modbus(one: Any, at: _At) -> dict[str, Any]:
    entry = {"driver": "modbus-scale", "port": at.port, "unit_id": at.unit_id, "profile": one.profile}
    several = one.profile in ("dini-argeo", "load-cell-16")
    return entry | ({"channels": _numbered(one.plates())} if several else {"facings": one.facings})


def _sht20(_: Any, at: _At) -> dict[str, Any]:
    return {"driver": "modbus-scale", "port": at.port, "unit_id": at.unit_id, "profile": "sht20"}


def _serial_reader(one: Any, at: _At) -> dict[str, Any]:
    entry = {"driver": one.kind, "port": at.port, "antennas": _antennas(one.facings)}
    return entry | ({"model": one.model} if isinstance(one, UhfReader18) else {})


def _llrp(one: Any, at: _At) -> dict[str, Any]:
    return {"driver": "llrp", "address": at.port, "antennas": _antennas(one.facings)}


def _mqtt_reader(one: Any, _: _At) -> dict[str, Any]:
    entry = {"driver": one.kind, "topic": topic_of(one), "antennas": _antennas(one.facings)}
    return entry | ({"back_room": [len(one.places())]} if one.back_room else {})


def _homie(one: Any, _: _At) -> dict[str, Any]:
    entry = _mqtt_json("homie/{id}/scales/{channel}/mass", online="homie/{id}/state")
    return entry | {"weight": {"unit": "kg"}, "channels": _numbered(one.plates())}


def _plate(one: Any, at: _At) -> dict[str, Any]:
    shelves = {facing.id: facing.shelf or facing.id for facing in at.scenario.facings}
    entry = _mqtt_json("plates/{id}", online=f"hubs/{hub_of(one, shelves)}/state")
    entry |= {"weight": {"path": "g", "stable": "ok"}, "sequence": "seq", "time": "ts"}
    return entry | {"facings": one.facings}


def _probe(_: Any, __: _At) -> dict[str, Any]:
    entry = _mqtt_json("tele/{id}/SENSOR", online="tele/{id}/LWT")
    return entry | {"environment": {"temperature_c": "DS18B20.Temperature"}, "match": {"TempUnit": "C"}}


def _contact(_: Any, __: _At) -> dict[str, Any]:
    entry = _mqtt_json("zigbee2mqtt/{id}", online="zigbee2mqtt/{id}/availability")
    entry["online"]["path"] = "state"
    return entry | {"door": {"path": "contact", "open": [False]}}


def _till(_: Any, __: _At) -> dict[str, Any]:
    entry = _mqtt_json("tills/{id}/receipts", online="tills/{id}/state")
    return entry | {"sale": {"each": "lines"}, "time": "ts"}


def _goods_in(_: Any, __: _At) -> dict[str, Any]:
    entry = _mqtt_json("goods-in/{id}/scans", online="goods-in/{id}/state")
    return entry | {"delivery": {"each": "lines", "facing": "facing"}, "time": "ts"}


def _smart_camera(_: Any, __: _At) -> dict[str, Any]:
    entry = _mqtt_json("cameras/{id}/places", online="cameras/{id}/state")
    return entry | {"gap": {"each": "places"}, "time": "ts"}


_ENTRIES: dict[type[Equipment], Callable[[Any, _At], dict[str, Any]]] = {
    MtSics: _scale, Toledo: _toledo, Ascii: _ascii, Modbus: _modbus, Sht20: _sht20, R2000: _serial_reader,
    UhfReader18: _serial_reader, M100: _serial_reader, Llrp: _llrp, ImpinjR700: _mqtt_reader,
    ZebraIotc: _mqtt_reader, HomieShelf: _homie, MqttPlate: _plate, TasmotaProbe: _probe,
    ZigbeeContact: _contact, Till: _till, GoodsIn: _goods_in, SmartCamera: _smart_camera,
}  # fmt: skip


def _mqtt_json(topic: str, *, online: str) -> dict[str, Any]:
    return {"driver": "mqtt-json", "topic": topic, "online": {"topic": online}}


def _numbered(plates: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    return {str(number): list(plate) for number, plate in enumerate(plates, 1)}


def _antennas(facings: Sequence[str]) -> dict[str, str]:
    return {str(number): facing for number, facing in enumerate(facings, 1)}


def _limit(scenario: Scenario, sensor: OverFridge) -> dict[str, float]:
    fridge: FridgeSettings = next(f for f in scenario.fridges if f.id == sensor.fridge)
    return {"max": fridge.limit_c, "for_s": fridge.alarm_for_s}


def _camera(camera: DoorCamera, places: Places) -> dict[str, Any] | None:
    if places.camera_source is None or places.camera_line is None:
        return None
    start, end = places.camera_line
    line = {"id": camera.line, "from": list(start), "to": list(end)}
    entry: dict[str, Any] = {"id": camera.id, "driver": "camera", "source": places.camera_source}
    return entry | {"footfall": {"lines": [line]}}


def _shelf_camera(camera: ShelfCamera, places: Places) -> dict[str, Any] | None:
    source, slots = places.ports.get(camera.id), places.slots.get(camera.id)
    if source is None or slots is None:
        return None
    drawn = {facing: [list(corner) for corner in corners] for facing, corners in slots.items()}
    shelf_gap = {"facings": drawn, "every_s": camera.every_s}
    return {"id": camera.id, "driver": "camera", "source": source, "shelf_gap": shelf_gap}
