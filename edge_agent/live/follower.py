"""One listener's queue of lines: bounded, and the newest win, so that no listener holds a device up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Follower(Generic[T]):
    """Items in, JSON Lines out. Items become lines only when they are taken.

    `shown` makes a line of an item (None: nothing to show), `missing` the line that stands for a number of
    dropped items. `limit` is the sum of the items' sizes; beyond it the oldest are dropped and counted.
    """

    def __init__(
        self,
        limit: int,
        shown: Callable[[T], dict[str, object] | None],
        missing: Callable[[int], dict[str, object]],
    ) -> None:
        self._limit, self._shown, self._missing = limit, shown, missing
        self._held = self._dropped = 0
        self._waiting: deque[tuple[T, int]] = deque()
        self._news = asyncio.Event()

    def put(self, item: T, size: int = 1) -> None:
        """Add an item. Never blocks."""
        self._waiting.append((item, size))
        self._held += size
        while self._held > self._limit and len(self._waiting) > 1:
            self._held -= self._waiting.popleft()[1]
            self._dropped += 1
        self._news.set()

    def wake(self) -> None:
        """Let `lines` return although nothing has come."""
        self._news.set()

    async def lines(self, most: int = 200) -> bytes:
        """The lines of the oldest items, as soon as there are some or `wake` was called; perhaps none.

        Cancelling it loses nothing.
        """
        while not self._waiting and not self._news.is_set():
            await self._news.wait()
        self._news.clear()
        found: list[dict[str, object]] = []
        if self._dropped:
            found.append(self._missing(self._dropped))
            self._dropped = 0
        for _ in range(min(most, len(self._waiting))):
            item, size = self._waiting.popleft()
            self._held -= size
            line = self._shown(item)
            if line is not None:
                found.append(line)
        return as_lines(found)


def as_lines(objects: list[dict[str, object]]) -> bytes:
    """JSON Lines."""
    return b"".join(msgspec.json.encode(line) + b"\n" for line in objects)
