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
from typing import Any, Protocol, TypeVar

from edge_agent.contract.errors import JournalError
from edge_agent.service import metrics

log = logging.getLogger(__name__)
T = TypeVar("T")

GROUP_LIMIT = 500
"""The most pieces of work in one transaction."""
AGAIN_AFTER_S = 1.0
"""Between two attempts while the disk refuses."""
PATIENCE_S = 5.0
"""How long a command lets a disk refuse."""
_MAY_PASS = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


@dataclass(slots=True)
class _Work:
    apply: Callable[[], Any]
    done: Future[Any]
    result: Any = None


class Written(Protocol):
    """Whose file it is. All of it runs on the writer thread."""

    def flush(self) -> None:
        """Inside each transaction, last."""

    def committed(self) -> None:
        """Behind each transaction."""

    def reread(self) -> bool:
        """After an error: take from the disk what is durable. True when the last transaction is."""

    def make_room(self) -> bool:
        """The disk is full. True when something was given up for the journal, so that trying is worth it."""


class Writer:
    """Owns the writing connection.

    A disk that is full or fails holds the writer: the group is tried again until it is durable, and whoever
    waits goes on waiting. Any other error ends it.
    """

    def __init__(self, connection: sqlite3.Connection, owner: Written, *, window_s: float) -> None:
        """`window_s`: how long the first of a group waits for others."""
        self._db, self._owner, self.window_s = connection, owner, window_s
        self._waiting: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._closing = threading.Event()
        self.refusal: str | None = None
        """What the disk says while nothing can be written."""
        self._begin()

    @property
    def failed(self) -> bool:
        """True once a write has failed for good: nothing is written any more."""
        return self._failure is not None

    def submit(self, apply: Callable[[], T]) -> Future[T]:
        """Queue work; the future has its result when it is durable, or JournalError.

        `apply` may run several times: what it did before an error is rolled back.
        """
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
        """Commit what is queued and end the thread. While the disk refuses, who waits gets JournalError."""
        self._closing.set()
        self._waiting.put(None)
        self._thread.join()

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    # --- on the thread ---

    def _run(self) -> None:
        while (work := self._waiting.get()) is not None:
            group, ended = self._gather(work)
            self._settle(group)
            if ended or self.failed:
                return

    def _settle(self, group: list[_Work]) -> None:
        try:
            self._make_durable(group)
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait must hear of it
            self._fail(group, error)
            return
        for item in group:
            item.done.set_result(item.result)

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

    def _make_durable(self, group: list[_Work]) -> None:
        """Until the group is on the disk. Raises what does not pass, or the disk's refusal at the stop."""
        since_s = time.monotonic()
        while True:
            try:
                self._commit(group)
                break
            except sqlite3.Error as error:
                refusal = _refusal(error)
            if self._is_durable():
                break
            if refusal.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL and self._owner.make_room():
                continue
            self._hold(refusal, len(group))
        metrics.journal_commits.inc()
        if self.refusal is not None:
            self.refusal = None
            metrics.journal_held.set(0)
            log.warning("the journal is written again after %.0f s", time.monotonic() - since_s)
        self._owner.committed()

    def _commit(self, group: list[_Work]) -> None:
        self._db.execute("begin immediate")
        for item in group:
            item.result = item.apply()
        self._owner.flush()
        self._db.execute("commit")

    def _is_durable(self) -> bool:
        """The outcome of a write that failed is unknown, above all a COMMIT's: the disk decides."""
        while True:
            try:
                if self._db.in_transaction:  # a full disk may have ended it already
                    self._db.execute("rollback")
                return self._owner.reread()
            except sqlite3.Error as error:
                self._hold(_refusal(error), 0)

    def _hold(self, refusal: sqlite3.Error, pieces: int) -> None:
        """Wait a little; raises the refusal when the journal is being closed."""
        if self.refusal is None:
            log.error("the journal cannot be written (%s): %d pieces wait, devices are held", refusal, pieces)
            metrics.journal_held.set(1)
        self.refusal = str(refusal)
        if self._closing.wait(AGAIN_AFTER_S):
            raise refusal

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


def outcome(done: Future[T]) -> T:
    """The result of a write that a person waits for. JournalError when it is not durable in `PATIENCE_S`."""
    try:
        return done.result(PATIENCE_S)
    except TimeoutError:
        raise JournalError(
            f"the disk has not taken it in {PATIENCE_S:g} s",
            hint="see that the disk of agent.data_dir has room and is not failing, then ask again",
        ) from None


def _refusal(error: sqlite3.Error) -> sqlite3.Error:
    """The error again when it may pass: the disk is full or refuses. Raises it otherwise."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _MAY_PASS:
        raise error
    return error
