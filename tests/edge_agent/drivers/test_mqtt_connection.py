"""One MQTT connection: who is let in, over TLS, in an older version, and how its end is noticed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge_agent.config.store import Mqtt
from edge_agent.contract.errors import LinkDenied, LinkLost
from edge_agent.drivers import mqtt_connection
from edge_agent.drivers.mqtt_connection import V311, NoHandshake, open_connection


class Received:
    """An `on_message` that keeps payloads and lets a test wait for them."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self._changed = asyncio.Event()

    def __call__(self, message: Any) -> None:
        self.payloads.append(bytes(message.payload))
        self._changed.set()

    async def wait_for(self, count: int) -> list[bytes]:
        async with asyncio.timeout(20):
            while len(self.payloads) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.payloads


async def test_a_wrong_password_is_denied_with_a_hint(broker: Any, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.touch(0o600)
    broker.stop()
    broker.extra = f"allow_anonymous false\npassword_file {users}"
    broker.start()
    with pytest.raises(LinkDenied, match="refuses us") as raised:
        async with open_connection(Mqtt(url=broker.url), "c", on_message=print):
            pass
    assert "mqtt.password_file" in raised.value.hint


async def test_a_missing_password_file_is_an_outage_not_a_crash(broker: Any, tmp_path: Path) -> None:
    settings = Mqtt(url=broker.url, username="agent", password_file=tmp_path / "absent")
    with pytest.raises(LinkLost, match="secret cannot be read"):
        async with open_connection(settings, "c", on_message=print):
            pass


async def test_thousands_of_messages_over_tls_and_no_trust_in_strangers(
    broker: Any, own_certificate: tuple[Path, Path]
) -> None:
    key, certificate = own_certificate
    broker.stop()
    broker.extra = f"certfile {certificate}\nkeyfile {key}"
    broker.start()
    url, received = f"mqtts://127.0.0.1:{broker.port}", Received()
    trusting = Mqtt(url=url, ca_file=certificate, username="agent")
    sent = [b"%d" % number + b" " * 900 for number in range(1500)]
    async with open_connection(trusting, "c", on_message=received) as connection:
        assert await connection.subscribe(["rfid/one"]) == {}
        for payload in sent:
            connection.publish("rfid/one", payload, retain=False)
        assert await received.wait_for(len(sent)) == sent
    with pytest.raises(LinkLost, match="certificate verify failed"):
        async with open_connection(Mqtt(url=url, username="agent"), "c", on_message=print):
            pass


async def test_a_broker_that_vanishes_without_a_word_is_noticed(
    scripted_broker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_connection, "KEEPALIVE_S", 1)
    async with (
        scripted_broker([], asyncio.Queue(), then_silent=True) as broker,
        open_connection(Mqtt(url=broker.url), "c", on_message=print) as connection,
    ):
        async with asyncio.timeout(10):
            await connection.lost()
        with pytest.raises(LinkLost):
            await connection.subscribe(["rfid/one"])


async def test_a_server_that_is_no_broker_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_connection, "ANSWER_TIMEOUT_S", 0.2)
    hold = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(NoHandshake):
            async with open_connection(Mqtt(url=url), "c", on_message=print):
                pass
        hold.set()


async def test_version_3_1_1_receives_and_says_goodbye_with_its_will(broker: Any) -> None:
    settings, received = Mqtt(url=broker.url), Received()
    async with open_connection(settings, "watching", on_message=received) as watching:
        await watching.subscribe(["state"])
        will = ("state", b"offline")
        async with open_connection(settings, "c", on_message=print, will=will, version=V311) as connection:
            assert await connection.subscribe(["rfid/one"]) == {}
            connection.publish("state", b"online", retain=True)
        online, *offline = await received.wait_for(2)
    assert (online, set(offline)) == (b"online", {b"offline"})
