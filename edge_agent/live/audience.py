"""Who follows a device live, each with a bounded queue; nearly free while there is nobody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from edge_agent.contract.times import rfc3339
from edge_agent.drivers.decode import reading_json
from edge_agent.live.follower import Follower
from edge_agent.readings import DeviceAnswered, DeviceDegraded, DeviceNoted, LineCrossing, Reading

READINGS_KEPT = 2_000
"""Readings that wait for one follower; then the oldest are dropped and counted, never the device held up."""


@dataclass(frozen=True, slots=True)
class DeviceLost:
    """The supervisor lost the device; it is tried again."""

    device: str
    reason: str


Told = Reading | DeviceLost


class Audience:
    """The followers of every device's readings."""

    def __init__(self) -> None:
        self._followers: dict[str, list[Follower[Told]]] = {}

    def tell(self, told: Sequence[Told]) -> None:
        """Show what a device said to those who follow it. Never blocks."""
        if not self._followers:
            return
        for item in told:
            for follower in self._followers.get(item.device, ()):
                follower.put(item)

    @contextmanager
    def follow(self, device: str) -> Iterator[Follower[Told]]:
        """Hear what the device says while the block lasts."""
        follower = readings_follower()
        followers = self._followers.setdefault(device, [])
        followers.append(follower)
        try:
            yield follower
        finally:
            followers.remove(follower)
            if not followers:
                del self._followers[device]


def readings_follower() -> Follower[Told]:
    """A queue of what one device says, as the lines of `watch`."""
    return Follower(READINGS_KEPT, told_json, lambda dropped: {"kind": "dropped", "lines": dropped})


def told_json(told: Told) -> dict[str, object] | None:
    """One line of `watch`: a reading, a crossing, or `{"kind": "status", …}`; None for what says nothing."""
    match told:
        case DeviceAnswered():
            return status_json(told.device, "online", None, told.identity)
        case DeviceNoted():
            return status_json(told.device, "online", told.note)
        case DeviceDegraded():
            return status_json(told.device, "degraded", told.reason)
        case DeviceLost():
            return status_json(told.device, "offline", told.reason)
        case LineCrossing():
            return {
                "kind": "crossing",
                "device": told.device,
                "line": told.line,
                "direction": told.direction,
                "occurred_at": rfc3339(told.occurred_at),
            }
        case _:
            return reading_json(told)


def status_json(
    device: str, status: str, reason: str | None, identity: str | None = None
) -> dict[str, object]:
    """How the device is."""
    return {"kind": "status", "device": device, "status": status, "reason": reason, "identity": identity}
