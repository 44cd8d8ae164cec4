"""An Impinj R700 reader: tag events of its IoT Device Interface, published over MQTT with QoS 1.

Event shape after the R700 REST API v1 (`tagInventory`): one JSON object a message, EPC in base64url,
RSSI in hundredths of a dBm, times in RFC 3339 with nanoseconds.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

from device_sims.radio import Heard, Radio

_CHANNELS_KHZ = (920_625, 921_375, 922_125, 922_875, 923_625, 924_375)


class R700:
    """What the reader says of what its antennas hear."""

    def __init__(self, radio: Radio, *, seed: str = "") -> None:
        self._radio, self._rng = radio, Random(f"{seed}/r700")

    def look(self, elapsed_s: float, at_ns: int) -> Iterator[dict[str, Any]]:
        """Events of one stretch of inventory that ended at `at_ns` (nanoseconds since 1970)."""
        for heard in self._radio.hears(elapsed_s):
            yield self._event(heard, at_ns)

    def running(self, at_ns: int) -> dict[str, Any]:
        """The event that says that the inventory has started; it is about no tag."""
        status = {"inventoryStatus": "running"}
        return {"timestamp": _time(at_ns), "eventType": "inventoryStatus", "inventoryStatusEvent": status}

    def _event(self, heard: Heard, at_ns: int) -> dict[str, Any]:
        seen_ns = at_ns - self._rng.randrange(150_000_000)
        return {
            "timestamp": _time(at_ns),
            "eventType": "tagInventory",
            "tagInventoryEvent": {
                "epc": base64.urlsafe_b64encode(bytes.fromhex(heard.epc)).decode(),
                "antennaPort": heard.antenna,
                "antennaName": self._radio.facings[heard.antenna - 1],
                "peakRssiCdbm": round(heard.rssi_dbm * 100),
                "frequency": _CHANNELS_KHZ[heard.channel],
                "transmitPowerCdbm": 3000,
                "lastSeenTime": _time(seen_ns),
            },
        }


def _time(at_ns: int) -> str:
    moment = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ns % 1_000_000_000:09d}Z"
