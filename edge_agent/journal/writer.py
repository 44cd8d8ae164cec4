"""The one thread that writes to the journal: work that waits together is committed together."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from edge_agent.contract.errors import JournalError
from edge_agent.service import metrics

log = logging.getLogger(__name__)
T = TypeVar("T")

GROUP_LIMIT = 500
"""The most pieces of work in one transaction."""


@dataclass(slots=True)
class _Work:
    apply: Callable[[], Any]
    done: Future[Any]
    result: Any = None


class Writer:
    """Owns the writing connection. `flush` runs inside each transaction, last; `committed` behind it."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        window_s: float,
        flush: Callable[[], None],
        committed: Callable[[], None],
    ) -> None:
        """`window_s`: how long the first of a group waits for others."""
        self._db, self.window_s = connection, window_s
        self._flush, self._committed = flush, committed
        self._waiting: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> bool:
        """True once a write has failed: nothing is written any more."""
        return self._failure is not None

    def submit(self, apply: Callable[[], T]) -> Future[T]:
        """Queue work; the future has its result when it is durable, or JournalError."""
        done: Future[T] = Future()
        # Running from the start: a cancelled caller stops waiting, it does not undo the write.
        done.set_running_or_notify_cancel()
        if self._failure is not None:
            done.set_exception(JournalError(f"the journal failed: {self._failure}"))
        else:
            self._waiting.put(_Work(apply, done))
            if self.failed:  # the thread ended in between and reads no more
                self._drain([])
        return done

    def close(self) -> None:
        """Commit what is queued and end the thread."""
        self._waiting.put(None)
        self._thread.join()

    # --- on the thread ---

    def _run(self) -> None:
        while (work := self._waiting.get()) is not None:
            group, ended = self._gather(work)
            try:
                self._commit(group)
            except Exception as error:  # noqa: BLE001  # whatever it is, those who wait must hear of it
                # The outcome of a failed COMMIT is unknown: the process ends and reads the disk again.
                self._fail(group, error)
                return
            for item in group:
                item.done.set_result(item.result)
            if ended:
                return

    def _gather(self, first: _Work) -> tuple[list[_Work], bool]:
        group, deadline = [first], time.monotonic() + self.window_s
        while len(group) < GROUP_LIMIT:
            try:
                work = self._waiting.get_nowait()
            except queue.Empty:
                try:
                    work = self._waiting.get(timeout=max(0.0, deadline - time.monotonic()))
                except queue.Empty:
                    break
            if work is None:
                return group, True
            group.append(work)
        return group, False

    def _commit(self, group: list[_Work]) -> None:
        self._db.execute("begin immediate")
        for item in group:
            item.result = item.apply()
        self._flush()
        self._db.execute("commit")
        metrics.journal_commits.inc()
        self._committed()

    def _fail(self, group: list[_Work], error: BaseException) -> None:
        log.critical("journal write failed: %s", error)
        self._failure = error
        self._drain(group)

    def _drain(self, group: list[_Work]) -> None:
        try:
            while True:
                group += filter(None, [self._waiting.get_nowait()])
        except queue.Empty:
            for item in group:
                item.done.set_exception(JournalError(f"the journal cannot be written: {self._failure}"))
