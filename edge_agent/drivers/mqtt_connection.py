"""One life of an MQTT connection, version 5 or 3.1.1: paho-mqtt inside the event loop, without a thread."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import urlsplit

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.config.store import Mqtt
from edge_agent.contract.errors import LinkDenied, LinkLost, ShelfEdgeError
from edge_agent.service.settings import read_secret

ANSWER_TIMEOUT_S = 5.0
KEEPALIVE_S = 15
"""A broker that vanished without a word is noticed within twice this time."""
SESSION_EXPIRY_S = 24 * 3600
"""How long the broker keeps messages for an agent that is away."""
RECEIVE_MAXIMUM = 2_000
"""Unacknowledged messages that the broker may have under way to us."""

_NOT_RETAINED = SubscribeOptions.RETAIN_DO_NOT_SEND
_READS_AT_ONCE = 200
"""Packets taken in before the other tasks of the loop get their turn."""

Version = Literal[MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311]
V5: Version = MQTTProtocolVersion.MQTTv5
V311: Version = MQTTProtocolVersion.MQTTv311
OnMessage = Callable[[MQTTMessage], None]


class NoHandshake(LinkLost):
    """Somebody answers at the address, yet not in this version of MQTT."""


@asynccontextmanager
async def open_connection(
    settings: Mqtt,
    client_id: str,
    *,
    on_message: OnMessage,
    will: tuple[str, bytes] | None = None,
    version: Version = V5,
    kept: bool = True,
    on_new_session: Callable[[], None] = lambda: None,
) -> AsyncIterator[Connection]:
    """A connection to a kept session; `will` (topic, payload) is retained by the broker when we go.

    With `kept=False` the session is new and ends with the connection. `on_new_session` is called, before any
    message, when the broker knows no earlier session of ours.
    Raises LinkLost when the broker cannot be reached, NoHandshake when it does not speak `version`,
    LinkDenied when it refuses us; later ends are told by `Connection.lost`. The way out says goodbye.
    """
    connection = Connection(settings, client_id, version, will, on_message, on_new_session, kept=kept)
    try:
        await connection.open()
        yield connection
    finally:
        connection.close()


class Connection:
    """Use `open_connection`. All callbacks of paho arrive in the event loop."""

    def __init__(
        self,
        settings: Mqtt,
        client_id: str,
        version: Version,
        will: tuple[str, bytes] | None,
        on_message: OnMessage,
        on_new_session: Callable[[], None],
        *,
        kept: bool = True,
    ) -> None:
        self._kept = kept
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._version, self._will = version, will
        self._connected: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._lost: asyncio.Future[str] = self._loop.create_future()
        self._granted: dict[int | None, asyncio.Future[list[ReasonCode]]] = {}
        self._on_message, self._on_new_session = on_message, on_new_session
        self._messages = 0
        self._paused = False
        self._abandoned = False
        self._fd = -1
        self._ticker: asyncio.TimerHandle | None = None
        self._client = self._make_client(client_id)

    def _make_client(self, client_id: str) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if self._version == V5 else not self._kept,
            protocol=self._version,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = ANSWER_TIMEOUT_S
        if self._will is not None:
            client.will_set(*self._will, qos=1, retain=True)
        client.on_message = self._received
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_socket_close = self._on_socket_close
        return client

    async def open(self) -> None:
        """Reach the broker and be accepted."""
        url, hint = self._settings.url, "is the broker running, and is mqtt.url right?"
        try:
            async with asyncio.timeout(2 * ANSWER_TIMEOUT_S):
                await asyncio.to_thread(self._connect)
        except TimeoutError:
            raise LinkLost(f"the broker at {url} does not answer", hint=hint) from None
        except (OSError, ValueError, ShelfEdgeError) as error:
            raise LinkLost(f"the broker at {url} cannot be reached: {error}", hint=hint) from error
        self._attach()
        ends: list[asyncio.Future[Any]] = [self._connected, self._lost]
        await asyncio.wait(ends, timeout=ANSWER_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if not self._connected.done():
            raise NoHandshake(f"the broker at {url} accepts no MQTT connection", hint=hint)
        answer = self._connected.result()
        if answer == "Unsupported protocol version":
            raise NoHandshake(f"the broker at {url} does not speak this version of MQTT", hint=hint)
        if answer.is_failure:
            hint = "check mqtt.username, mqtt.password_file and the broker's users"
            raise LinkDenied(f"the broker at {url} refuses us: {answer}", hint=hint)

    def _connect(self) -> None:
        """In a thread: reads files, resolves the name, connects, shakes hands, sends CONNECT."""
        settings, parts = self._settings, urlsplit(self._settings.url)
        secure = parts.scheme == "mqtts"
        if settings.username is not None:
            self._client.username_pw_set(settings.username, read_secret(settings.password_file))
        if secure:
            self._client.tls_set_context(_tls(settings))
        address = (parts.hostname or "", parts.port or (8883 if secure else 1883), KEEPALIVE_S)
        if self._version == V5:
            properties = _session(SESSION_EXPIRY_S if self._kept else 0)
            self._client.connect(*address, clean_start=not self._kept, properties=properties)
        else:
            self._client.connect(*address)
        opened = self._client.socket()
        if self._abandoned and opened is not None:
            opened.close()

    async def lost(self) -> str:
        """Wait for the end of this connection; says why it ended."""
        return await asyncio.shield(self._lost)

    async def subscribe(self, topics: Sequence[str], *, retained: bool = False) -> dict[str, str]:
        """Subscribe with QoS 1; returns the refused topics, each with the broker's reason. Raises LinkLost.

        Without `retained` version 5 is not asked for what a topic was last: that is no fresh observation.
        """
        if not topics:
            return {}
        if self._version == V5:
            handling = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if retained else _NOT_RETAINED
            options = SubscribeOptions(qos=1, retainHandling=handling)
            _, mid = self._client.subscribe([(topic, options) for topic in topics])
        else:
            _, mid = self._client.subscribe([(topic, 1) for topic in topics])
        answer = self._granted[mid] = self._loop.create_future()
        self._flush()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await asyncio.wait([answer, self._lost], return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise LinkLost("the broker does not answer a subscription") from None
        finally:
            del self._granted[mid]
        if not answer.done():
            raise LinkLost(f"the broker is gone: {self._lost.result()}")
        codes: list[ReasonCode] = answer.result()
        if len(codes) != len(topics):
            raise LinkLost(f"the broker answers {len(codes)} of {len(topics)} subscriptions")
        return {topic: str(code) for topic, code in zip(topics, codes, strict=True) if code.is_failure}

    def unsubscribe(self, topic: str) -> None:
        """End a subscription that an earlier configuration left behind."""
        self._client.unsubscribe(topic)

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Send with QoS 1; what has not been sent when the connection ends is gone."""
        self._client.publish(topic, payload, qos=1, retain=retain)
        self._flush()

    def ack(self, message_ids: Iterable[int]) -> None:
        """Acknowledge messages, in the order they came in (MQTT 5, 4.6)."""
        opened: Any = self._client.socket()
        if opened is None:
            return
        _cork(opened, 1)
        for message_id in message_ids:
            self._client.ack(message_id, 1)
        self._flush()
        if self._fd >= 0:
            _cork(opened, 0)

    def pause(self) -> None:
        """Read no further: TCP makes the broker wait."""
        if not self._paused and self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._paused = True

    def resume(self) -> None:
        """Read on."""
        if self._paused and self._fd >= 0:
            self._paused = False
            self._loop.add_reader(self._fd, self._read)
            self._loop.call_soon(self._read)  # TLS may already hold the next packets

    def close(self) -> None:
        """Say goodbye if there is still somebody there, and let go of the socket."""
        self._abandoned = True
        if self._fd >= 0 and self._connected.done():
            self._say_goodbye()
        opened = self._client.socket()
        if opened is not None:
            self._release()
            opened.close()
        self._client.on_socket_close = None  # paho calls it once more when the client is collected

    def _say_goodbye(self) -> None:
        if self._version == V5:
            self._client.disconnect(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))
            return
        if self._will is not None:
            self._client.publish(*self._will, qos=1, retain=True)
        self._client.disconnect()

    def _attach(self) -> None:
        opened = self._client.socket()
        if opened is None:
            self._end("the broker hung up at once")
            return
        self._fd = opened.fileno()
        self._loop.add_reader(self._fd, self._read)
        self._tick()

    def _tick(self) -> None:
        self._client.loop_misc()
        if self._fd >= 0:
            self._flush()
            self._ticker = self._loop.call_later(1.0, self._tick)

    def _read(self) -> None:
        opened: Any = self._client.socket()
        for _ in range(_READS_AT_ONCE):
            before = self._messages
            self._client.loop_read()
            if self._fd < 0 or self._paused:
                return
            if self._messages == before and not _pending(opened):
                break
        else:
            if _pending(opened):
                self._loop.call_soon(self._read)
        self._flush()

    def _flush(self) -> None:
        """Write what waits; what the socket does not take now goes when it can."""
        if self._fd >= 0 and self._client.want_write():
            self._client.loop_write()
        if self._fd >= 0:
            if self._client.want_write():
                self._loop.add_writer(self._fd, self._flush)
            else:
                self._loop.remove_writer(self._fd)

    def _release(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._fd = -1

    def _received(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self._messages += 1
        self._on_message(message)

    def _on_connect(
        self, _client: Client, _userdata: object, flags: ConnectFlags, reason: ReasonCode, _more: object
    ) -> None:
        if not (flags.session_present or reason.is_failure):
            self._on_new_session()
        if not self._connected.done():
            self._connected.set_result(reason)

    def _on_subscribe(
        self, _client: Client, _userdata: object, mid: int, reasons: list[ReasonCode], _more: object
    ) -> None:
        answer = self._granted.get(mid)
        if answer is not None and not answer.done():
            answer.set_result(reasons)

    def _on_disconnect(
        self, _client: Client, _userdata: object, _flags: DisconnectFlags, reason: ReasonCode, _more: object
    ) -> None:
        self._end(str(reason))

    def _on_socket_close(self, *_: object) -> None:
        # The descriptor must leave the event loop before its number is given to somebody else.
        self._release()
        self._loop.call_soon(self._end, "connection closed")

    def _end(self, why: str) -> None:
        if not self._lost.done():
            self._lost.set_result(why)


def _pending(opened: Any) -> bool:
    """Whether a TLS socket holds bytes that the operating system no longer shows."""
    pending = getattr(opened, "pending", None)
    return pending is not None and pending() > 0


def _session(expiry_s: int) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no annotation
    properties.SessionExpiryInterval = expiry_s
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    return properties


class _TlsSocket(ssl.SSLSocket):
    """A TLS socket that does not stay open behind a failed handshake, as paho would leave it."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def _tls(settings: Mqtt) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ca_file)
    context.sslsocket_class = _TlsSocket
    if settings.client_cert_file is not None:
        context.load_cert_chain(settings.client_cert_file, settings.client_key_file)
    return context


def _cork(opened: Any, held: int) -> None:
    """Hold small packets back to send them together: one segment for a batch of acknowledgements."""
    if hasattr(socket, "TCP_CORK"):
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, held)
