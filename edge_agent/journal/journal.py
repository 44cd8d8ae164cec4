"""The store's memory: state, positions and outbox in SQLite; one writer thread, group commit."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from edge_agent.contract.digest import Digest, sums_of
from edge_agent.contract.errors import JournalError
from edge_agent.contract.messages import CHAIN_START, OutboxRow, chain_next, encode
from edge_agent.contract.times import rfc3339, utc_now
from edge_agent.journal import file
from edge_agent.journal.ballast import Ballast
from edge_agent.journal.capture import Capture
from edge_agent.journal.hours import forget_hours, keep_hours
from edge_agent.journal.outbox import rows_between
from edge_agent.journal.state import (
    Restored,
    SyncPosition,
    forget_lines,
    keep_buckets,
    keep_conditions,
    keep_effects,
    keep_lines,
    keep_quantities,
    restore,
)
from edge_agent.journal.writer import Writer
from edge_agent.lines import Key

T = TypeVar("T")

EVENT_VERSION = 1


def new_eid() -> bytes:
    """The identity of one event for ever: 16 bytes that nobody has given before."""
    return secrets.token_bytes(16)


class Journal:
    """One file, owned by one process. Writes are handed to the writer thread and awaited."""

    def __init__(
        self,
        data_dir: Path,
        *,
        commit_window_s: float = 0.005,
        writer: type[Writer] = Writer,
        new_eid: Callable[[], bytes] = new_eid,
        ballast_bytes: int = 0,
        opener: file.Opener = file.ON_DISK,
    ) -> None:
        """Open or create `data_dir/journal.db`. JournalLocked when another process has it, JournalError
        when the disk refuses.

        A file that fails `quick_check` is moved aside, never deleted, and a new one is begun. `ballast_bytes`
        of the disk are kept free for it in a file beside it; 0: none.
        """
        self.position: SyncPosition
        self.last_seq: int
        self.last_chain: bytes
        self._last_line: int
        self.path, self._new_eid = data_dir / "journal.db", new_eid
        self.ballast = Ballast(data_dir / "ballast", ballast_bytes)
        self._opener = opener
        self._page_limit = 0
        self.boot_id = secrets.token_hex(8)
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            self._lock = file.lock(data_dir / "journal.lock")
            try:
                self._open_with_room()
            except BaseException:
                self._lock.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise JournalError(
                f"{self.path} cannot be opened: {error}",
                hint="see that agent.data_dir is this user's and that its disk has room",
            ) from error
        self._rows: list[tuple[Any, ...]] = []
        self.on_commit: Callable[[int], None] = _nobody
        """Called in the writer thread after a commit that added rows, with the newest durable seq."""
        self.commits = 0
        self._writer = writer(self._db, self, window_s=commit_window_s)

    def _open_with_room(self) -> None:
        try:
            self._open()
        except sqlite3.Error:  # opening writes a little too
            if not self.ballast.release():
                raise
            self._open()

    def _open(self) -> None:
        self.moved_aside = file.move_damaged_aside(self.path)
        self._db = file.prepared(self._opener.writing(self.path))
        try:
            self._load()
        except BaseException:
            self._db.close()
            raise

    def _load(self) -> None:
        self.durability = file.durability_of(self._db)
        """(journal mode, synchronous level), as SQLite itself says."""
        self.agent_id = self._identity("agent_id", secrets.token_hex(16))
        self._db.execute("insert or ignore into sync values(1, 0, ?, '', 0, 0)", (CHAIN_START,))
        self._take_durable()
        self.restored: Restored = restore(self._db)
        self.durable_seq = self.last_seq
        self._reader = self._opener.reading(self.path)
        self._reader_lock = threading.Lock()

    # --- writing ---------------------------------------------------------------------------

    def submit(self, capture: Capture) -> Future[None]:
        """Queue one capture; the future is done when it is durable, or failed and not to be relied on."""
        return self._writer.submit(lambda: self._apply(capture))

    @property
    def failed(self) -> bool:
        """True once a write has failed for good: the process must end and read the disk again."""
        return self._writer.failed

    @property
    def refusal(self) -> str | None:
        """What the disk says while it takes nothing and those who wait go on waiting; None when it does."""
        return self._writer.refusal

    def acknowledged(self, branch: str, *, applied: int, safe: int) -> Future[None]:
        """Store what HQ said it has."""
        return self._writer.submit(lambda: self._acknowledge(branch, applied, safe))

    def prune(self, upto_seq: int) -> Future[None]:
        """Forget rows <= `upto_seq`; never more than HQ's min(safe, applied)."""
        return self._writer.submit(
            lambda: self._prune(min(upto_seq, self.position.applied, self.position.safe))
        )

    def prune_applied(self, upto_seq: int) -> Future[None]:
        """Forget rows <= `upto_seq` that HQ has, though not for good: only where the disk is full."""
        return self._writer.submit(lambda: self._prune(min(upto_seq, self.position.applied)))

    def forget_others(self, *, facings: Mapping[str, str], devices: Collection[str]) -> Future[None]:
        """Drop the state of facings (id to GTIN) and devices that the configuration no longer names."""
        return self._writer.submit(lambda: self._forget_others(facings, devices))

    def forget_lines(self, before: str) -> Future[Any]:
        """Forget one step of the lines that were taken before `before` (RFC 3339), never the newest."""
        return self._writer.submit(lambda: forget_lines(self._db, before))

    def forget_hours(self, before: str) -> Future[Any]:
        """Forget some hours of zones and heat maps that started before `before` (RFC 3339)."""
        return self._writer.submit(lambda: forget_hours(self._db, before))

    def gather_for(self, window_s: float) -> None:
        """From now on the first of a group waits so long for others."""
        self._writer.window_s = window_s

    def limit_pages(self, pages: int) -> None:
        """Let the file grow to at most `pages` pages: a full disk for tests and drills.

        It holds from the next write on, and from the next attempt of one that the disk refuses.
        """
        self._page_limit = pages

    def remember(self, key: str, value: str) -> Future[Any]:
        """Store one identity value (for example the digest of the planogram in use)."""
        return self._writer.submit(lambda: self._remember(key, value))

    def recall(self, key: str) -> str | None:
        """A value stored by `remember`."""
        row = self._read("select value from identity where key = ?", (key,))
        return row[0][0] if row else None

    # --- reading (its own read-only connection) ----------------------------------------------

    def content_of(self, key: Key) -> str | None:
        """What the durable line of this key says, or None when there is none."""
        found = self._read("select content from line where kind = ? and document = ? and line = ?", key)
        return found[0][0] if found else None

    def rows_after(self, seq: int, *, limit: int) -> list[OutboxRow]:
        """Durable rows with a higher seq, in order."""
        upto = self.durable_seq
        return self.look(lambda db: rows_between(db, seq, upto, limit=limit))

    def look(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """One short question to the reading connection; nobody else reads meanwhile."""
        with self._reader_lock:
            return question(self._reader)

    def chain_at(self, seq: int) -> bytes | None:
        """The chain after row `seq`, or None when it is older than the base or not written yet."""
        found = self._read("select chain from outbox where seq = ?", (seq,))
        if found:
            return bytes(found[0][0])
        at = self.position  # looked at last: pruning in between has moved it by now
        return at.base_chain if seq == at.base_seq else None

    def chains_at(self, seqs: Sequence[int]) -> list[tuple[int, bytes]]:
        """(seq, chain) for those of `seqs` that exist, in the order asked."""
        statement = "select seq, chain from outbox where seq in (select value from json_each(?))"
        found = dict(self._read(statement, (encode(seqs).decode(),)))
        at = self.position  # looked at last, as in `chain_at`
        found.setdefault(at.base_seq, at.base_chain)
        return [(seq, found[seq]) for seq in seqs if seq in found]

    def present(self) -> tuple[int, Restored]:
        """The newest durable seq and the whole state at exactly that point."""
        return self._at_newest(restore)

    def digest(self) -> Digest:
        """What the durable counts add up to, and at which row."""
        counts = "select facing, gtin, on_hand from facing where on_hand is not null"
        at_seq, sums = self._at_newest(lambda db: sums_of(db.execute(counts)))
        return Digest(at_seq=at_seq, sums=sums)

    def _at_newest(self, question: Callable[[sqlite3.Connection], T]) -> tuple[int, T]:
        """The newest durable seq, and an answer that is true exactly there."""
        with self._reader_lock:
            self._reader.execute("begin")
            try:
                newest = self._reader.execute("select max(seq) from outbox").fetchone()[0]
                answer = question(self._reader)
            finally:
                self._reader.execute("rollback")
        return self.position.base_seq if newest is None else newest, answer

    def newest_seq_before(self, occurred_at: str) -> int:
        """What retention may forget: the newest of the oldest rows that HQ has for good and that were
        captured before `occurred_at` (RFC 3339), or the base. It reads those rows and one more."""
        at = self.position
        known = min(at.applied, at.safe)
        found = self._read(
            "select seq from outbox where seq <= ? and occurred_at >= ? order by seq limit 1",
            (known, occurred_at),
        )
        return max(at.base_seq, int(found[0][0]) - 1 if found else known)

    def used_bytes(self) -> int:
        """What the file holds; pages that pruning has freed are used again and do not count."""
        return self.look(file.used_bytes_of)[0]

    def room_bytes(self) -> int:
        """What can still be written: pages that pruning has freed, and what is free on the disk."""
        return self.look(file.used_bytes_of)[1] + shutil.disk_usage(self.path.parent).free

    def damaged_files(self) -> list[str]:
        """Journals that were found damaged and moved aside, the oldest first; a person takes them away."""
        return sorted(path.name for path in self.path.parent.glob("journal.damaged-*.db"))

    def close(self) -> None:
        """Commit what is queued, checkpoint, release the file."""
        self._writer.close()
        self._reader.close()
        self._db.close()
        self._lock.close()

    # --- inside the transaction, on the writer thread ---------------------------------------------

    def _apply(self, capture: Capture) -> None:
        for event in capture.effects.events:
            self._append(event.kind, encode(event.body).decode(), rfc3339(event.occurred_at))
        keep_effects(self._db, capture.effects)
        keep_conditions(self._db, capture.conditions)
        keep_buckets(self._db, capture.buckets)
        keep_quantities(self._db, capture.quantities)
        keep_lines(self._db, capture.lines, rfc3339(utc_now()))
        self._last_line += len(capture.lines)
        keep_hours(self._db, capture.hours)
        for key, value in capture.remembered.items():
            self._remember(key, value)
        if capture.facings is not None:
            self._forget_facings(capture.facings)

    def _remember(self, key: str, value: str) -> None:
        self._db.execute(
            "insert into identity(key, value) values(?, ?) on conflict do update set value = excluded.value",
            (key, value),
        )

    def _append(self, kind: str, body: str, occurred_at: str) -> None:
        eid = self._new_eid()
        self.last_chain = chain_next(self.last_chain, eid, kind, EVENT_VERSION, body)
        self.last_seq += 1
        self._rows.append(
            (
                self.last_seq, eid, self.last_chain, kind, EVENT_VERSION, occurred_at, self.boot_id,
                time.monotonic_ns() // 1_000_000, body,
            )
        )  # fmt: skip

    def flush(self) -> None:
        """The group's outbox rows in one statement: a call for each would cost more than the row itself."""
        rows, self._rows = self._rows, []
        self._db.executemany("insert into outbox values(?,?,?,?,?,?,?,?,?)", rows)
        if self._page_limit:
            self._limit_file()

    def committed(self) -> None:
        """What was written is durable."""
        self.commits += 1
        self._durable_chain, self._durable_line = self.last_chain, self._last_line
        if self.durable_seq != self.last_seq:
            self.durable_seq = self.last_seq
            self.on_commit(self.last_seq)

    def reread(self) -> bool:
        """Begin again from what is durable. True when that holds all rows and lines of the last transaction;
        one that had neither may be repeated, so it is not asked for."""
        self._rows = []
        hoped, before = (self.last_chain, self._last_line), (self._durable_chain, self._durable_line)
        self._take_durable()
        return hoped != before and hoped == (self.last_chain, self._last_line)

    def make_room(self) -> bool:
        """Give the ballast to the journal."""
        if self._page_limit:
            self._limit_file()
        return self.ballast.release()

    def _limit_file(self) -> None:
        self._db.execute(f"pragma max_page_count = {int(self._page_limit)}")

    def _acknowledge(self, branch: str, applied: int, safe: int) -> None:
        self._db.execute("update sync set branch = ?, applied = ?, safe = ?", (branch, applied, safe))
        at = self.position
        self.position = SyncPosition(at.base_seq, at.base_chain, branch, applied, safe)

    def _prune(self, upto_seq: int) -> None:
        at = self.position
        self.flush()
        if upto_seq <= at.base_seq:
            return
        chain = self._db.execute("select chain from outbox where seq = ?", (upto_seq,)).fetchone()[0]
        self._db.execute("delete from outbox where seq <= ?", (upto_seq,))
        self._db.execute("update sync set base_seq = ?, base_chain = ?", (upto_seq, chain))
        self.position = SyncPosition(upto_seq, chain, at.branch, at.applied, at.safe)

    def _forget_others(self, facings: Mapping[str, str], devices: Collection[str]) -> None:
        self._forget_facings(facings)
        for (device,) in self._db.execute("select device from device").fetchall():
            if device not in devices:
                self._db.execute("delete from device where device = ?", (device,))
        # A quantity with an open alarm stays until that is cleared at HQ too.
        for (device,) in self._db.execute("select device from environment where alarm is null").fetchall():
            if device not in devices:
                self._db.execute("delete from environment where device = ? and alarm is null", (device,))

    def _forget_facings(self, others_than: Mapping[str, str]) -> None:
        for name, gtin in self._db.execute("select facing, gtin from facing").fetchall():
            if others_than.get(name) != gtin:
                self._db.execute("delete from facing where facing = ?", (name,))

    # --- opening -----------------------------------------------------------------------------------

    def _read(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        return self.look(lambda db: db.execute(statement, values).fetchall())

    def _identity(self, key: str, otherwise: str) -> str:
        self._db.execute("insert or ignore into identity(key, value) values(?, ?)", (key, otherwise))
        return str(self._db.execute("select value from identity where key = ?", (key,)).fetchone()[0])

    def _take_durable(self) -> None:
        row = self._db.execute("select base_seq, base_chain, branch, applied, safe from sync").fetchone()
        self.position = SyncPosition(*row)
        last = self._db.execute("select seq, chain from outbox order by seq desc limit 1").fetchone()
        self.last_seq, self.last_chain = last or (self.position.base_seq, self.position.base_chain)
        self._last_line = self._db.execute("select coalesce(max(n), 0) from line").fetchone()[0]
        self._durable_chain, self._durable_line = self.last_chain, self._last_line


def _nobody(_seq: int) -> None:
    """Nobody waits for commits yet."""
