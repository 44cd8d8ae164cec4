"""The six ways in which gateways lose readings: none is lost, merged or doubled at HQ.

Each reading is a sight of another tag, published with QoS 1 to a real broker, so that each must become one
event at HQ. `make soak` runs the same at full length: 300 messages a second for 45 s, outages of 20 s.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5

from device_sims.proxy import Mode

TOPIC = "rfid/a"
RATE_HZ = 300
SAME_MOMENT = "2026-11-22T10:00:00.123Z"

Length = Literal["short", "full"]
LENGTHS = ["short", pytest.param("full", marks=[pytest.mark.soak, pytest.mark.timeout(600)])]
OUTAGE_S: dict[Length, float] = {"short": 4, "full": 20}
BEFORE_AND_AFTER_S: dict[Length, float] = {"short": 1, "full": 12.5}


@pytest.fixture
def store(world: Any, mosquitto: int, line: Any, wait_for: Any) -> Any:
    """A running store with one reader, its broker and HQ."""
    world.write_store(
        "products: [{gtin: '06901234567892', name: Cola, unit_weight_g: 352, tagged: 1}]\n"
        "facings: [{id: A1-00, gtin: '06901234567892', capacity: 24}]\n"
        f"devices: [{{id: rfid-a, driver: impinj-r700, topic: {TOPIC}, antennas: {{'1': A1-00}}}}]\n"
        f"mqtt: {{url: 'mqtt://127.0.0.1:{mosquitto}'}}\n",
        uplink_port=line.proxy.port,
    )
    world.start_hq()
    world.start_agent()
    wait_for(lambda: world.status()["devices"][0]["status"] == "online", what="the reader's subscription")
    return world


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("mode", ["refused", "silent"])
def test_hq_away(store: Any, mosquitto: int, line: Any, wait_for: Any, mode: Mode, length: Length) -> None:
    with paced(mosquitto) as published:
        wait_until(published, seconds=BEFORE_AND_AFTER_S[length])
        line.set(mode)
        wait_until(published, seconds=OUTAGE_S[length])
        line.set("open")
        wait_until(published, seconds=BEFORE_AND_AFTER_S[length])
    assert_exactly_once(store, published, wait_for)


@pytest.mark.parametrize("length", LENGTHS)
def test_kill(store: Any, mosquitto: int, wait_for: Any, length: Length) -> None:
    with paced(mosquitto) as published:
        wait_until(published, seconds=BEFORE_AND_AFTER_S[length])
        store.kill("agent")
        wait_until(published, seconds=2)
        store.start_agent()
        wait_until(published, seconds=BEFORE_AND_AFTER_S[length])
    assert_exactly_once(store, published, wait_for)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("mode", ["refused", "silent"])
def test_kill_during_an_outage(
    store: Any, mosquitto: int, line: Any, wait_for: Any, mode: Mode, length: Length
) -> None:
    with paced(mosquitto) as published:
        wait_until(published, seconds=BEFORE_AND_AFTER_S[length])
        line.set(mode)
        wait_until(published, seconds=OUTAGE_S[length] / 2)
        store.kill("agent")
        store.start_agent()
        wait_until(published, seconds=OUTAGE_S[length] / 2)
        line.set("open")
        wait_until(published, seconds=BEFORE_AND_AFTER_S[length])
    assert_exactly_once(store, published, wait_for)


@pytest.mark.parametrize("burst", [20_000, pytest.param(60_000, marks=pytest.mark.soak)])
def test_kill_in_a_burst(burst: int, store: Any, mosquitto: int, wait_for: Any) -> None:
    with publisher(mosquitto) as publish:
        epcs = [publish(number) for number in range(burst)]
        wait_for(lambda: store.journaled("item.arrived") > burst // 20, what="part of the burst is durable")
        durable = store.journaled("item.arrived")
        store.kill("agent")
        assert durable < burst, "the kill came after the burst"
        store.start_agent()
    assert_exactly_once(store, epcs, wait_for)


def test_readings_of_one_millisecond_stay_apart(store: Any, mosquitto: int, wait_for: Any) -> None:
    with publisher(mosquitto) as publish:
        epcs = [publish(number, at=SAME_MOMENT) for number in range(1_000)]
    assert_exactly_once(store, epcs, wait_for)


# --- what is published ---------------------------------------------------------------------------


@contextmanager
def publisher(port: int) -> Iterator[Callable[..., str]]:
    """`publish(number, at=None)` sends one sight of one tag and returns its EPC; the end waits for the broker."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    client.max_inflight_messages_set(500)
    client.connect("127.0.0.1", port)
    client.loop_start()
    sent = []

    def publish(number: int, *, at: str | None = None) -> str:
        epc = (0x3074257BF7194E4000000000 + number).to_bytes(12, "big")
        tag = {"epc": base64.urlsafe_b64encode(epc).decode(), "antennaPort": 1, "peakRssiCdbm": -5000}
        event = {"timestamp": at, "eventType": "tagInventory", "tagInventoryEvent": tag}
        sent.append(client.publish(TOPIC, json.dumps(event), qos=1))
        return epc.hex()

    try:
        yield publish
        for message in sent:
            message.wait_for_publish(30)
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def paced(port: int) -> Iterator[list[str]]:
    """RATE_HZ tags a second until the block ends; yields the EPCs sent so far."""
    published: list[str] = []
    stop = threading.Event()

    def run() -> None:
        began = time.monotonic()
        while not stop.wait(max(0.0, began + len(published) / RATE_HZ - time.monotonic())):
            published.append(publish(len(published)))

    with publisher(port) as publish:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield published
        finally:
            stop.set()
            thread.join(10)


def wait_until(published: list[str], *, seconds: float) -> None:
    """Until as much has been published as belongs to so many seconds."""
    goal = len(published) + round(seconds * RATE_HZ)
    while len(published) < goal:
        threading.Event().wait(0.01)


def assert_exactly_once(world: Any, published: list[str], wait_for: Any) -> None:
    wait_for(
        lambda: world.journaled("item.arrived") >= len(published), seconds=60, what="all readings are durable"
    )
    wait_for(world.caught_up, seconds=60, what="HQ has every row")
    events = world.events()
    arrived = Counter(event["data"]["epc"] for event in events if event["type"] == "item.arrived")
    assert arrived == Counter(published)
    assert len({event["eid"] for event in events}) == len(events)
    world.bridge("audit")
    print(f"{len(published)} published, {arrived.total()} at HQ")
