"""What the simulated MQTT devices publish, against known messages: the same keys, the same forms of values.

A client of another make, amqtt's, hears them from a broker.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from amqtt.client import MQTTClient

from device_sims.broker import available_brokers, running_broker
from device_sims.impinj import R700
from device_sims.mqtt_json import HomieShelf, TasmotaProbe, ZigbeeContact
from device_sims.mqtt_link import Publication, on_broker
from device_sims.radio import Heard
from device_sims.zebra import IotcReader, Mode

VECTORS = json.loads((Path(__file__).parents[1] / "golden" / "devices.json").read_text())["vectors"]
AT_NS = 1_700_000_000_123_456_789
READS = [Heard("3034257bf400b7800004cb2f", 1, -51.26, 0), Heard("e28011606000020a6681f23f", 2, -73.4, 3)]
UPPER_HEX = r"(?:[0-9A-F]{4})+"
UTC_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z"


class Air:
    """Two tags over two antennas, as a radio hears them."""

    facings = ("shampoo", "soap")

    def hears(self, _elapsed_s: float, _antennas: object = None) -> Iterator[Heard]:
        yield from READS


def known(protocol: str, kind: str) -> list[dict[str, Any]]:
    messages = [v["in"].get("json") for v in VECTORS if v["protocol"] == protocol]
    found = [message for message in messages if message and kind in message]
    assert found
    return found


def matches(value: object, form: type | str) -> bool:
    if isinstance(form, str):
        return isinstance(value, str) and re.fullmatch(form, value) is not None
    return type(value) is form


R700_FORMS: dict[str, type | str] = {
    "epc": r"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?",
    "epcHex": UPPER_HEX,
    "antennaPort": int,
    "antennaName": str,
    "peakRssiCdbm": int,
    "frequency": int,
    "transmitPowerCdbm": int,
    "lastSeenTime": UTC_TIME,
}


def test_an_r700_event_has_the_keys_and_forms_of_known_ones() -> None:
    reader = R700(Air())  # type: ignore[arg-type]  # hears alike
    ours, theirs = list(reader.look(1.0, AT_NS)), known("impinj-iot", "tagInventoryEvent")
    assert {frozenset(event) for event in ours} == {frozenset(event) for event in theirs}
    seen = {key for event in theirs for key in event["tagInventoryEvent"]}
    for event in [*ours, *theirs]:
        assert matches(event["timestamp"], UTC_TIME)
        assert event["eventType"] == "tagInventory"
        assert event["tagInventoryEvent"].keys() <= seen
        for key, value in event["tagInventoryEvent"].items():
            assert matches(value, R700_FORMS[key]), (key, value)
    told = [event["tagInventoryEvent"] for event in ours]
    assert [base64.urlsafe_b64decode(tag["epc"]).hex() for tag in told] == [tag.epc for tag in READS]
    assert [tag["peakRssiCdbm"] for tag in told] == [-5126, -7340]
    assert [(tag["antennaPort"], tag["antennaName"]) for tag in told] == [(1, "shampoo"), (2, "soap")]
    assert reader.running(AT_NS)["eventType"] != "tagInventory"


ZEBRA_FORMS: dict[str, type | str] = {
    "idHex": UPPER_HEX,
    "peakRssi": int,
    "antenna": int,
    "eventNum": int,
    "reads": int,
    "format": "epc",
    "PC": "[0-9A-F]{4}",
    "CRC": "[0-9A-F]{4}",
    "channel": float,
    "phase": float,
}
ZEBRA_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(?:Z|[+-]\d{4})"


@pytest.mark.parametrize("mode", ["SIMPLE", "INVENTORY", "CUSTOM"])
def test_a_zebra_event_has_the_keys_and_forms_of_a_known_one(mode: Mode) -> None:
    reader = IotcReader(Air(), mode=mode)  # type: ignore[arg-type]  # hears alike
    ours = list(reader.look(1.0, AT_NS))
    theirs = [event for event in known("zebra-iotc", "timestamp") if "idHex" in event["data"]]
    for event in [*ours, *theirs]:
        assert event.keys() >= {"data", "timestamp", "type"}
        assert matches(event["timestamp"], ZEBRA_TIME)
        for key, value in event["data"].items():
            assert matches(value, ZEBRA_FORMS[key]), (key, value)
    assert [event["data"]["idHex"] for event in ours] == [tag.epc.upper() for tag in READS]
    if mode != "SIMPLE":
        assert [(e["data"]["antenna"], e["data"]["peakRssi"]) for e in ours] == [(1, -51), (2, -73)]
        assert {key for event in theirs for key in event["data"]} <= ours[0]["data"].keys()
    beat = next(v["in"]["json"] for v in VECTORS if v["in"].get("json", {}).get("type") == "HEARTBEAT")
    assert reader.heartbeat(AT_NS).items() >= beat.items()


def test_a_homie_shelf_uses_the_topics_and_flags_of_known_messages() -> None:
    shelf = HomieShelf("shelf01", ("aabbccddeeff",))
    known_ones = {
        v["in"]["topic"]: (v["in"]["text"], v["out"].get("retained", False))
        for v in VECTORS
        if v["protocol"] == "shelf-mqtt" and "text" in v["in"]
    }
    said = {
        one.topic: (one.payload, one.retained)
        for one in (shelf.will, shelf.state("aabbccddeeff", online=True))
    }
    assert said.items() <= known_ones.items()
    mass = shelf.mass("aabbccddeeff", 352.4)
    assert (mass.topic, mass.payload, mass.retained) == (
        "homie/shelf01/scales/aabbccddeeff/mass",
        "0.352",
        False,
    )
    assert shelf.mass("aabbccddeeff", -3.6).payload == "-0.004"


def test_a_contact_and_a_probe_say_what_zigbee2mqtt_and_tasmota_say() -> None:
    """The published examples of both, key by key."""
    contact, probe = ZigbeeContact("door-back"), TasmotaProbe("fridge-1")
    state = json.loads(contact.said(door_open=True).body)
    assert {key: type(value) for key, value in state.items()} == {
        "battery": int, "contact": bool, "linkquality": int, "tamper": bool,
    }  # fmt: skip
    assert state["contact"] is False  # the magnet is away
    assert (contact.birth.topic, json.loads(contact.birth.body)) == (
        "zigbee2mqtt/door-back/availability", {"state": "online"},
    )  # fmt: skip
    said = json.loads(probe.said(3.94).body)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", said["Time"])
    assert re.fullmatch(r"[0-9A-F]{12}", said["DS18B20"]["Id"])
    assert (said["DS18B20"]["Temperature"], said["TempUnit"]) == (3.9, "C")
    assert [one.payload for one in (probe.birth, probe.will)] == ["Online", "Offline"]
    assert all(one.retained for one in (contact.birth, contact.will, probe.birth, probe.will))


async def test_a_client_of_another_make_hears_every_device_through_a_broker(tmp_path: Path) -> None:
    if not available_brokers():
        pytest.skip("no MQTT broker is installed here")
    air: Any = Air()
    shelf = HomieShelf("shelf01", ("aabbccddeeff",))
    events = [*R700(air).look(1.0, AT_NS), *IotcReader(air).look(1.0, AT_NS)]
    sent = [Publication("rfid/events", event) for event in events]
    sent += [shelf.mass("aabbccddeeff", 352.0), ZigbeeContact("door").said(door_open=True)]
    sent += [TasmotaProbe("fridge").said(3.9)]
    heard: list[tuple[str, bytes]] = []
    async with running_broker(tmp_path) as broker, asyncio.timeout(15):
        listener = MQTTClient(client_id="another", config={"auto_reconnect": False})
        password = broker.agent_password_file.read_text().strip()
        await listener.connect(f"mqtt://{broker.agent.name}:{password}@127.0.0.1:{broker.port_311}/")
        await listener.subscribe([("rfid/#", 1), ("homie/#", 1), ("zigbee2mqtt/#", 1), ("tele/#", 1)])
        async with on_broker(
            broker.port_311, client_id="sims", user=broker.reader, birth=[shelf.birth], will=shelf.will
        ) as link:
            for said in sent:
                link.publish(said)
            while len(heard) < len(sent) + 1:
                message = await listener.deliver_message()
                assert message
                heard.append((message.topic, bytes(message.data or b"")))
        message = await listener.deliver_message()  # it was switched off
        assert message
        assert (message.topic, bytes(message.data or b"")) == (shelf.will.topic, b"0")
        await listener.disconnect()
    assert sorted(heard) == sorted((said.topic, said.body) for said in [shelf.birth, *sent])
    assert [json.loads(body) for topic, body in heard if topic == "rfid/events"] == events
