"""HQ in one SQLite file: one writer thread, a few readers that cannot write."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from cloud_bridge.errors import Unavailable
from cloud_bridge.picture import Picture
from cloud_bridge.rows import ReadyBatch
from cloud_bridge.store import OnPublished, cursors
from cloud_bridge.store.lines import Segment
from cloud_bridge.store.meeting import NeedsRefold, Refolded, Refolds
from cloud_bridge.store.records import (
    Applied,
    BackupRecord,
    CommandRecord,
    Credential,
    DeviceRecord,
    EnvironmentRecord,
    FacingCounts,
    FacingRecord,
    FeedPage,
    Figures,
    FootfallRecord,
    HandedOut,
    Heard,
    LoginSession,
    Person,
    PlanogramRecord,
    Published,
    PublishedRecord,
    Replayed,
    StoreRecord,
    Want,
    Welcome,
)
from cloud_bridge.store.sqlite import access, backup, commands, feed, published, reads, replay, upkeep
from cloud_bridge.store.sqlite.batch import apply_batch
from cloud_bridge.store.sqlite.hello import greet
from cloud_bridge.store.sqlite.history import refold
from cloud_bridge.store.sqlite.reserving import Reserving
from cloud_bridge.store.sqlite.restore import finish_restore
from cloud_bridge.store.sqlite.schema import feed_epoch, open_reader, past_epochs
from cloud_bridge.store.sqlite.state import apply_state
from cloud_bridge.store.sqlite.writer import Writer
from edge_agent.contract.digest import Digest
from edge_agent.contract.messages import Hello, State

T = TypeVar("T")
READERS: Final = 4


class SqliteEngine(Reserving):
    """See `cloud_bridge.store.Engine`. Made inside a running loop; `close` commits what waits."""

    heard_every_s: float = 10.0

    def __init__(
        self,
        path: Path,
        on_published: OnPublished = lambda _: None,
        *,
        safe: str = "applied",
        writer: type[Writer] = Writer,
    ) -> None:
        self._path = path
        self._safe = safe
        self._backed_up: dict[tuple[str, str], int] = {}
        finish_restore(path)
        self.writer = writer(path, on_published)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._held: set[str] = set()
        self._refolds = Refolds()
        self._standing: dict[str, tuple[str, Applied]] = {}
        with_epoch = open_reader(path)
        self._epoch, self._past = feed_epoch(with_epoch), past_epochs(with_epoch)
        with_epoch.close()

    async def close(self) -> None:
        """Commit what waits and close every connection, the writer last: it checkpoints."""
        for connection in self._opened:
            connection.interrupt()
        await asyncio.to_thread(self._readers.shutdown)
        for connection in self._opened:
            connection.close()
        await self.writer.close()

    @property
    def waiting(self) -> int:
        """How many writes wait."""
        return self.writer.depth

    @property
    def is_writable(self) -> bool:
        """Whether commits can still happen."""
        return self.writer.is_alive

    # --- sync ---

    async def hello(self, store: str, hello: Hello, *, received_at: str) -> Want | Welcome:
        """Find where an agent goes on and open its session, the only one that may write from then."""
        if store in self._held:
            raise Unavailable("rows that were set aside are taken in first", hint="say hello again")

        async def attempt(refolded: Refolded | None) -> Want | Welcome | NeedsRefold:
            work = partial(greet, store=store, hello=hello, refolded=refolded, received_at=received_at)
            return await self.writer.submit(work)

        async def fold(segments: list[Segment]) -> Picture:
            return await self._read(partial(refold, store=store, segments=segments, at=received_at))

        answer = await self._refolds.greeted(store, attempt, fold)
        if isinstance(answer, Welcome):
            self._standing[store] = answer.session, Applied(answer.branch, answer.merge, 0, 0, 0)
        return answer

    async def state(self, store: str, state: State, *, received_at: str) -> None:
        """Show a store's present."""
        await self.writer.submit(partial(apply_state, store=store, state=state, received_at=received_at))

    async def batch(self, store: str, batch: ReadyBatch, *, received_at: str) -> Applied:
        """Take rows into the ledger."""
        work = partial(apply_batch, store=store, batch=batch, received_at=received_at)
        applied = await self.writer.submit(work, rows=len(batch.rows))
        self._standing[store] = batch.session, applied
        return applied

    async def standing(self, store: str, session: str) -> Applied | None:
        """The head behind which `session` writes; nobody else writes to this file."""
        newest, applied = self._standing.get(store, (None, None))
        return applied if newest == session else None

    async def digest(self, store: str) -> Digest:
        """What a store's counts add up to as its ledger leads to them, at the head of its branch."""
        return await self._read(partial(reads.digest, store=store))

    async def note_difference(self, store: str, *, at: str) -> None:
        """Keep that a store's counts were others than its ledger's."""
        await self.writer.submit(partial(upkeep.note_difference, store=store, at=at))

    # --- after an upgrade ---

    async def hold_for_replay(self) -> list[str]:
        """Stores with rows set aside that this version reads otherwise; their hello waits for `replay`."""
        stores = await self._read(replay.due)
        self._held |= set(stores)
        return stores

    async def replay(self, store: str, *, at: str) -> Replayed:
        """Let those rows take effect, in one transaction; again it finds nothing."""
        prepared = await self._read(partial(replay.prepare, store=store, at=at))
        done = await self.writer.submit(partial(replay.replay, store=store, prepared=prepared, at=at))
        self._held.discard(store)
        return done

    # --- backups ---

    async def safe(self, store: str, branch: str, head: int) -> int:
        """Up to which row of its line, which ends in `branch` at `head`, a store may forget."""
        if self._safe == "applied":
            return head
        known = self._backed_up  # a backup that is recorded meanwhile begins another one
        held = known.get((store, branch))
        if held is None:
            held = known[store, branch] = await self._read(partial(backup.held_of, store=store, name=branch))
        return min(held, head)

    async def record_backup(self, path: Path, *, at: str) -> BackupRecord:
        """What the verified copy at `path` holds is safe from now on; BadRequest: it is not of this HQ."""
        record, heads = await asyncio.to_thread(backup.read_heads, path, self._epoch, at=at)
        await self.writer.submit(partial(backup.record, backup=record, heads=heads))
        self._backed_up = {}
        return record

    async def newest_backup(self) -> BackupRecord | None:
        """The last backup that was recorded."""
        return await self._read(backup.newest)

    async def add_command(self, command: CommandRecord) -> int:
        """Keep a command and return its number."""
        return await self.writer.submit(partial(commands.add, command=command))

    async def publish(
        self, store: str, kind: Published, body: dict[str, Any], *, expected: int, by: str, at: str
    ) -> int:
        """Keep a document in the place of the one before; the number of its command."""
        work = partial(published.publish, store=store, kind=kind, body=body, expected=expected, by=by, at=at)
        return await self.writer.submit(work)

    async def published(self, store: str, kind: Published) -> PublishedRecord:
        """The newest document of a kind."""
        return await self._read(partial(published.read, store=store, kind=kind))

    async def newest_commands(self) -> dict[str, int]:
        """The number of each store's newest command."""
        return await self._read(commands.newest)

    async def hand_out_commands(self, store: str, *, after: int, newest: int, now: str) -> HandedOut:
        """What a store is asked for and has not said to be done."""
        work = partial(commands.hand_out, store=store, after=after, newest=newest, now=now)
        return await self.writer.submit(work)

    async def changed(self) -> set[str]:
        """Nobody else writes to this file: waits for ever."""
        never: asyncio.Future[set[str]] = asyncio.get_running_loop().create_future()
        return await never

    async def save_heard(self, heard: dict[str, Heard]) -> None:
        """Keep soft state over a restart."""
        await self.writer.submit(partial(upkeep.save_heard, heard=heard))

    async def prune(self, *, events_before: str, items_before: str, buckets_before_ms: int) -> int:
        """One step of what is too old; 0 when nothing is left."""
        return await self.writer.submit(
            partial(
                upkeep.prune,
                events_before=events_before,
                items_before=items_before,
                buckets_before_ms=buckets_before_ms,
            )
        )

    # --- what REST asks ---

    async def store_page(self, after: str, limit: int) -> list[tuple[StoreRecord, FacingCounts]]:
        """Stores by id, with what they show."""
        return await self._read(partial(reads.store_page, after=after, limit=limit))

    async def store(self, store: str) -> StoreRecord:
        """One store."""
        return await self._read(partial(reads.store, name=store))

    async def figures(self) -> Figures:
        """What is measured of the whole of HQ."""
        return await self._read(reads.figures)

    async def facing_page(
        self, store: str, *, status: str | None, after: str, limit: int
    ) -> list[FacingRecord]:
        """Facings by id."""
        return await self._read(
            partial(reads.facing_page, store=store, status=status, after=after, limit=limit)
        )

    async def facing(self, store: str, facing: str) -> FacingRecord:
        """One facing."""
        return await self._read(partial(reads.facing, store=store, name=facing))

    async def devices(self, store: str, *, after: str, limit: int) -> list[DeviceRecord]:
        """Devices by id."""
        return await self._read(partial(reads.devices, store=store, after=after, limit=limit))

    async def footfall(self, store: str, *, from_ms: int, to_ms: int, step_s: int) -> list[FootfallRecord]:
        """Totals a line and step."""
        return await self._read(
            partial(reads.footfall, store=store, from_ms=from_ms, to_ms=to_ms, step_s=step_s)
        )

    async def environment(
        self, store: str, *, from_ms: int, to_ms: int, after: tuple[int, str, str], limit: int
    ) -> list[tuple[int, EnvironmentRecord]]:
        """Measured buckets by start."""
        return await self._read(
            partial(reads.environment, store=store, from_ms=from_ms, to_ms=to_ms, after=after, limit=limit)
        )

    async def planogram(self, store: str) -> PlanogramRecord | None:
        """The store's planogram."""
        return await self._read(partial(reads.planogram, store=store))

    # --- the feed ---

    async def events(self, after: int, *, store: str | None, type_: str | None, limit: int) -> FeedPage:
        """Events behind a place."""
        return await self._read(
            partial(feed.events, epoch=self._epoch, after=after, store=store, type_=type_, limit=limit)
        )

    async def feed_head(self) -> int:
        """The place of the newest event."""
        return await self._read(feed.head)

    def cursor(self, n: int) -> str:
        """The public name of a place."""
        return f"{self._epoch}.{n}"

    def place(self, cursor: str) -> int:
        """The place behind a public name; BadRequest when it is foreign."""
        return cursors.place(cursor, self._epoch, self._past)

    # --- who may ask ---

    async def credentials(self) -> list[Credential]:
        """All tokens."""
        return await self._read(access.credentials)

    async def people(self) -> list[Person]:
        """All people."""
        return await self._read(access.people)

    async def add_credential(self, credential: Credential) -> None:
        """Keep a token."""
        await self.writer.submit(partial(access.add_credential, credential=credential))

    async def revoke_credential(self, kind: str, name: str, at: str) -> None:
        """End a token."""
        await self.writer.submit(partial(access.revoke_credential, kind=kind, name=name, at=at))

    async def add_person(self, person: Person) -> None:
        """Let someone log in."""
        await self.writer.submit(partial(access.add_person, person=person))

    async def remove_person(self, name: str) -> None:
        """Forget someone."""
        await self.writer.submit(partial(access.remove_person, name=name))

    async def add_login_link(self, digest: bytes, person: str, expires_at: str) -> None:
        """Keep a one-time link."""
        await self.writer.submit(
            partial(access.add_login_link, hash_=digest, person=person, expires_at=expires_at)
        )

    async def redeem_login_link(self, digest: bytes, session: LoginSession, at: str) -> LoginSession:
        """Use a link up."""
        return await self.writer.submit(
            partial(access.redeem_login_link, hash_=digest, session=session, at=at)
        )

    async def login_sessions(self, at: str) -> list[LoginSession]:
        """Logged-in browsers."""
        return await self._read(partial(access.login_sessions, at=at))

    async def end_login_session(self, digest: bytes) -> None:
        """Log a browser out."""
        await self.writer.submit(partial(access.end_login_session, hash_=digest))

    # --- reading ---

    async def _read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._answer, question)

    def _answer(self, question: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = open_reader(self._path)
            self._opened.append(connection)
        try:
            connection.execute("begin")
            try:
                return question(connection)
            finally:
                connection.execute("rollback")
        except sqlite3.Error as error:
            raise Unavailable(f"the database cannot be read: {error}") from error
