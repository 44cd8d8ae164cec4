"""SIGKILL at any time, of either side, loses and doubles nothing."""

from __future__ import annotations

import base64
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTMessageInfo, MQTTv5


def test_ten_kills_in_a_row_lose_and_double_nothing(
    world: Any, scales: Any, mosquitto: int, wait_for: Any
) -> None:
    survive(10, world, scales, mosquitto, wait_for)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_hundred_kills_in_a_row_lose_and_double_nothing(
    world: Any, scales: Any, mosquitto: int, wait_for: Any
) -> None:
    survive(200, world, scales, mosquitto, wait_for)


def survive(kills: int, world: Any, scales: Any, mosquitto: int, wait_for: Any) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    reader = "  - {id: rfid-a, driver: impinj-r700, topic: rfid/a, antennas: {'1': A1-00}}\n"
    world.write_store(scales.devices() + reader + f"mqtt: {{url: 'mqtt://127.0.0.1:{mosquitto}'}}\n")
    world.start_hq()
    world.start_agent()
    wait_for(lambda: world.on_hand("A1-02") == 10, what="first counts at HQ")
    wait_for(lambda: reader_online(world), what="the reader's subscription")

    with publishing(mosquitto) as published:
        for kill in range(kills):
            name = chance.choice(("agent", "hq"))
            goal = world.journaled() + chance.randint(1, 60)
            wait_for(lambda goal=goal: world.journaled() >= goal, what="more rows in the journal")
            scales.counts[kill % 3] = chance.randint(0, 20)
            uncommitted, unsent = (
                len(published) - world.journaled("item.arrived"),
                world.journaled() - world.applied(),
            )
            pid = world.kill(name)
            print(
                f"kill {kill + 1}: {name} pid {pid}, published but not committed {uncommitted}, committed but not at HQ {unsent}"
            )
            world.start_hq() if name == "hq" else world.start_agent()

    wait_for(world.caught_up, seconds=40, what="HQ has every row")
    wait_for(
        lambda: [world.on_hand(f"A1-0{i}") for i in range(3)] == scales.counts,
        what="final counts",
    )
    wait_for(lambda: len(world.events("item.arrived")) >= len(published), what="every tag at HQ")
    wait_for(world.caught_up, seconds=20, what="HQ has every row")
    assert_exactly_once(world, published)


def assert_exactly_once(world: Any, published: list[str]) -> None:
    arrived = Counter(event["data"]["epc"] for event in world.events("item.arrived"))
    assert arrived == Counter(published)
    events = world.events()
    assert len({event["eid"] for event in events}) == len(events)
    total = Counter[str]()
    for event in world.events("stock.changed"):
        total[event["data"]["facing"]] += event["data"]["change"]
    assert {name: f["on_hand"] for name, f in world.facings().items()} == dict(total)
    world.bridge("audit")


def reader_online(world: Any) -> bool:
    return any(d["device"] == "rfid-a" and d["status"] == "online" for d in world.status()["devices"])


@contextmanager
def publishing(port: int) -> Iterator[list[str]]:
    """A reader that publishes a new tag every few milliseconds until the block ends; yields what it sent."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    sent: list[str] = []
    waiting: list[MQTTMessageInfo] = []
    stop = threading.Event()

    def publish() -> None:
        while not stop.wait(0.005):
            epc = (0x3074257BF7194E4000000000 + len(sent)).to_bytes(12, "big")
            event = {"epc": base64.urlsafe_b64encode(epc).decode(), "antennaPort": 1, "peakRssiCdbm": -5000}
            body = json.dumps({"eventType": "tagInventory", "tagInventoryEvent": event})
            waiting.append(client.publish("rfid/a", body, qos=1))
            sent.append(epc.hex())
        for message in waiting:
            message.wait_for_publish(10)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join(15)
        client.disconnect()
        client.loop_stop()
