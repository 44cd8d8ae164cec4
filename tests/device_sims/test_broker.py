"""Every broker that this machine has: users, loopback only, 1 MiB payloads, gone at the end."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import psutil
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from device_sims import broker as brokers
from device_sims.broker import Broker, BrokerName, available_brokers, running_broker
from device_sims.impinj import R700
from device_sims.mqtt_link import Publication, on_broker
from device_sims.plan import plan_visit
from device_sims.radio import Radio
from device_sims.scenario import load_scenario
from device_sims.world import World
from edge_agent.contract.errors import BrokerError
from edge_agent.contract.gs1 import decode_epc
from edge_agent.contract.times import parse_rfc3339

BROKERS: list[BrokerName] = ["mosquitto", "iotcore", "amqtt"]


@pytest.fixture(params=BROKERS)
def name(request: pytest.FixtureRequest) -> BrokerName:
    chosen: BrokerName = request.param
    if chosen not in available_brokers():
        pytest.skip(f"{chosen} is not installed here")
    return chosen


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()]


class Listener:
    """A subscriber with the agent's user, as the agent would be."""

    def __init__(self, broker: Broker, topic: str, *, password: str | None = None) -> None:
        version = MQTTProtocolVersion.MQTTv311 if broker.name == "amqtt" else MQTTProtocolVersion.MQTTv5
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()
        self.refused, self.ready = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        self.client = Client(CallbackAPIVersion.VERSION2, "listener", protocol=version)
        self.client.username_pw_set(broker.agent.name, password or broker.agent_password_file.read_text())

        def on_connect(client: Client, *rest: Any) -> None:
            if rest[2].is_failure:
                loop.call_soon_threadsafe(self.refused.set)
            else:
                client.subscribe(topic, qos=1)

        self.client.on_connect = on_connect
        self.client.on_disconnect = lambda *_: loop.call_soon_threadsafe(self.refused.set)
        self.client.on_subscribe = lambda *_: loop.call_soon_threadsafe(self.ready.set)
        self.client.on_message = lambda _c, _u, message: loop.call_soon_threadsafe(
            self.messages.put_nowait, message.payload
        )
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


async def test_a_message_of_nearly_a_mebibyte_passes_from_reader_to_agent(
    name: BrokerName, tmp_path: Path
) -> None:
    async with running_broker(tmp_path, name=name) as broker, asyncio.timeout(20):
        listener = Listener(broker, "rfid/#")
        await listener.ready.wait()
        async with on_broker(broker.port_311, client_id="rfid-a", user=broker.reader) as publisher:
            publisher.publish(Publication("rfid/a/events", {"pad": "x" * 1_000_000}))
            assert len(await listener.messages.get()) > 1_000_000
        listener.close()
        pid = broker.pid
    assert not psutil.pid_exists(pid)


async def test_a_wrong_password_is_refused(name: BrokerName, tmp_path: Path) -> None:
    async with running_broker(tmp_path, name=name) as broker, asyncio.timeout(20):
        listener = Listener(broker, "rfid/#", password="guess")
        await listener.refused.wait()
        assert not listener.ready.is_set()
        listener.close()


async def test_it_listens_on_loopback_only(name: BrokerName, tmp_path: Path) -> None:
    async with running_broker(tmp_path, name=name) as broker:
        process = psutil.Process(broker.pid)
        listening = [c.laddr.ip for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        assert set(listening) == {"127.0.0.1"}


async def test_secrets_of_the_broker_are_for_their_owner_only(name: BrokerName, tmp_path: Path) -> None:
    async with running_broker(tmp_path, name=name) as broker:
        secret = broker.agent_password_file.read_text()
        assert broker.agent_password_file.stat().st_mode & 0o077 == 0
        holders = [p for p in files_of(tmp_path) if secret in p.read_text(errors="replace")]
        assert holders
        assert [p.name for p in holders if p.stat().st_mode & 0o077] == []


async def test_no_broker_at_all_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "available_brokers", list)
    with pytest.raises(BrokerError, match="no MQTT broker") as caught:
        async with running_broker(tmp_path):
            pass
    assert "mosquitto" in caught.value.hint


async def test_a_broker_that_stops_at_once_says_where_its_log_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers, "available_brokers", lambda: ["mosquitto"])
    monkeypatch.setattr(brokers, "_mosquitto", lambda: "/bin/false")
    with pytest.raises(BrokerError, match="stopped at once") as caught:
        async with running_broker(tmp_path):
            pass
    assert "mosquitto.log" in caught.value.hint


async def test_reader_events_have_the_shape_of_the_iot_device_interface(tmp_path: Path) -> None:
    if not available_brokers():
        pytest.skip("no MQTT broker is installed here")
    scenario = load_scenario("demo")
    world = World(scenario, plan_visit(scenario, seconds=45, seed=1), seed=1)
    facings = [facing.id for facing in scenario.facings]
    reader = R700(Radio(world, facings, scenario.noise, seed="1"))
    async with running_broker(tmp_path) as broker, asyncio.timeout(20):
        listener = Listener(broker, "rfid/#")
        await listener.ready.wait()
        async with on_broker(broker.port_311, client_id="rfid-a", user=broker.reader) as publisher:
            publisher.publish(Publication("rfid/a/events", reader.running(1_700_000_000_000_000_000)))
            for event in reader.look(5.0, 1_700_000_000_123_456_789):
                publisher.publish(Publication("rfid/a/events", event))
            got = [json.loads(await listener.messages.get()) for _ in range(publisher.published)]
        listener.close()
    assert got[0]["eventType"] == "inventoryStatus"
    assert got[1]["timestamp"] == "2023-11-14T22:13:20.123456789Z"
    at_home = 0
    for event in got[1:]:
        tag = event["tagInventoryEvent"]
        decoded = decode_epc(base64.urlsafe_b64decode(tag["epc"]).hex())
        assert decoded is not None
        at_home += scenario.facings[tag["antennaPort"] - 1].gtin == decoded.gtin
        assert tag["antennaName"] == facings[tag["antennaPort"] - 1]
        assert -8000 < tag["peakRssiCdbm"] < -3000
        assert parse_rfc3339(tag["lastSeenTime"]) <= parse_rfc3339(event["timestamp"])
    assert 0.9 < at_home / (len(got) - 1) < 1.0
