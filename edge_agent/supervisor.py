"""Keeps every device running: back-off for what the world causes, a budget for what we cause ourselves."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from traceback import extract_tb
from typing import Protocol
from urllib.parse import urlsplit

from edge_agent.contract.errors import DeviceError, ShelfEdgeError
from edge_agent.drivers import Driver, Framed
from edge_agent.drivers.port import Mark, mark_of
from edge_agent.readings import Emit
from edge_agent.service import metrics

log = logging.getLogger(__name__)

FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 60.0
LONGEST_LOCAL_DELAY_S = 15.0
"""The same for a port of this machine: a scale that gets its power back shows it to nobody but who asks."""
STEADY_S = 30.0
"""A device that ran this long starts its back-off from the beginning."""
LOOK_EVERY_S = 0.5
"""How often a port that waits out its back-off is looked for: looking costs a `stat`, trying costs more."""
SPREAD_S = 0.5
"""What comes back together is tried again spread over this time."""
CRASHES, CRASH_WINDOW_S = 5, 60.0
"""More unexpected exceptions than this in the window: the device is failed, the rest goes on."""


class Lost(Protocol):
    """Who is told that a device is lost, each time that a try ends."""

    async def __call__(self, device: str, reason: str, *, hint: str) -> None:
        """`reason` is the sentence with its error code, `hint` what to do."""
        ...


def backoff_s(attempt: int, *, first_s: float = FIRST_DELAY_S, longest_s: float = LONGEST_DELAY_S) -> float:
    """Full jitter: uniform between 0 and min(longest, first·2^attempt), attempt from 0."""
    return random.uniform(0, min(longest_s, first_s * 2 ** min(attempt, 16)))


@dataclass(slots=True)
class KeptDevice:
    """One device that is kept running. `make` builds a new driver for every try.

    `port` is the serial port or the address (`socket://…`) that it hangs on, if any. A serial port that is
    plugged in again ends the back-off at once; a device behind the same network address that is back does
    so too (`nudge_neighbours`), since nothing can be seen of a port server but by trying.
    """

    device: str
    make: Callable[[], Driver]
    lost: Lost
    port: str | None = None
    restarts: int = 0
    _driver: Driver | None = None
    _skipped_before: int = 0
    _crashes: deque[float] = field(default_factory=deque)
    _crashed_at: set[str] = field(default_factory=set)
    _nudged: bool = False
    _life: asyncio.Timeout | None = None

    @property
    def host(self) -> str | None:
        """The port server that it hangs on, if it does."""
        if self.port is None or "://" not in self.port:
            return None
        return urlsplit(self.port).netloc.rpartition(":")[0]

    @property
    def _is_local(self) -> bool:
        return self.port is not None and self.host is None

    @property
    def skipped_bytes(self) -> int:
        """Bytes from the device that were no part of a good frame, since the start."""
        return self._skipped_before + (self._driver.skipped_bytes if isinstance(self._driver, Framed) else 0)

    async def run(self, emit: Emit) -> None:
        """Run until cancelled, or until the crash budget is spent."""
        attempt = 0
        while True:
            started, mark = time.monotonic(), self._mark()
            self._nudged = False
            ended = await self._try(emit)
            if ended is None:
                attempt = 0
                continue
            reason, hint = ended
            if self._spent():
                log.error("%s failed more than %d times in a minute: given up", self.device, CRASHES)
                await self.lost(self.device, f"failed: {reason}", hint="please report it; restart the agent")
                return
            attempt = 0 if time.monotonic() - started > STEADY_S else attempt + 1
            await self.lost(self.device, reason, hint=hint)
            self.restarts += 1
            metrics.device_restarts.labels(self.device).inc()
            longest_s = LONGEST_LOCAL_DELAY_S if self._is_local else LONGEST_DELAY_S
            if await self._plugged_in_within(backoff_s(attempt, longest_s=longest_s), mark):
                attempt = 0

    def nudge(self) -> None:
        """Try again soon: something that the device needs is back."""
        self._nudged = True

    def remake(self, make: Callable[[], Driver]) -> None:
        """Go on at once with drivers that `make` builds: the settings have changed. That is no loss."""
        self.make = make
        self.nudge()
        if self._life is not None and not self._life.expired():
            self._life.reschedule(asyncio.get_running_loop().time())

    async def _try(self, emit: Emit) -> tuple[str, str] | None:
        """One life of the driver; returns why it ended and what to do, None when it is to be another one."""
        life = asyncio.timeout(None)
        try:
            async with life:
                self._life = life
                self._driver = self.make()
                await self._driver.run(emit)
        except Exception as error:  # noqa: BLE001  # a driver's defect may not end the others
            if life.expired():
                return None
            cause = _cause(error)
            if isinstance(cause, ShelfEdgeError):
                return str(cause), cause.hint
            self._note_crash(cause)
            return f"{type(cause).__name__}: {cause}", "please report it with the traceback of the log"
        finally:
            self._skipped_before, self._driver, self._life = self.skipped_bytes, None, None
        return "the driver ended by itself", ""

    async def _plugged_in_within(self, delay_s: float, mark: Mark | None) -> bool:
        """Wait out the back-off; True when it ended early because the port came (back)."""
        log.debug("%s: next try in %.1f s", self.device, delay_s)
        until = time.monotonic() + delay_s
        while (left_s := until - time.monotonic()) > 0:
            if not self._nudged:  # as it may have been while the loss was written down
                await asyncio.sleep(min(left_s, LOOK_EVERY_S))
            before, mark = mark, self._mark()
            plugged = mark is not None and mark != before
            if plugged or self._nudged:
                await asyncio.sleep(random.uniform(0, SPREAD_S))
                return plugged
        return False

    def _mark(self) -> Mark | None:
        return mark_of(self.port) if self.port is not None and self._is_local else None

    def _note_crash(self, error: Exception) -> None:
        """The traceback once for each place where it happens."""
        self._crashes.append(time.monotonic())
        frames = extract_tb(error.__traceback__)
        place = f"{type(error).__name__} {frames[-1].filename}:{frames[-1].lineno}" if frames else repr(error)
        is_new = place not in self._crashed_at
        self._crashed_at.add(place)
        level = logging.ERROR if is_new else logging.DEBUG
        log.log(level, "%s: unexpected error: %s", self.device, error, exc_info=error if is_new else None)

    def _spent(self) -> bool:
        while self._crashes and time.monotonic() - self._crashes[0] > CRASH_WINDOW_S:
            self._crashes.popleft()
        return len(self._crashes) > CRASHES


async def keep_running(devices: Sequence[KeptDevice], emit: Emit) -> None:
    """Keep all devices running until cancelled; one that gives up does not end the others."""
    async with asyncio.TaskGroup() as group:
        for device in devices:
            group.create_task(device.run(emit), name=f"device:{device.device}")


def nudge_neighbours(devices: Iterable[KeptDevice], returned: str) -> None:
    """A device is back: those behind the same port server need not wait out their back-off."""
    known = {device.device: device for device in devices}
    host = known[returned].host if returned in known else None
    for device in known.values():
        if host is not None and device.host == host and device.device != returned:
            device.nudge()


def _cause(error: Exception) -> Exception:
    """A driver's own task group may raise several at once: a defect counts before what the world caused."""
    if not isinstance(error, ExceptionGroup):
        return error
    causes = [_cause(inner) for inner in error.exceptions]
    return min(causes, key=lambda cause: (isinstance(cause, ShelfEdgeError), isinstance(cause, DeviceError)))
