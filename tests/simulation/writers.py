"""The writers of journal and HQ without their threads: they commit on the loop, a moment after they are asked."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from cloud_bridge.store.sqlite import writer as hq
from edge_agent.journal import writer as journal

COMMIT_S = 0.003


class JournalWriter(journal.Writer):
    """`kill` forgets what is not committed."""

    def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due: asyncio.Handle | None = None

    def submit(self, apply: Callable[[], Any]) -> Future[Any]:
        done = super().submit(apply)
        if self._due is None:
            self._due = self._loop.call_later(COMMIT_S, self._commit_waiting)
        return done

    def close(self) -> None:
        self._commit_waiting()

    def kill(self) -> None:
        while (item := _next(self._waiting)) is not None:
            item.done.cancel()
        self._commit_waiting()

    def _commit_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        group = []
        while (work := _next(self._waiting)) is not None:
            group.append(work)
        if group:
            self._settle(group)


class HqWriter(hq.Writer):
    """`kill` forgets what is not committed; between commit and answer there is a moment too."""

    is_alive = True

    def _begin(self) -> None:
        self._due: asyncio.Handle | None = None

    async def submit(self, operation: Callable[[hq.Transaction], Any], *, rows: int = 1) -> Any:
        if self._due is None:
            self._due = self._loop.call_later(COMMIT_S, self._commit_waiting)
        return await super().submit(operation, rows=rows)

    async def close(self) -> None:
        self._commit_waiting()
        self._connection.close()

    def kill(self) -> None:
        if self._due is not None:
            self._due.cancel()
        self._connection.close()

    def _commit_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        group = []
        while (waiting := _next(self._waiting)) is not None:
            group.append(waiting)
        if group:
            self._loop.call_soon(self._deliver, *self._commit(group))


def _next(waiting: Any) -> Any:
    try:
        return waiting.get_nowait()
    except queue.Empty:
        return None
