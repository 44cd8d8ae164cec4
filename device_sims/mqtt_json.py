"""Devices that publish JSON or bare values on MQTT: a shelf of plates, a door contact, a fridge's probe.

Shapes after what is published of them: an unstaffed village shop's shelves under `homie/` (one plate for each
product, kilograms, named by hardware address, a last will for each shelf); zigbee2mqtt's contact sensors
(`contact` is true while the door is closed, availability on a topic of its own); Tasmota's telemetry of a
DS18B20.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from paho.mqtt.client import Client


@dataclass(frozen=True, slots=True)
class Publication:
    """One message."""

    topic: str
    payload: str
    retained: bool = False


class Device(Protocol):
    """What a device says when it comes, and what the broker says for it when it is gone."""

    birth: Publication
    will: Publication


class HomieShelf:
    """A shelf with one plate for each hardware address in `plates`."""

    def __init__(self, name: str, plates: tuple[str, ...]) -> None:
        self._name, self.plates = name, plates
        self.birth = Publication(f"homie/{name}/state", "1", retained=True)
        self.will = Publication(f"homie/{name}/state", "0", retained=True)

    def mass(self, plate: str, weight_g: float) -> Publication:
        """One weight, in kilograms with three decimals."""
        return Publication(f"homie/{self._name}/scales/{plate}/mass", f"{weight_g / 1000:.3f}")

    def state(self, plate: str, *, online: bool) -> Publication:
        """Whether the shelf's controller hears one plate."""
        return Publication(f"homie/{self._name}/scales/{plate}/state", str(int(online)), retained=True)


class ZigbeeContact:
    """A contact sensor behind zigbee2mqtt, which speaks for it."""

    def __init__(self, name: str, *, battery_pct: int = 97) -> None:
        self._topic, self._battery_pct = f"zigbee2mqtt/{name}", battery_pct
        self.birth = self._availability("online")
        self.will = self._availability("offline")

    def said(self, *, door_open: bool) -> Publication:
        """The state as a change of the contact publishes it."""
        sent = {"battery": self._battery_pct, "contact": not door_open, "linkquality": 120, "tamper": False}
        return Publication(self._topic, json.dumps(sent))

    def _availability(self, state: str) -> Publication:
        return Publication(f"{self._topic}/availability", json.dumps({"state": state}), retained=True)


class TasmotaProbe:
    """A DS18B20 on a Tasmota module; its time is local and without an offset."""

    def __init__(self, name: str, *, unit: str = "C") -> None:
        self._topic, self._unit = f"tele/{name}", unit
        self.birth = Publication(f"{self._topic}/LWT", "Online", retained=True)
        self.will = Publication(f"{self._topic}/LWT", "Offline", retained=True)

    def said(self, temperature: float, *, local_time: str = "2026-11-22T18:00:00") -> Publication:
        """One telemetry message."""
        probe = {"Id": "03168B2A6AFF", "Temperature": round(temperature, 1)}
        sent = {"Time": local_time, "DS18B20": probe, "TempUnit": self._unit}
        return Publication(f"{self._topic}/SENSOR", json.dumps(sent))


@contextmanager
def on_broker(device: Device, *, port: int, login: Mapping[str, str] | None = None) -> Iterator[Client]:
    """A client of `device` on loopback with its last will; says its birth. Reconnects until the end.

    `login` maps the user's name to its password. Leaving says goodbye with the will, as a switched-off
    device's broker would.
    """
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    client = Client(CallbackAPIVersion.VERSION2)
    for name, password in (login or {}).items():
        client.username_pw_set(name, password)
    client.will_set(device.will.topic, device.will.payload, qos=1, retain=True)
    client.on_connect = lambda *_: publish(client, device.birth)
    client.reconnect_delay_set(1, 5)
    client.connect_async("127.0.0.1", port)
    client.loop_start()
    try:
        yield client
    finally:
        publish(client, device.will)
        client.disconnect()
        client.loop_stop()


def publish(client: Client, said: Publication) -> None:
    """Hand a message over with QoS 1; the client's own thread delivers it, again after a reconnect."""
    client.publish(said.topic, said.payload, qos=1, retain=said.retained)
