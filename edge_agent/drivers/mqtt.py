"""The one MQTT session that all drivers of a store share: kept by the broker, acknowledged after the commit.

A message is acknowledged when every driver it is for says that its consequences are durable, never before;
what the agent had not finished when it died comes again. Delivery is at least once; what comes twice to a
living agent is dropped (`mqtt_deliveries`).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from paho.mqtt.client import MQTTMessage
from paho.mqtt.matcher import MQTTMatcher

from edge_agent.config.store import Mqtt
from edge_agent.contract.errors import DeviceError, LinkDenied, LinkLost
from edge_agent.contract.messages import encode
from edge_agent.contract.times import rfc3339, utc_now
from edge_agent.drivers.mqtt_connection import V5, V311, Connection, NoHandshake, Version, open_connection
from edge_agent.drivers.mqtt_deliveries import Deliveries
from edge_agent.drivers.mqtt_inbox import Inbox, Message
from edge_agent.drivers.tap import Heard, Taps
from edge_agent.service import metrics

FIRST_DELAY_S, LONGEST_DELAY_S = 0.25, 15.0
STEADY_S = 30.0
"""A connection that lasted this long starts the back-off from the beginning."""

LONG_AWAY_S, CATCHING_UP_S = 300.0, 120.0
"""After an absence this long, what comes in the first minutes may have waited at the broker for as long."""

HELD_LIMIT = 16 * 2**20
"""Bytes that may wait in all inboxes together before nothing more is read from the broker."""

_SWEEP_S = 5.0
_ROUTES_KEPT = 4096
_STRAYS_KEPT = 256

_log = logging.getLogger(__name__)


class MqttSession:
    """Connects, reconnects, routes and acknowledges, for all devices of one store.

    `topics` is device id -> topic filter of every configured device: their messages are kept from the first
    moment on, although the drivers start later. Whatever else the broker still sends us is unsubscribed.
    `states` is device id -> topic on which a device says whether it is there: only there what the broker has
    retained is asked for.
    With `kept=False` it is the session of an onlooker: the broker forgets it, and the store's state is not
    published. `taps` hear every message.
    """

    def __init__(
        self,
        settings: Mqtt,
        *,
        store: str,
        topics: Mapping[str, str],
        states: Mapping[str, str] | None = None,
        client_id: str | None = None,
        kept: bool = True,
        taps: Taps | None = None,
    ) -> None:
        self._settings = settings
        self._kept, self._taps = kept, taps or Taps()
        self._client_id = client_id or f"shelf-edge-{store}"
        self._state_topic = f"store/{store}/edge/state"
        told = states or {}
        self._inboxes = {name: Inbox(self, name, topic, told.get(name)) for name, topic in topics.items()}
        self._routes: dict[str, list[Inbox]] = {}
        self._wanted: MQTTMatcher | None = None
        self._strays: set[str] = set()
        self._deliveries = Deliveries()
        self._away_since_s: float | None = None
        self._late_until_s = 0.0
        self._held = 0
        self._refused: dict[str, str] = {}
        self._retained: dict[str, bytes] = {}
        self._connection: Connection | None = None
        self._intake: Connection | None = None
        self._problem: DeviceError | None = None
        self._outage = 0
        self._version: Version = V5

    @property
    def problem(self) -> DeviceError | None:
        """Why there is no connection; None while there is one, or before the first try has ended."""
        return self._problem

    def was_away(self, seconds: float) -> None:
        """How long nobody has listened to the broker when the session starts."""
        self._away_since_s = time.monotonic() - seconds

    async def run(self) -> None:
        """Keep the connection until cancelled; then say goodbye. Never fails because of the broker."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_connected(), name="mqtt:connection")
            group.create_task(self._sweep(), name="mqtt:sweep")

    @asynccontextmanager
    async def subscribe(self, device: str, topic: str) -> AsyncIterator[Inbox]:
        """The device's inbox, as soon as the broker has granted the subscription.

        Each outage is raised once (LinkLost, LinkDenied), so that the device shows it; the next call waits
        for the connection and goes on the moment it is back. LinkDenied when the topic is refused.
        """
        inbox = self._inbox(device, topic)
        inbox.attend()
        try:
            await self._ready(inbox)
            inbox.serve()
            yield inbox
        finally:
            inbox.leave()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Send now with QoS 1; False without a connection. What is retained follows on reconnect."""
        if retain:
            self._retained[topic] = payload
        if self._connection is None:
            return False
        self._connection.publish(topic, payload, retain=retain)
        return True

    # --- for inboxes -------------------------------------------------------------------------

    def raise_if_down(self, inbox: Inbox) -> None:
        """Raise the reason of the outage; at most once for each inbox and outage."""
        if self._problem is not None and inbox.tell_outage(self._outage):
            raise type(self._problem)(self._problem.message, hint=self._problem.hint)

    def hold(self, change: int) -> None:
        """Bytes came into or left the inboxes; too many make the broker wait (QoS 0 knows no other limit)."""
        self._held += change
        if self._intake is None:
            return
        if self._held >= HELD_LIMIT:
            self._intake.pause()
        elif self._held < HELD_LIMIT // 2:
            self._intake.resume()

    def finish(self, messages: Sequence[Message]) -> None:
        """One inbox is done with these. Acknowledged in the order of arrival, as MQTT 5 (4.6) demands."""
        for message in messages:
            if message.delivery is not None:
                message.delivery.waiting -= 1
        if self._connection is None:
            return
        done = self._deliveries.finished()
        if done:
            self._connection.ack(done)

    # --- connection --------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        attempt = 0
        while True:
            began_s = time.monotonic()
            try:
                await self._one_connection()
            except NoHandshake as error:
                # amqtt and older brokers speak 3.1.1 only, and differ in how they refuse version 5.
                self._version = V311 if self._version == V5 else V5
                self._went_down(error)
            except DeviceError as error:
                self._went_down(error)
            attempt = 0 if time.monotonic() - began_s > STEADY_S else attempt + 1
            await asyncio.sleep(
                random.uniform(0, min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(attempt, 10)))
            )

    async def _one_connection(self) -> None:
        self._deliveries.start_over()
        began_s = time.monotonic()
        if self._away_since_s is not None and began_s - self._away_since_s >= LONG_AWAY_S:
            self._late_until_s = began_s + CATCHING_UP_S
        will = (self._state_topic, encode({"status": "offline"})) if self._kept else None
        try:
            async with open_connection(
                self._settings,
                self._client_id,
                on_message=self._arrived,
                will=will,
                version=self._version,
                kept=self._kept,
                on_new_session=self._deliveries.forget,
            ) as connection:
                self._intake = connection
                inboxes = self._inboxes.values()
                states = {inbox.state for inbox in inboxes if inbox.state is not None}
                topics = sorted({inbox.topic for inbox in inboxes} - states)
                if self._version == V311:
                    # No difference there, and amqtt takes no second request before it has the PUBACK for
                    # what it retained of the first.
                    topics, states = sorted({*topics, *states}), set()
                self._refused = await connection.subscribe(topics)
                self._refused |= await connection.subscribe(sorted(states), retained=True)
                self._came_up(connection)
                why = await connection.lost()
        finally:
            if self._connection is not None:
                self._away_since_s = time.monotonic()
            self._connection = self._intake = None
        raise LinkLost(f"the broker at {self._settings.url} is gone: {why}", hint="is the broker running?")

    def _came_up(self, connection: Connection) -> None:
        _log.info("connected to %s", self._settings.url)
        self._connection, self._problem, self._away_since_s = connection, None, None
        state = encode({"status": "online", "since": rfc3339(utc_now())})
        told = {**self._retained, self._state_topic: state} if self._kept else {}
        for topic, payload in told.items():
            connection.publish(topic, payload, retain=True)
        self.finish(())
        self._wake_all()

    def _went_down(self, error: DeviceError) -> None:
        if self._problem is None:
            self._outage += 1
        if self._problem is None or type(self._problem) is not type(error):
            _log.warning("%s (%s)", error, error.hint)
        self._problem = error
        self._wake_all()

    def _wake_all(self) -> None:
        for inbox in self._inboxes.values():
            inbox.wake()

    async def _ready(self, inbox: Inbox) -> None:
        while self._connection is None:
            self.raise_if_down(inbox)
            await inbox.news()
        for topic, retained in ((inbox.topic, False), (inbox.state, True)):
            if topic is not None and topic in self._refused:
                refused = await self._connection.subscribe([topic], retained=retained)
                if topic in refused:
                    raise LinkDenied(
                        f"the broker refuses topic {topic}: {refused[topic]}",
                        hint="allow the agent's user to read it (topic read … in mosquitto's acl_file)",
                    )
                self._refused.pop(topic, None)

    # --- messages ----------------------------------------------------------------------------

    def _inbox(self, device: str, topic: str) -> Inbox:
        inbox = self._inboxes.get(device)
        if inbox is None or inbox.topic != topic:
            state = None if inbox is None else inbox.state
            inbox = self._inboxes[device] = Inbox(self, device, topic, state)
            self._routes.clear()
            self._wanted = None
            self._refused[topic] = "not asked yet"
        return inbox

    def _arrived(self, received: MQTTMessage) -> None:
        topic = received.topic
        inboxes = self._routes.get(topic)
        if inboxes is None:
            inboxes = self._route(topic)
        if received.qos and self._deliveries.comes_again(received):
            for inbox in inboxes:
                metrics.mqtt_duplicates.labels(inbox.device).inc()
            self.finish(())
            return
        metrics.mqtt_messages.inc()
        delivery = self._deliveries.take(received, len(inboxes)) if received.qos else None
        late = time.monotonic() < self._late_until_s
        message = Message(topic, bytes(received.payload), received.retain, delivery, late)
        if self._taps.attended and not message.retained:
            for inbox in inboxes:
                self._taps.of(inbox.device)(Heard("in", message.payload, topic))
        for inbox in inboxes:
            inbox.put(message)
        if not inboxes:
            self.finish(())

    def _route(self, topic: str) -> list[Inbox]:
        if len(self._routes) >= _ROUTES_KEPT:
            self._routes.clear()
        if self._wanted is None:
            self._wanted = _by_filter(self._inboxes.values())
        # Each once, though topic and state of a device may both match.
        matches = self._wanted.iter_match(topic)  # type: ignore[no-untyped-call]  # paho's matcher has no types
        found = list(dict.fromkeys(inbox for some in matches for inbox in some))
        self._routes[topic] = found
        if not found and topic not in self._strays and len(self._strays) < _STRAYS_KEPT:
            self._strays.add(topic)
            _log.warning("nobody reads %s any more: subscription ended", topic)
            if self._intake is not None:
                self._intake.unsubscribe(topic)
        return found

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            for inbox in self._inboxes.values():
                dropped = inbox.abandon()
                if dropped:
                    _log.warning("%s is not running: %d messages let go", inbox.device, dropped)


def _by_filter(inboxes: Iterable[Inbox]) -> MQTTMatcher:
    """A tree of filters: which inboxes a topic is for takes as long for two thousand devices as for two."""
    by_filter: dict[str, list[Inbox]] = {}
    for inbox in inboxes:
        for wanted in inbox.filters:
            by_filter.setdefault(wanted, []).append(inbox)
    tree = MQTTMatcher()  # type: ignore[no-untyped-call]  # paho's matcher has no types
    for wanted, some in by_filter.items():
        tree[wanted] = some
    return tree
