"""The driver contract and the one table of drivers."""

from __future__ import annotations

from typing import Protocol

from edge_agent.readings import Emit


class Driver(Protocol):
    """One configured device on its real protocol.

    `run` lasts until it is cancelled. It raises `DeviceError` when the device is lost; the supervisor
    backs off and calls `run` again on a new object. It owns its resources and leaves none behind.
    A driver says `DeviceAnswered` as soon as the device has proved to be there.
    """

    async def run(self, emit: Emit) -> None:
        """Read the device and `await emit(readings)`; emit returns when they are durable."""
        ...
