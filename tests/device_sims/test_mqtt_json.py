"""What the simulated MQTT devices say, read with the mappings that the documentation gives for them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from device_sims.mqtt_json import HomieShelf, TasmotaProbe, ZigbeeContact
from device_sims.mqtt_link import Publication
from edge_agent.config.mappings import MqttJson
from edge_agent.drivers.mqtt_json import Mapper
from edge_agent.drivers.topic import Understood
from edge_agent.readings import Delivery, EnvironmentReading, GapSeen, Sale, TagRead, WeightReading

DOCS = (Path(__file__).parents[2] / "docs/mqtt.md").read_text(encoding="utf-8")
BLOCK = re.search(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
DEVICES: dict[str, dict[str, Any]] = {
    device["id"]: device for device in yaml.safe_load(BLOCK.group(1) if BLOCK else "")["devices"]
}


def mapper(device: str) -> Mapper:
    return Mapper(MqttJson.model_validate(DEVICES[device]))


def heard(device: str, said: Publication) -> Understood:
    return mapper(device).understand(said.body, said.topic)


def test_a_shelf_weighs_each_plate_and_its_will_says_that_it_is_gone() -> None:
    shelf = HomieShelf("shelf01", ("aabbccddeeff", "aabbccddee00"))
    assert heard("shelf01", shelf.mass("aabbccddee00", 352.4)).readings == [
        WeightReading("shelf01", 2, 352.0, None)
    ]
    assert [heard("shelf01", said).there for said in (shelf.birth, shelf.will)] == [True, False]


@pytest.mark.parametrize("door_open", [True, False])
def test_a_contact_is_closed_while_it_touches(door_open: bool) -> None:
    contact = ZigbeeContact("door-back")
    (door,) = heard("door-back", contact.said(door_open=door_open)).readings
    assert door == EnvironmentReading("door-back", "door", "open", float(door_open))
    assert [heard("door-back", said).there for said in (contact.birth, contact.will)] == [True, False]


def test_a_probe_in_celsius_is_read_and_one_in_fahrenheit_is_not() -> None:
    (cold,) = heard("fridge-1", TasmotaProbe("fridge-1").said(3.94)).readings
    assert cold == EnvironmentReading("fridge-1", "temperature_c", "°C", 3.9)
    assert heard("fridge-1", TasmotaProbe("fridge-1", unit="F").said(39.0)) == Understood()
    probe = TasmotaProbe("fridge-1")
    assert [heard("fridge-1", said).there for said in (probe.birth, probe.will)] == [True, False]


@pytest.mark.parametrize(
    ("device", "topic", "payload", "kind", "count"),
    [
        ("module-1", "shelf/module-1", '{"seq": 1, "ts": 1795341600, "plates": [{"n": 1, "g": 5, "ok": true}]}', WeightReading, 1),
        ("fridge-2", "fridge-2/status/temperature:0", '{"id": 0, "tC": -18.2, "tF": -0.8}', EnvironmentReading, 1),
        ("fridge-2", "fridge-2/status/humidity:0", '{"id": 0, "rh": 51.0}', EnvironmentReading, 1),
        ("till-1", "pos/till-1/receipt", '{"id": "R-17", "at": 1795341600, "items": [{"pos": 1, "ean": "6901234567892", "count": 2}]}', Sale, 1),
        ("goods-in", "goods/goods-in", '{"note": "D-9", "at": 1795341600, "lines": [{"gtin": "6901234567892", "quantity": 24}]}', Delivery, 1),
        ("cam-a", "cameras/cam-a/places", '{"at": 1795341600, "places": [{"name": "zone-1", "fill_pct": 4}, {"name": "zone-9", "fill_pct": 90}]}', GapSeen, 1),
        ("gate", "gate/gate", '{"reads": [{"epc": "3034257BF400B7800004CB2F", "ant": 1, "rssi": -60, "at": 1795341600123}]}', TagRead, 1),
    ],
)  # fmt: skip
def test_the_other_documented_mappings(device: str, topic: str, payload: str, kind: type, count: int) -> None:
    found = heard(device, Publication(topic, payload))
    assert found.faults == []
    assert [type(reading) for reading in found.readings] == [kind] * count


def test_every_documented_device_is_tried_here() -> None:
    assert DEVICES.keys() == {
        "shelf01", "module-1", "door-back", "fridge-1", "fridge-2", "gate", "till-1", "goods-in", "cam-a",
    }  # fmt: skip
