"""Readings and bytes of a device without an agent, over real ptys and a real broker."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from device_sims.broker import Broker, available_brokers, running_broker
from device_sims.indicator import Indicator
from device_sims.links import PtyLink, plugged_in
from device_sims.mqtt_link import Publication, on_broker
from device_sims.mt_sics import MtSicsScale
from device_sims.noise import Noise
from device_sims.plate import Plate
from edge_agent.config.store import Mqtt, StoreSettings
from edge_agent.contract.errors import ConfigError, LinkDenied, LinkLost
from edge_agent.drivers.link import open_link
from edge_agent.drivers.mqtt import MqttSession
from edge_agent.live.watching import What, following, record, until

EVENT = {"eventType": "tagInventory", "tagInventoryEvent": {"epcHex": "3034257bf400b7800004cb2f"}}


def store(**more: object) -> StoreSettings:
    """Nobody answers at its agent.http, so the devices are asked themselves."""
    return StoreSettings.model_validate({"store": {"id": "s1"}, "agent": {"http": {"port": 0}}, **more})


def with_scale(port: object) -> StoreSettings:
    return store(devices=[{"id": "scale-1", "driver": "mt-sics", "port": str(port)}])


@pytest.fixture
async def scale(tmp_path: Path) -> AsyncIterator[PtyLink]:
    plate = Plate(Noise(), "scale")
    plate.lay(352.0)
    dialogue = MtSicsScale(Indicator(plate, max_g=15_000), serial="B021", decimals=1, clock=time.monotonic)
    link = PtyLink(dialogue, tmp_path / "tty")
    async with plugged_in(link):
        yield link


async def first(settings: StoreSettings, name: str, what: What, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(20), following(settings, name, what) as pieces:
        async for piece in pieces:
            found += [json.loads(line) for line in piece.splitlines()]
            if len(found) >= count:
                break
    return found[:count]


async def test_without_an_agent_the_device_itself_is_watched(scale: PtyLink) -> None:
    status, weight = await first(with_scale(scale.address), "scale-1", "readings", 2)
    assert (status["kind"], status["status"], status["identity"]) == ("status", "online", "B021")
    assert (weight["kind"], weight["device"]) == ("weight", "scale-1")
    async with open_link(scale.address):  # the port is free again
        pass


async def test_without_an_agent_the_bytes_are_those_of_the_device(scale: PtyLink) -> None:
    header, question, answer = await first(with_scale(scale.address), "scale-1", "bytes", 3)
    assert header["recording"] == 1
    assert (question["dir"], bytes.fromhex(question["hex"])) == ("out", b"@\r\n")
    assert (answer["dir"], bytes.fromhex(answer["hex"])) == ("in", b'I4 A "B021"\r\n')


async def test_a_pulled_cable_is_told_and_the_device_is_found_again(scale: PtyLink) -> None:
    async with asyncio.timeout(30), following(with_scale(scale.address), "scale-1", "readings") as pieces:
        states: list[str] = []
        async for piece in pieces:
            said = [json.loads(line) for line in piece.splitlines()]
            states += [line["status"] for line in said if line["kind"] == "status"]
            if states == ["online"] and any(line["kind"] == "weight" for line in said):
                await scale.unplug()
            if states[-1:] == ["offline"]:
                await scale.replug()
            if states[1:] and states[-1] == "online":
                break
    assert states[0] == "online"
    assert "offline" in states


async def test_a_device_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(LinkLost, match="absent"):
        await first(with_scale(tmp_path / "nothing"), "scale-1", "readings", 1)


async def test_a_port_that_somebody_has_is_an_error(scale: PtyLink) -> None:
    async with open_link(scale.address):
        with pytest.raises(LinkDenied, match="held by"):
            await first(with_scale(scale.address), "scale-1", "readings", 1)


async def test_an_unknown_device_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no device 'x'") as caught:
        await first(with_scale("/dev/x"), "x", "readings", 1)
    assert caught.value.hint == "known: scale-1"


async def test_a_recording_is_never_replaced_unasked(scale: PtyLink, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("precious")
    with pytest.raises(ConfigError, match="is there already"):
        await record(with_scale(scale.address), "scale-1", file, force=False)
    assert file.read_text() == "precious"
    await until(asyncio.Event(), record(with_scale(scale.address), "scale-1", file, force=True), 1.0)
    assert json.loads(file.read_text().splitlines()[0])["device"] == "scale-1"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    if "mosquitto" not in available_brokers():
        pytest.skip("mosquitto is not installed: apt install mosquitto")
    async with running_broker(tmp_path / "broker", name="mosquitto") as broker:
        yield broker


async def test_an_onlooker_takes_nothing_from_the_agents_own_session(broker: Broker) -> None:
    mqtt = {"url": broker.url, "username": "agent", "password_file": str(broker.agent_password_file)}
    reader = {"id": "rfid-a", "driver": "impinj-r700", "topic": "rfid/a"}
    settings = store(mqtt=mqtt, devices=[reader])
    own = MqttSession(Mqtt.model_validate(mqtt), store="s1", topics={"rfid-a": "rfid/a"})
    running = asyncio.create_task(own.run())
    async with (
        on_broker(broker.port_311, client_id="reader", user=broker.reader) as wire,
        own.subscribe("rfid-a", "rfid/a") as inbox,
    ):

        async def publish() -> None:
            while True:
                wire.publish(Publication("rfid/a", EVENT))
                await asyncio.sleep(0.05)

        publishing = asyncio.create_task(publish())
        _, tag = await first(settings, "rfid-a", "readings", 2)
        header, piece = await first(settings, "rfid-a", "bytes", 2)
        async with asyncio.timeout(10):
            assert await inbox.get_batch()
        publishing.cancel()
    assert own.problem is None
    assert tag["epc"] == "3034257bf400b7800004cb2f"
    assert header["driver"] == "impinj-r700"
    assert (piece["topic"], json.loads(piece["text"])) == ("rfid/a", EVENT)
    running.cancel()
    await asyncio.wait({running})


async def test_a_broker_that_is_not_there_is_an_error() -> None:
    reader = {"id": "rfid-a", "driver": "impinj-r700", "topic": "rfid/a"}
    settings = store(mqtt={"url": "mqtt://127.0.0.1:1"}, devices=[reader])
    with pytest.raises(LinkLost, match="cannot be reached"):
        await first(settings, "rfid-a", "readings", 1)
