"""amqtt, a broker of MQTT 3.1.1: it has retained words for us before it answers our next request."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import paho.mqtt.publish as paho
import pytest

from device_sims.broker import available_brokers, running_broker
from edge_agent.config.mappings import MqttJson
from edge_agent.config.store import Mqtt
from edge_agent.drivers.mqtt import MqttSession
from edge_agent.drivers.mqtt_connection import V311
from edge_agent.drivers.mqtt_json import mqtt_json_driver
from edge_agent.readings import DeviceAnswered, WeightReading


@pytest.mark.skipif("amqtt" not in available_brokers(), reason="amqtt is not installed")
async def test_a_retained_weight_is_none_and_a_retained_state_counts(
    tmp_path: Path, emitted: Any, running: Any
) -> None:
    given = {"topic": "t/a", "weight": {}, "online": {"topic": "t/state"}}
    settings = MqttJson.model_validate({"id": "d1", "driver": "mqtt-json", **given})
    async with running_broker(tmp_path, name="amqtt") as broker:
        login = {"username": broker.reader.name, "password": broker.reader.password}

        async def publish(topic: str, payload: str) -> None:
            where = {"port": broker.port, "auth": login, "qos": 1, "retain": True}
            await asyncio.to_thread(paho.single, topic, payload, **where)

        await publish("t/a", "1")
        await publish("t/state", "online")
        mqtt = Mqtt(url=broker.url, username=broker.agent.name, password_file=broker.agent_password_file)
        session = MqttSession(mqtt, store="s1", topics={"d1": "t/a"}, states={"d1": "t/state"})
        session._version = V311
        async with running(session.run()), running(mqtt_json_driver(settings, session).run(emitted)):
            await emitted.until(lambda rs: rs == [DeviceAnswered("d1")])
            await publish("t/a", "2")
            await emitted.until(lambda rs: rs[-1] == WeightReading("d1", None, 2.0, None))
    assert len(emitted.readings) == 2
