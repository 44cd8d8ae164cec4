"""A Zebra reader with the IoT Connector: tag data events as it publishes them over MQTT.

Event shape after Zebra's IoT Connector guide (data interface): `{data, timestamp, type}`, EPC in upper-case
hexadecimal, RSSI in dBm, channel in MHz, times with milliseconds and an offset without a colon; `eventNum`
rises by one with every tag event since the reader was switched on. What `data` carries depends on the mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any, Literal

from device_sims.m100 import tag_crc
from device_sims.radio import Heard, Radio

Mode = Literal["SIMPLE", "INVENTORY", "PORTAL", "CUSTOM"]

_CHANNELS_MHZ = (865.7, 866.3, 866.9, 867.5)
_PC_96_BITS = "3000"


class IotcReader:
    """What the reader says of what its antennas hear."""

    def __init__(self, radio: Radio, *, seed: str = "", mode: Mode = "INVENTORY") -> None:
        self._radio, self._mode = radio, mode
        self._rng = Random(f"{seed}/iotc")
        self._event_number = 0

    def power_on(self) -> None:
        """Switched off and on: the events are counted anew."""
        self._event_number = 0

    def look(self, elapsed_s: float, at_ns: int) -> Iterator[dict[str, Any]]:
        """Events of one stretch of reading that ended at `at_ns` (nanoseconds since 1970)."""
        for heard in self._radio.hears(elapsed_s):
            yield self._event(heard, at_ns)

    def heartbeat(self, at_ns: int) -> dict[str, Any]:
        """The sign of life of its health interface; it is about no tag."""
        return {"type": "HEARTBEAT", "status": "ok", "timestamp": _time(at_ns)}

    def _event(self, heard: Heard, at_ns: int) -> dict[str, Any]:
        self._event_number += 1
        data: dict[str, Any] = {
            "eventNum": self._event_number,
            "format": "epc",
            "idHex": heard.epc.upper(),
        }
        if self._mode != "SIMPLE":
            strength = {"antenna": heard.antenna, "peakRssi": round(heard.rssi_dbm)}
            data |= {**strength, "reads": self._rng.randint(1, 9)}
        if self._mode == "CUSTOM":
            words = bytes.fromhex(_PC_96_BITS + heard.epc)
            data |= {"PC": _PC_96_BITS, "CRC": tag_crc(words).hex().upper()}
            data |= {
                "channel": _CHANNELS_MHZ[heard.channel % 4],
                "phase": round(self._rng.uniform(0, 180), 1),
            }
        return {"data": data, "timestamp": _time(at_ns), "type": self._mode}


def _time(at_ns: int) -> str:
    moment = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ns // 1_000_000 % 1000:03d}+0000"
