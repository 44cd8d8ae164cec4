"""What is wrong with what a device publishes on MQTT."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

from device_sims.mqtt_link import Publication

OUTLET_FAULTS = frozenset(
    ("mute", "half-frame", "garbage", "late-reply", "duplicate", "drop", "reorder", "stale-retained")
)


class Outlet:
    """The messages of one device with its faults. Seconds of the caller's clock; no I/O here."""

    def __init__(self, *, seed: str = "") -> None:
        self._rng = Random(f"{seed}/outlet")
        self._faults: dict[str, float] = {}
        self._silent = False
        self._messages = 0
        self._late: list[tuple[float, Publication]] = []
        self._held: Publication | None = None

    def begin(self, fault: str, amount: float = 0.0) -> None:
        """The fault is there from now on; ValueError for one that MQTT cannot have."""
        if fault not in OUTLET_FAULTS:
            raise ValueError(f"{fault} cannot befall a device on MQTT")
        self._faults[fault] = amount
        self._silent = False

    def end(self, fault: str) -> None:
        """It is gone; what was held back follows."""
        self._faults.pop(fault, None)
        self._silent = False

    def passed(self, said: Iterable[Publication], now_s: float) -> Iterator[Publication]:
        """What leaves the device now of what it would say."""
        if not self._faults and not self._late and self._held is None:
            yield from said
            return
        for one in said:
            for left in self._suffered(one):
                if "late-reply" in self._faults:
                    self._late.append((now_s + self._faults["late-reply"], left))
                else:
                    yield left
        if self._held is not None and "reorder" not in self._faults:
            held, self._held = self._held, None
            yield held
        while self._late and self._late[0][0] <= now_s:
            yield self._late.pop(0)[1]

    def _suffered(self, said: Publication) -> Iterator[Publication]:
        faults = self._faults
        if "mute" in faults or self._silent:
            return
        if "drop" in faults and self._rng.random() < faults["drop"]:
            return
        self._messages += 1
        if "half-frame" in faults:
            self._silent = True
            body = said.body
            yield replace(said, payload=body[: max(1, len(body) // 2)])
        elif "stale-retained" in faults:
            self._silent = True
            yield replace(said, retained=True)
        elif "garbage" in faults and self._messages % 2:
            yield replace(said, payload=self._rng.randbytes(self._rng.randint(1, 40)))
            yield said
        elif "reorder" in faults:
            held, self._held = self._held, said if self._held is None else None
            if held is not None:
                yield said
                yield held
        else:
            yield said
            if "duplicate" in faults:
                yield said
