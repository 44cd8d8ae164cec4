"""Keeps every device running: back-off for what the world causes, a budget for what we cause ourselves."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from edge_agent.contract.errors import DeviceError, ShelfEdgeError
from edge_agent.drivers import Driver
from edge_agent.readings import Emit
from edge_agent.service import metrics

log = logging.getLogger(__name__)

FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 60.0
STEADY_S = 30.0
"""A device that ran this long starts its back-off from the beginning."""
CRASHES, CRASH_WINDOW_S = 5, 60.0
"""More unexpected exceptions than this in the window: the device is failed, the rest goes on."""

Lost = Callable[[str, str], Awaitable[None]]


def backoff_s(attempt: int, *, first_s: float = FIRST_DELAY_S, longest_s: float = LONGEST_DELAY_S) -> float:
    """Full jitter: uniform between 0 and min(longest, first·2^attempt), attempt from 0."""
    return random.uniform(0, min(longest_s, first_s * 2 ** min(attempt, 16)))


@dataclass(slots=True)
class KeptDevice:
    """One device that is kept running. `make` builds a new driver for every try."""

    device: str
    make: Callable[[], Driver]
    lost: Lost
    restarts: int = 0
    next_try_in_s: float = 0.0
    _crashes: deque[float] = field(default_factory=deque)
    _told: str | None = None

    async def run(self, emit: Emit) -> None:
        """Run until cancelled, or until the crash budget is spent."""
        attempt = 0
        while True:
            started = time.monotonic()
            reason = await self._try(emit)
            if self._spent():
                log.error("%s failed %d times in a minute: given up", self.device, CRASHES)
                await self.lost(self.device, f"failed: {reason}")
                return
            attempt = 0 if time.monotonic() - started > STEADY_S else attempt + 1
            await self.lost(self.device, reason)
            self.restarts += 1
            metrics.device_restarts.labels(self.device).inc()
            self.next_try_in_s = backoff_s(attempt)
            log.debug("%s: next try in %.1f s", self.device, self.next_try_in_s)
            await asyncio.sleep(self.next_try_in_s)

    async def _try(self, emit: Emit) -> str:
        """One life of the driver; returns why it ended."""
        try:
            await self.make().run(emit)
        except DeviceError as error:
            return str(error)
        except ShelfEdgeError as error:
            level = logging.DEBUG if str(error) == self._told else logging.WARNING
            self._told = str(error)
            log.log(level, "%s: %s%s", self.device, error, f" ({error.hint})" if error.hint else "")
            return str(error)
        except Exception as error:
            self._crashes.append(time.monotonic())
            log.exception("%s: unexpected error", self.device)
            return f"{type(error).__name__}: {error}"
        return "the driver ended by itself"

    def _spent(self) -> bool:
        while self._crashes and time.monotonic() - self._crashes[0] > CRASH_WINDOW_S:
            self._crashes.popleft()
        return len(self._crashes) >= CRASHES


async def keep_running(devices: list[KeptDevice], emit: Emit) -> None:
    """Keep all devices running until cancelled; one that gives up does not end the others."""
    async with asyncio.TaskGroup() as group:
        for device in devices:
            group.create_task(device.run(emit), name=f"device:{device.device}")
