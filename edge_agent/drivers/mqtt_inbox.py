"""What arrived on MQTT for one device. It outlives the driver: a restart of the driver loses nothing."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_agent.drivers.mqtt_deliveries import Delivery

BATCH = 500
BATCH_BYTES = 256 * 1024
"""The most messages that one get_batch returns, and about how many bytes: it keeps the event loop busy."""
UNATTENDED_S = 60.0
"""Messages wait this long for a driver that is being restarted; then they are let go, to free the others."""

_OVERHEAD = 256


@dataclass(slots=True, eq=False)
class Message:
    """One delivery. `retained` marks what its topic was last, which is no fresh observation."""

    topic: str
    payload: bytes
    retained: bool
    delivery: Delivery | None = None
    """What is acknowledged; None for QoS 0."""
    late: bool = False
    """It may have waited at the broker for minutes or hours, because we were away that long."""


class Session(Protocol):
    """What an inbox needs of the session that it belongs to."""

    def raise_if_down(self, inbox: Inbox) -> None:
        """Raise the reason of the outage; at most once for each inbox and outage."""

    def hold(self, change: int) -> None:
        """Bytes came into or left an inbox."""

    def finish(self, messages: Sequence[Message]) -> None:
        """One inbox is done with these."""


class Inbox:
    """What waits for one device, and what its driver has taken and not yet committed."""

    def __init__(self, session: Session, device: str, topic: str, state: str | None = None) -> None:
        self.device, self.topic, self.state = device, topic, state
        self.gone = False
        """The driver has told that the device itself says that it is offline."""
        self._session = session
        self._queue: deque[Message] = deque()
        self._taken: list[Message] = []
        self._news = asyncio.Event()
        self._told_outage = 0
        self._attended = False
        self._left_at_s: float | None = time.monotonic()

    @property
    def filters(self) -> tuple[str, ...]:
        """Messages on topics that match one of these are for the device."""
        return (self.topic,) if self.state is None else (self.topic, self.state)

    async def get_batch(self, limit: int = BATCH) -> list[Message]:
        """The oldest messages that wait, at least one; LinkLost when none waits and the broker is gone."""
        while not self._queue:
            self._session.raise_if_down(self)
            await self.news()
        batch, size = list[Message](), 0
        while self._queue and len(batch) < limit and size < BATCH_BYTES:
            batch.append(self._queue.popleft())
            size += len(batch[-1].payload)
        self._taken += batch
        self._session.hold(-_size(batch))
        return batch

    def ack(self) -> None:
        """Everything that get_batch has returned is committed."""
        taken, self._taken = self._taken, []
        self._session.finish(taken)

    async def news(self) -> None:
        """Wait until something arrives or the connection changes."""
        self._news.clear()
        await self._news.wait()

    def wake(self) -> None:
        """Something changed."""
        self._news.set()

    def put(self, message: Message) -> None:
        """Add a message behind the others."""
        self._queue.append(message)
        self._session.hold(_size((message,)))
        self._news.set()

    def tell_outage(self, outage: int) -> bool:
        """Whether this outage is still news to the driver; asking makes it known."""
        told, self._told_outage = self._told_outage, outage
        self.gone = self.gone and told == outage
        return told != outage

    def attend(self) -> None:
        """A driver takes over."""
        self._attended = True

    def serve(self) -> None:
        """The broker has granted the driver its topic: from now on it reads what waits."""
        self._left_at_s = None

    def leave(self) -> None:
        """The driver ended: what it took and did not finish waits for the next one, in its old place."""
        self._queue.extendleft(reversed(self._taken))
        self._session.hold(_size(self._taken))
        self._taken = []
        self._attended = False
        if self._left_at_s is None:
            self._left_at_s = time.monotonic()

    def abandon(self) -> int:
        """Give up what waits for a driver that does not come back; returns how many messages that were."""
        if self._attended or self._left_at_s is None or time.monotonic() - self._left_at_s < UNATTENDED_S:
            return 0
        waiting = list(self._queue)
        self._queue.clear()
        self._session.hold(-_size(waiting))
        self._session.finish(waiting)
        return len(waiting)


def _size(messages: Iterable[Message]) -> int:
    return sum(len(message.payload) + _OVERHEAD for message in messages)
