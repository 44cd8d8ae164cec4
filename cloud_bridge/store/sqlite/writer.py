"""The one thread that writes: operations that wait together are committed together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from cloud_bridge.errors import Unavailable
from cloud_bridge.picture import FeedEntry
from cloud_bridge.store.records import FeedEvent
from cloud_bridge.store.sqlite.many import insert_many
from cloud_bridge.store.sqlite.schema import feed_epoch, open_writer

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_WAITING: Final = 512
"""Operations that may wait; one more is refused, so that agents back off instead of timing out."""
GROUP_ROWS: Final = 5_000
"""A group stops growing here: it bounds how long the first of it waits for its commit."""


@dataclass(slots=True)
class Transaction:
    """What an operation may use: the connection, and the feed to publish into."""

    connection: sqlite3.Connection
    epoch: str
    next_n: int
    published: list[FeedEvent] = field(default_factory=list)

    def publish(self, store: str, entries: list[FeedEntry]) -> None:
        """Number `entries` in commit order and keep them for readers that wait."""
        first = self.next_n
        insert_many(
            self.connection,
            "insert into feed (n, store, eid, seq, type, occurred_at, received_at, payload)",
            [
                (n, store, e.eid, e.seq, e.type, e.occurred_at, e.received_at, e.payload.decode())
                for n, e in enumerate(entries, first)
            ],
        )
        self.published += [FeedEvent(n, self.epoch, store, entry) for n, entry in enumerate(entries, first)]
        self.next_n += len(entries)


@dataclass(slots=True)
class _Waiting:
    operation: Callable[[Transaction], Any]
    rows: int
    future: asyncio.Future[Any]


_Outcome = tuple[asyncio.Future[Any], Any, BaseException | None]


class Writer:
    """Runs operations one by one on its own thread; each sees those before it, also uncommitted ones."""

    def __init__(self, path: Path, on_published: Callable[[list[FeedEvent]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_published = on_published
        self._connection = open_writer(path)
        self._epoch = feed_epoch(self._connection)
        self._waiting: queue.Queue[_Waiting | None] = queue.Queue(MAX_WAITING)
        self._begin()

    @property
    def depth(self) -> int:
        """How many operations wait."""
        return self._waiting.qsize()

    @property
    def is_alive(self) -> bool:
        """Whether commits can still happen."""
        return self._thread.is_alive()

    async def submit(self, operation: Callable[[Transaction], T], *, rows: int = 1) -> T:
        """Run `operation` in a transaction and return its result after the commit.

        An exception of the operation undoes the operation alone. Unavailable: the queue is full, or an
        error from COMMIT left its outcome unknown.
        """
        if not self.is_alive:
            raise Unavailable("the database writer has ended", hint="restart cloud-bridge; see its log")
        waiting = _Waiting(operation, rows, self._loop.create_future())
        try:
            self._waiting.put_nowait(waiting)
        except queue.Full:
            raise Unavailable("too many writes are waiting", hint="try again in a second") from None
        result: T = await waiting.future
        return result

    async def close(self) -> None:
        """Commit what waits, checkpoint, and end the thread."""
        await asyncio.to_thread(self._waiting.put, None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    # --- on the thread ---

    def _run(self) -> None:
        is_last = False
        while not is_last:
            group, is_last = self._take_group()
            if group:
                outcomes, published = self._commit(group)
                self._loop.call_soon_threadsafe(self._deliver, outcomes, published)
        try:
            self._connection.execute("pragma wal_checkpoint(truncate)")
        except sqlite3.Error as error:
            log.warning("last checkpoint failed, the next start repeats it: %s", error)

    def _take_group(self) -> tuple[list[_Waiting], bool]:
        group: list[_Waiting] = []
        rows = 0
        waiting = self._waiting.get()
        while waiting is not None:
            group.append(waiting)
            rows += waiting.rows
            if rows >= GROUP_ROWS:
                return group, False
            try:
                waiting = self._waiting.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit(self, group: list[_Waiting]) -> tuple[list[_Outcome], list[FeedEvent]]:
        try:
            self._connection.execute("begin immediate")
            (last_n,) = self._connection.execute("select coalesce(max(n), 0) from feed").fetchone()
            transaction = Transaction(self._connection, self._epoch, last_n + 1)
            outcomes = [(w.future, *self._attempt(w.operation, transaction)) for w in group]
            self._connection.execute("commit")
        except sqlite3.Error as error:
            log.error("commit failed, its outcome is unknown: %s", error)
            with contextlib.suppress(sqlite3.Error):  # a transaction that SQLite ended already
                self._connection.execute("rollback")
            unknown = Unavailable(f"the database refused the commit: {error}", hint="try again")
            return [(waiting.future, None, unknown) for waiting in group], []
        return outcomes, transaction.published

    def _attempt(
        self, operation: Callable[[Transaction], Any], transaction: Transaction
    ) -> tuple[Any, BaseException | None]:
        """Result or exception of one operation; a failed one leaves no trace in the transaction."""
        next_n, published = transaction.next_n, len(transaction.published)
        self._connection.execute("savepoint operation")
        try:
            outcome: tuple[Any, BaseException | None] = (operation(transaction), None)
        except Exception as error:
            if not self._connection.in_transaction:
                raise sqlite3.OperationalError(f"the transaction was lost: {error}") from error
            self._connection.execute("rollback to operation")
            transaction.next_n = next_n
            del transaction.published[published:]
            refused = (
                Unavailable(f"the database refused: {error}") if isinstance(error, sqlite3.Error) else error
            )
            outcome = (None, refused)
        self._connection.execute("release operation")
        return outcome

    # --- on the loop ---

    def _deliver(self, outcomes: list[_Outcome], published: list[FeedEvent]) -> None:
        if published:
            self._on_published(published)
        for future, result, error in outcomes:
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)
