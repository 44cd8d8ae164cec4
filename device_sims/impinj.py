"""An Impinj R700 reader: tag events of its IoT Device Interface, published over MQTT with QoS 1.

Event shape after the R700 REST API v1 (`tagInventory`): one JSON object a message, EPC in base64url,
RSSI in hundredths of a dBm, times in RFC 3339 with nanoseconds.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

from device_sims.scenario import Noise
from device_sims.world import Tag, World

if TYPE_CHECKING:
    from paho.mqtt.client import Client

    from device_sims.broker import Broker

log = logging.getLogger(__name__)

_MEAN_DBM = -52.0
_NEIGHBOUR_LOSS_DB = 9.0
_CHANNELS_KHZ = (920_625, 921_375, 922_125, 922_875, 923_625, 924_375)
_CHANNEL_SD_DB = 0.7


class R700:
    """What the reader sees: antenna `n` hangs over the n-th of `facings`, its neighbours are in earshot."""

    def __init__(self, world: World, facings: Sequence[str], noise: Noise, *, seed: int) -> None:
        self._world, self._facings, self._noise = world, list(facings), noise
        self._rng = Random(f"{seed}/reader")

    def look(self, elapsed_s: float, at_ns: int) -> Iterator[dict[str, Any]]:
        """Events of one stretch of inventory that ended at `at_ns` (nanoseconds since 1970)."""
        for index, facing in enumerate(self._facings):
            for tag in self._world.tags(facing):
                chance = 1.0 - (1.0 - tag.read_per_s) ** elapsed_s
                if self._rng.random() < chance:
                    yield self._event(tag, index, at_ns, loss_db=0.0)
                if self._rng.random() < chance * self._noise.cross_read_share:
                    neighbour = index + self._rng.choice((-1, 1))
                    if 0 <= neighbour < len(self._facings):
                        yield self._event(tag, neighbour, at_ns, loss_db=_NEIGHBOUR_LOSS_DB)

    def running(self, at_ns: int) -> dict[str, Any]:
        """The event that says that the inventory has started; it is about no tag."""
        status = {"inventoryStatus": "running"}
        return {"timestamp": _time(at_ns), "eventType": "inventoryStatus", "inventoryStatusEvent": status}

    def _event(self, tag: Tag, antenna: int, at_ns: int, *, loss_db: float) -> dict[str, Any]:
        channel_khz = self._rng.choice(_CHANNELS_KHZ)
        # A channel's own offset stays with tag and antenna: hopping is no independent noise.
        channel_db = Random(f"{tag.epc}/{antenna}/{channel_khz}").gauss(0.0, _CHANNEL_SD_DB)
        rssi_dbm = _MEAN_DBM + tag.rssi_offset_db - loss_db + channel_db + self._rng.gauss(0.0, 0.7)
        seen_ns = at_ns - self._rng.randrange(150_000_000)
        return {
            "timestamp": _time(at_ns),
            "eventType": "tagInventory",
            "tagInventoryEvent": {
                "epc": base64.urlsafe_b64encode(bytes.fromhex(tag.epc)).decode(),
                "antennaPort": antenna + 1,
                "antennaName": self._facings[antenna],
                "peakRssiCdbm": round(rssi_dbm * 100),
                "frequency": channel_khz,
                "transmitPowerCdbm": 3000,
                "lastSeenTime": _time(seen_ns),
            },
        }


def _time(at_ns: int) -> str:
    moment = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ns % 1_000_000_000:09d}Z"


@dataclass(slots=True)
class Publisher:
    """The reader's MQTT side; `published` counts messages handed to the broker's connection."""

    client: Client
    topic: str
    published: int = 0

    def publish(self, events: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> None:
        """Queue events; the client's own thread delivers them, again after a reconnect."""
        for event in events:
            self.client.publish(self.topic, json.dumps(event, separators=(",", ":")), qos=1)
            self.published += 1


@asynccontextmanager
async def connected(broker: Broker, topic: str, *, client_id: str) -> AsyncIterator[Publisher]:
    """A publisher with the reader's user, reconnecting by itself until the end of the block."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

    client = Client(
        CallbackAPIVersion.VERSION2, client_id, clean_session=False, protocol=MQTTProtocolVersion.MQTTv311
    )
    client.username_pw_set(broker.reader.name, broker.reader.password)
    client.max_inflight_messages_set(10)  # the reader's own eventPendingDeliveryLimit
    client.max_queued_messages_set(100_000)  # its eventBufferSize
    client.reconnect_delay_set(1, 5)
    client.on_connect = _said("connected to the broker")
    client.on_disconnect = _said("lost the broker")
    client.connect_async("127.0.0.1", broker.port_311)
    client.loop_start()
    try:
        yield Publisher(client, topic)
    finally:
        client.disconnect()
        client.loop_stop()


def _said(what: str) -> Callable[..., None]:
    def say(*_: Any) -> None:
        log.info("reader %s", what)

    return say
