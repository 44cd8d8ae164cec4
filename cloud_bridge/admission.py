"""How much HQ takes in at once: beyond it, stores are asked to come again later."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from cloud_bridge.errors import TooOften, Unavailable
from cloud_bridge.problems import Handler
from edge_agent.contract.messages import MAX_BATCH_BYTES

_UNPACKED: Final = 16
"""A compressed body is taken for so many times its size, at most the limit of a body."""
BYTES_AT_ONCE: Final = 256 * 1024 * 1024
FORKS: Final = 5
"""So many moves to another line of history within FORKS_WITHIN_S are more than restored disks explain."""
FORKS_WITHIN_S: Final = 600.0
PAUSE_S: Final = 60.0


class Bodies:
    """Bodies of sync calls that are being worked on, in bytes."""

    def __init__(self, limit_bytes: int = BYTES_AT_ONCE) -> None:
        self._limit, self._taken = limit_bytes, 0

    @contextmanager
    def room_for(self, size: int) -> Iterator[None]:
        """Hold `size` bytes during the block. Unavailable: there is no room for them now."""
        if self._taken and self._taken + size > self._limit:
            raise Unavailable("too many batches are being taken in", hint="try again in a second")
        self._taken += size
        try:
            yield
        finally:
            self._taken -= size


def admitting(bodies: Bodies) -> Middleware:
    """A middleware that refuses a sync call's body before it is read."""

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method != "POST" or not request.path.startswith("/v1/sync/"):
            return await handler(request)
        with bodies.room_for(unpacked_size(request)):
            return await handler(request)

    return admit


def unpacked_size(request: web.Request) -> int:
    """What a request's body may become in memory, from its headers alone."""
    length = request.content_length
    if length is None:
        return MAX_BATCH_BYTES
    factor = _UNPACKED if "Content-Encoding" in request.headers else 1
    return min(MAX_BATCH_BYTES, length * factor)


class Forks:
    """Who keeps moving between lines of history: two gateways that tell for one store, one copied from the
    other. Nothing of either is lost or doubled, but each turn folds the store's history anew.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._moves: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=FORKS))

    def moved(self, store: str) -> bool:
        """A store went over to another line of history; True when that is once too often by now."""
        self._moves[store].append(self._now_s())
        return self._are_many(store)

    def admit(self, store: str) -> None:
        """TooOften when a store that moves too often should wait before its next hello."""
        if not self._are_many(store):
            return
        wait_s = PAUSE_S - (self._now_s() - self._moves[store][-1])
        if wait_s > 0:
            raise TooOften(
                f"store {store} goes back and forth between histories: do two gateways use its token?",
                hint="give the token to one gateway only; then wait a minute",
                retry_after_s=wait_s,
            )

    def made_to_wait(self) -> list[str]:
        """Stores that move too often now, sorted: between two of their hellos there has to be a minute."""
        return sorted(filter(self._are_many, self._moves))

    def _are_many(self, store: str) -> bool:
        moves = self._moves.get(store)
        return moves is not None and len(moves) == FORKS and self._now_s() - moves[0] <= FORKS_WITHIN_S
