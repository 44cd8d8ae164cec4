"""The MQTT connection of one simulated device or hub: paho-mqtt inside the event loop, without a thread."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paho.mqtt.client import Client

    from device_sims.broker import User

log = logging.getLogger(__name__)

_TRY_AGAIN_S = 1.0
_MISC_S = 1.0
_KEEPALIVE_S = 15
_QUEUE = 100_000


@dataclass(frozen=True, slots=True)
class Publication:
    """One message; a payload that is no text or bytes is sent as JSON."""

    topic: str
    payload: Any
    retained: bool = False

    @property
    def body(self) -> bytes:
        """What goes over the wire."""
        if isinstance(self.payload, bytes):
            return self.payload
        if isinstance(self.payload, str):
            return self.payload.encode()
        return json.dumps(self.payload, separators=(",", ":"), ensure_ascii=False).encode()


class MqttLink:
    """A client with QoS 1 that keeps what the broker has not confirmed and sends it again after a reconnect.

    `birth` is said with each connection; `will` is what the broker says for it when it is gone without a
    word, and what it says itself when it is switched off properly.
    """

    def __init__(
        self,
        port: int,
        *,
        client_id: str,
        user: User | None = None,
        birth: Sequence[Publication] = (),
        will: Publication | None = None,
    ) -> None:
        self._port, self._user, self._client_id = port, user, client_id
        self._birth, self._will = birth, will
        self._client: Client | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self.published = 0
        """Messages handed to the client."""

    @property
    def plugged(self) -> bool:
        """Whether it has power; the broker may be away all the same."""
        return self._client is not None

    async def replug(self) -> None:
        """Power on: connect, and again whenever the connection is lost. Nothing to do while it is on."""
        if self._client is None:
            self._client = self._make_client()
            self._connect(self._client)
            self._misc(self._client)

    async def unplug(self) -> None:
        """Power off without a word: the broker will notice a dead connection and say the will."""
        client, self._client = self._client, None
        self._stop_timers()
        if client is not None and isinstance(wire := client.socket(), socket.socket):
            asyncio.get_running_loop().remove_reader(wire)
            asyncio.get_running_loop().remove_writer(wire)
            client.on_disconnect = None
            wire.shutdown(socket.SHUT_RDWR)
            client.loop_read()

    async def close(self) -> None:
        """Switched off properly: the will is said, then goodbye."""
        client = self._client
        if client is None:
            return
        if self._will is not None and client.is_connected():
            self.publish(self._will)
        self._client = None
        self._stop_timers()
        client.disconnect()
        client.loop_write()

    def publish(self, said: Publication) -> None:
        """Queue a message; without power it is lost."""
        if self._client is not None:
            self._client.publish(said.topic, said.body, qos=1, retain=said.retained)
            self.published += 1

    def _make_client(self) -> Client:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        client = Client(
            CallbackAPIVersion.VERSION2,
            self._client_id,
            clean_session=False,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        if self._user is not None:
            client.username_pw_set(self._user.name, self._user.password)
        if self._will is not None:
            client.will_set(self._will.topic, self._will.body, qos=1, retain=self._will.retained)
        client.max_queued_messages_set(_QUEUE)
        client.on_socket_open = self._watch
        client.on_socket_register_write = self._wants_to_write
        client.on_socket_unregister_write = self._has_written
        client.on_socket_close = self._forget
        client.on_connect = self._connected
        client.on_disconnect = self._lost
        return client

    def _connect(self, client: Client) -> None:
        if client is not self._client:
            return
        try:
            client.connect("127.0.0.1", self._port, _KEEPALIVE_S)
        except OSError as error:
            log.debug("%s: no broker: %s", self._client_id, error)
            self._later(_TRY_AGAIN_S, self._connect, client)

    def _misc(self, client: Client) -> None:
        if client is self._client:
            client.loop_misc()
            self._later(_MISC_S, self._misc, client)

    def _connected(self, client: Client, *_: Any) -> None:
        for said in self._birth:
            client.publish(said.topic, said.body, qos=1, retain=said.retained)

    def _lost(self, client: Client, *_: Any) -> None:
        log.debug("%s lost the broker", self._client_id)
        if client is self._client:
            self._later(_TRY_AGAIN_S, self._connect, client)

    def _watch(self, client: Client, _: Any, wire: Any) -> None:
        asyncio.get_running_loop().add_reader(wire, self._read, client)

    def _wants_to_write(self, client: Client, _: Any, wire: Any) -> None:
        asyncio.get_running_loop().add_writer(wire, client.loop_write)

    @staticmethod
    def _has_written(_client: Client, _: Any, wire: Any) -> None:
        asyncio.get_running_loop().remove_writer(wire)

    @staticmethod
    def _read(client: Client) -> None:
        client.loop_read()

    @staticmethod
    def _forget(_client: Client, _: Any, wire: Any) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(wire)
        loop.remove_writer(wire)

    def _later(self, seconds: float, step: Any, client: Client) -> None:
        self._timers = [
            t for t in self._timers if not t.cancelled() and t.when() > asyncio.get_running_loop().time()
        ]
        self._timers.append(asyncio.get_running_loop().call_later(seconds, step, client))

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


@asynccontextmanager
async def on_broker(
    port: int,
    *,
    client_id: str,
    user: User | None = None,
    birth: Sequence[Publication] = (),
    will: Publication | None = None,
) -> AsyncIterator[MqttLink]:
    """A connected client until the end of the block, which says goodbye properly."""
    link = MqttLink(port, client_id=client_id, user=user, birth=birth, will=will)
    await link.replug()
    try:
        yield link
    finally:
        await link.close()
