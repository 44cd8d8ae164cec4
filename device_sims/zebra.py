"""A Zebra reader with the IoT Connector: tag data events as it publishes them over MQTT.

Event shape after Zebra's IoT Connector guide (data interface): `{data, timestamp, type}`, EPC in upper-case
hexadecimal, RSSI in dBm, channel in MHz, times with milliseconds and an offset without a colon; `eventNum`
rises by one with every tag event since the reader was switched on. What `data` carries depends on the mode.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any, Literal

from device_sims.scenario import Noise
from device_sims.world import Tag, World

Mode = Literal["SIMPLE", "INVENTORY", "PORTAL", "CUSTOM"]

_MEAN_DBM = -50.0
_NEIGHBOUR_LOSS_DB = 8.0
_CHANNELS_MHZ = (865.7, 866.3, 866.9, 867.5)
_PC_96_BITS = "3000"


class IotcReader:
    """What the reader sees: antenna `n` hangs over the n-th of `facings`, its neighbours are in earshot."""

    def __init__(
        self, world: World, facings: Sequence[str], noise: Noise, *, seed: int, mode: Mode = "INVENTORY"
    ) -> None:
        self._world, self._facings, self._noise, self._mode = world, list(facings), noise, mode
        self._rng = Random(f"{seed}/iotc")
        self._event_number = 0

    def power_on(self) -> None:
        """Switched off and on: the events are counted anew."""
        self._event_number = 0

    def look(self, elapsed_s: float, at_ns: int) -> Iterator[dict[str, Any]]:
        """Events of one stretch of reading that ended at `at_ns` (nanoseconds since 1970)."""
        for index, facing in enumerate(self._facings):
            for tag in self._world.tags(facing):
                chance = 1.0 - (1.0 - tag.read_per_s) ** elapsed_s
                if self._rng.random() < chance:
                    yield self._event(tag, index, at_ns, loss_db=0.0)
                neighbour = index + self._rng.choice((-1, 1))
                is_near = 0 <= neighbour < len(self._facings)
                if is_near and self._rng.random() < chance * self._noise.cross_read_share:
                    yield self._event(tag, neighbour, at_ns, loss_db=_NEIGHBOUR_LOSS_DB)

    def heartbeat(self, at_ns: int) -> dict[str, Any]:
        """The sign of life of its health interface; it is about no tag."""
        return {"type": "HEARTBEAT", "status": "ok", "timestamp": _time(at_ns)}

    def _event(self, tag: Tag, antenna: int, at_ns: int, *, loss_db: float) -> dict[str, Any]:
        self._event_number += 1
        data: dict[str, Any] = {
            "eventNum": self._event_number,
            "format": "epc",
            "idHex": tag.epc.upper(),
        }
        rssi_dbm = _MEAN_DBM + tag.rssi_offset_db - loss_db + self._rng.gauss(0.0, 1.0)
        if self._mode != "SIMPLE":
            data |= {"antenna": antenna + 1, "peakRssi": round(rssi_dbm), "reads": self._rng.randint(1, 9)}
        if self._mode == "CUSTOM":
            data |= {"PC": _PC_96_BITS, "CRC": f"{self._rng.randrange(1 << 16):04X}"}
            data |= {"channel": self._rng.choice(_CHANNELS_MHZ), "phase": round(self._rng.uniform(0, 180), 1)}
        return {"data": data, "timestamp": _time(at_ns), "type": self._mode}


def _time(at_ns: int) -> str:
    moment = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ns // 1_000_000 % 1000:03d}+0000"
