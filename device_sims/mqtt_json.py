"""Devices that publish JSON or bare values on MQTT: a shelf of plates, a door contact, a fridge's probe.

Shapes after what is published of them: an unstaffed village shop's shelves under `homie/` (one plate for each
product, kilograms, named by hardware address, a last will for each shelf); zigbee2mqtt's contact sensors
(`contact` is true while the door is closed, availability on a topic of its own); Tasmota's telemetry of a
DS18B20. `HubPlate` is nobody's: the plainest way in which a hub tells the weights of its plates.
"""

from __future__ import annotations

from collections.abc import Sequence

from device_sims.mqtt_link import Publication


class HomieShelf:
    """A shelf with one plate for each hardware address in `plates`."""

    def __init__(self, name: str, plates: Sequence[str]) -> None:
        self._name, self.plates = name, list(plates)
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
        return Publication(self._topic, sent)

    def _availability(self, state: str) -> Publication:
        return Publication(f"{self._topic}/availability", {"state": state}, retained=True)


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
        return Publication(f"{self._topic}/SENSOR", sent)


class HubPlate:
    """A plate behind a hub: JSON in grams with stability, number and time of the message (ms since 1970)."""

    def __init__(self, name: str, hub: str) -> None:
        self._name = name
        self._sequence = 0
        self.birth = Publication(f"hubs/{hub}/state", "online", retained=True)
        self.will = Publication(f"hubs/{hub}/state", "offline", retained=True)

    def said(self, weight_g: float | None, *, stable: bool, at_ns: int) -> Publication:
        """One weight; None: the cell is out of its range."""
        self._sequence += 1
        sent = {
            "g": None if weight_g is None else round(weight_g, 1),
            "ok": stable,
            "seq": self._sequence,
            "ts": at_ns // 1_000_000,
        }
        return Publication(f"plates/{self._name}", sent)
