"""HQ in PostgreSQL: transactions over a pool of connections, and the news of other processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from cloud_bridge.errors import BadRequest, Unavailable
from cloud_bridge.picture import Picture
from cloud_bridge.rows import ReadyBatch
from cloud_bridge.store import OnPublished, cursors
from cloud_bridge.store.lines import Segment
from cloud_bridge.store.meeting import NeedsRefold, Refolded, Refolds
from cloud_bridge.store.postgres import access, commands, published, reads, replay, upkeep
from cloud_bridge.store.postgres.batch import apply_batch
from cloud_bridge.store.postgres.database import Address, Connection, Database, Transaction
from cloud_bridge.store.postgres.hello import greet
from cloud_bridge.store.postgres.history import refold
from cloud_bridge.store.postgres.news import News
from cloud_bridge.store.postgres.replica import Replica
from cloud_bridge.store.postgres.reserving import Reserving
from cloud_bridge.store.postgres.schema import migrate
from cloud_bridge.store.postgres.state import apply_state
from cloud_bridge.store.postgres.tail import Tail
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
from edge_agent.contract.digest import Digest
from edge_agent.contract.messages import Hello, State

T = TypeVar("T")

OWN_BACKUPS: Final = "use PostgreSQL's own: pg_basebackup with WAL archiving, or pg_dump"


class PostgresEngine(Reserving):
    """See `cloud_bridge.store.Engine`. `open` makes one."""

    heard_every_s: float = 4.0

    def __init__(
        self, address: Address, on_published: OnPublished, on_renamed: Callable[[], None], safe: str
    ) -> None:
        self.database = Database(address)
        self.replica = Replica(self.database)
        self.tail = Tail(self.database, on_published, on_renamed)
        self.news = News(self.database, self.tail.follow)
        self._safe = safe
        self._held: set[str] = set()
        self._refolds = Refolds()

    @classmethod
    async def open(
        cls,
        address: Address,
        on_published: OnPublished = lambda _: None,
        *,
        on_renamed: Callable[[], None] = lambda: None,
        safe: str = "applied",
    ) -> PostgresEngine:
        """Connect, bring the tables up to date and follow what is committed. DatabaseAway: it cannot be."""
        engine = cls(address, on_published, on_renamed, safe)
        await engine.database.open()
        try:
            await engine.database.write(lambda tx: migrate(tx.connection))
            await engine.tail.begin()
            if safe == "replica":
                await engine.replica.standbys()  # the log says how they are
        except BaseException:
            await engine.database.close()
            raise
        engine.news.start()
        return engine

    async def close(self) -> None:
        """Wait for what is running and close every connection."""
        await self.news.close()
        for running in self._refolds.all():
            running.cancel()
        await self.database.close()

    @property
    def waiting(self) -> int:
        """How many calls wait for a connection."""
        return self.database.waiting

    @property
    def is_writable(self) -> bool:
        """Commits can happen again as soon as the database is there."""
        return True

    # --- sync ---

    async def hello(self, store: str, hello: Hello, *, received_at: str) -> Want | Welcome:
        """Find where an agent goes on and open its session, the only one that may write from then."""
        if store in self._held:
            raise Unavailable("rows that were set aside are taken in first", hint="say hello again")

        async def attempt(refolded: Refolded | None) -> Want | Welcome | NeedsRefold:
            return await self._write(
                partial(greet, store=store, hello=hello, refolded=refolded, received_at=received_at)
            )

        async def fold(segments: list[Segment]) -> Picture:
            return await self.database.read(partial(refold, store=store, segments=segments, at=received_at))

        return await self._refolds.greeted(store, attempt, fold)

    async def state(self, store: str, state: State, *, received_at: str) -> None:
        """Show a store's present."""
        await self._write(partial(apply_state, store=store, state=state, received_at=received_at))

    async def batch(self, store: str, batch: ReadyBatch, *, received_at: str) -> Applied:
        """Take rows into the ledger."""
        return await self._write(partial(apply_batch, store=store, batch=batch, received_at=received_at))

    async def standing(self, store: str, session: str) -> Applied | None:
        """The head behind which `session` writes; another process may have moved it."""
        return await self._ask(partial(reads.standing, store=store, session=session))

    async def digest(self, store: str) -> Digest:
        """What a store's counts add up to as its ledger leads to them, at the head of its branch."""
        return await self._read(partial(reads.digest, store=store))

    async def note_difference(self, store: str, *, at: str) -> None:
        """Keep that a store's counts were others than its ledger's."""
        await self._write(partial(upkeep.note_difference, store=store, at=at))

    async def hold_for_replay(self) -> list[str]:
        """Stores with rows set aside that this version reads otherwise; their hello waits for `replay`."""
        stores = await self._read(replay.due)
        self._held |= set(stores)
        return stores

    async def replay(self, store: str, *, at: str) -> Replayed:
        """Let those rows take effect, in one transaction; again it finds nothing."""
        prepared = await self._read(partial(replay.prepare, store=store, at=at))
        done = await self._write(partial(replay.replay, store=store, prepared=prepared, at=at))
        self._held.discard(store)
        return done

    async def safe(self, store: str, branch: str, head: int) -> int:
        """Up to which row of its line, which ends in `branch` at `head`, a store may forget."""
        return await self.replica.safe(store, branch, head) if self._safe == "replica" else head

    async def record_backup(self, path: Path, *, at: str) -> BackupRecord:  # noqa: ARG002 - the protocol's, and here there is nothing to date
        """BadRequest: backups of this database are not made by HQ."""
        raise BadRequest(f"{path} is no backup of this database", hint=OWN_BACKUPS)

    async def newest_backup(self) -> BackupRecord | None:
        """None: HQ makes none."""
        return None

    # --- commands and documents ---

    async def add_command(self, command: CommandRecord) -> int:
        """Keep a command and return its number."""
        return await self._write(partial(commands.add, command=command))

    async def publish(
        self, store: str, kind: Published, body: dict[str, Any], *, expected: int, by: str, at: str
    ) -> int:
        """Keep a document in the place of the one before; the number of its command."""
        work = partial(published.publish, store=store, kind=kind, body=body, expected=expected, by=by, at=at)
        return await self._write(work)

    async def published(self, store: str, kind: Published) -> PublishedRecord:
        """The newest document of a kind."""
        return await self._read(partial(published.read, store=store, kind=kind))

    async def newest_commands(self) -> dict[str, int]:
        """The number of each store's newest command."""
        return await self._ask(commands.newest)

    async def hand_out_commands(self, store: str, *, after: int, newest: int, now: str) -> HandedOut:
        """What a store is asked for and has not said to be done."""
        return await self._write(partial(commands.hand_out, store=store, after=after, newest=newest, now=now))

    async def changed(self) -> set[str]:
        """Wait until `access` or `commands` have changed, in whichever process."""
        return await self.news.changed()

    async def save_heard(self, heard: dict[str, Heard]) -> None:
        """Keep soft state, for a restart and for other processes."""
        await self._write(partial(upkeep.save_heard, heard=heard))

    async def prune(self, *, events_before: str, items_before: str, buckets_before_ms: int) -> int:
        """One step of what is too old; 0 when nothing is left."""
        return await self._write(
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
        return await self._ask(partial(reads.store, name=store))

    async def figures(self) -> Figures:
        """What is measured of the whole of HQ."""
        return await self._read(reads.figures)

    async def facing_page(
        self, store: str, *, status: str | None, after: str, limit: int
    ) -> list[FacingRecord]:
        """Facings by id."""
        return await self._ask(
            partial(reads.facing_page, store=store, status=status, after=after, limit=limit)
        )

    async def facing(self, store: str, facing: str) -> FacingRecord:
        """One facing."""
        return await self._ask(partial(reads.facing, store=store, name=facing))

    async def devices(self, store: str, *, after: str, limit: int) -> list[DeviceRecord]:
        """Devices by id."""
        return await self._ask(partial(reads.devices, store=store, after=after, limit=limit))

    async def footfall(self, store: str, *, from_ms: int, to_ms: int, step_s: int) -> list[FootfallRecord]:
        """Totals a line and step."""
        return await self._ask(
            partial(reads.footfall, store=store, from_ms=from_ms, to_ms=to_ms, step_s=step_s)
        )

    async def environment(
        self, store: str, *, from_ms: int, to_ms: int, after: tuple[int, str, str], limit: int
    ) -> list[tuple[int, EnvironmentRecord]]:
        """Measured buckets by start."""
        return await self._ask(
            partial(reads.environment, store=store, from_ms=from_ms, to_ms=to_ms, after=after, limit=limit)
        )

    async def planogram(self, store: str) -> PlanogramRecord | None:
        """The store's planogram."""
        return await self._ask(partial(reads.planogram, store=store))

    # --- the feed ---

    async def events(self, after: int, *, store: str | None, type_: str | None, limit: int) -> FeedPage:
        """Events behind a place, with all that was committed before the call."""
        return await self.tail.events(after, store=store, type_=type_, limit=limit)

    async def feed_head(self) -> int:
        """The place of the newest event."""
        return await self.tail.head()

    def cursor(self, n: int) -> str:
        """The public name of a place."""
        return f"{self.tail.epoch}.{n}"

    def place(self, cursor: str) -> int:
        """The place behind a public name; BadRequest when it is foreign."""
        return cursors.place(cursor, self.tail.epoch, self.tail.past)

    # --- who may ask ---

    async def credentials(self) -> list[Credential]:
        """All tokens."""
        return await self._ask(access.credentials)

    async def people(self) -> list[Person]:
        """All people."""
        return await self._ask(access.people)

    async def add_credential(self, credential: Credential) -> None:
        """Keep a token."""
        await self._write(partial(access.add_credential, credential=credential))

    async def revoke_credential(self, kind: str, name: str, at: str) -> None:
        """End a token."""
        await self._write(partial(access.revoke_credential, kind=kind, name=name, at=at))

    async def add_person(self, person: Person) -> None:
        """Let someone log in."""
        await self._write(partial(access.add_person, person=person))

    async def remove_person(self, name: str) -> None:
        """Forget someone."""
        await self._write(partial(access.remove_person, name=name))

    async def add_login_link(self, digest: bytes, person: str, expires_at: str) -> None:
        """Keep a one-time link."""
        await self._write(partial(access.add_login_link, hash_=digest, person=person, expires_at=expires_at))

    async def redeem_login_link(self, digest: bytes, session: LoginSession, at: str) -> LoginSession:
        """Use a link up."""
        return await self._write(partial(access.redeem_login_link, hash_=digest, session=session, at=at))

    async def login_sessions(self, at: str) -> list[LoginSession]:
        """Logged-in browsers."""
        return await self._ask(partial(access.login_sessions, at=at))

    async def end_login_session(self, digest: bytes) -> None:
        """Log a browser out."""
        await self._write(partial(access.end_login_session, hash_=digest))

    # --- small steps ---

    async def _ask(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        return await self.database.ask(question)

    async def _read(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        return await self.database.read(question)

    async def _write(self, operation: Callable[[Transaction], Awaitable[T]]) -> T:
        result, events = await self.database.write(operation)
        if events:
            self.news.stir()
        return result
