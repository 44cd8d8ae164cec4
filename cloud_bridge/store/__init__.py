"""What HQ keeps and how it is asked for it, whatever the engine underneath."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from cloud_bridge.rows import ReadyBatch
from cloud_bridge.store.records import (
    Applied,
    BackupRecord,
    CommandRecord,
    Credential,
    DeviceRecord,
    EnvironmentRecord,
    FacingCounts,
    FacingRecord,
    FeedEvent,
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
from cloud_bridge.store.reservations import (
    Available,
    Clock,
    ReservationRecord,
    ReservationState,
    StockRecord,
    Wanted,
)
from edge_agent.contract.digest import Digest
from edge_agent.contract.messages import Hello, State

# --- the engine --------------------------------------------------------------------------------


class Engine(Protocol):
    """A database with HQ's rules inside its transactions.

    Writing calls return after their commit. They raise Conflict (the agent says hello), NotKnown, and
    Unavailable when the outcome is unknown or too much is waiting; reading calls raise NotKnown.
    """

    heard_every_s: float
    """How often soft state is kept: as often as other processes need it."""

    @property
    def waiting(self) -> int:
        """How many writes wait."""
        ...

    @property
    def is_writable(self) -> bool:
        """Whether commits can still happen."""
        ...

    async def hello(self, store: str, hello: Hello, *, received_at: str) -> Want | Welcome:
        """Find where an agent goes on and open its session, the only one that may write from then."""
        ...

    async def state(self, store: str, state: State, *, received_at: str) -> None:
        """Show a store's present."""
        ...

    async def batch(self, store: str, batch: ReadyBatch, *, received_at: str) -> Applied:
        """Take rows into the ledger."""
        ...

    async def standing(self, store: str, session: str) -> Applied | None:
        """The head behind which `session` writes; None: it is not the newest, or a transaction must say."""
        ...

    async def digest(self, store: str) -> Digest:
        """What a store's counts add up to as its ledger leads to them, at the head of its branch."""
        ...

    async def note_difference(self, store: str, *, at: str) -> None:
        """Keep that a store's counts were others than its ledger's."""
        ...

    async def hold_for_replay(self) -> list[str]:
        """Stores with rows set aside that this version reads otherwise; their hello waits for `replay`."""
        ...

    async def replay(self, store: str, *, at: str) -> Replayed:
        """Let those rows take effect, in one transaction; again it finds nothing."""
        ...

    async def safe(self, store: str, branch: str, head: int) -> int:
        """Up to which row of its line, which ends in `branch` at `head`, a store may forget."""
        ...

    async def record_backup(self, path: Path, *, at: str) -> BackupRecord:
        """What the verified copy at `path` holds is safe from now on; BadRequest: it is not of this HQ."""
        ...

    async def newest_backup(self) -> BackupRecord | None:
        """The last backup that was recorded."""
        ...

    async def add_command(self, command: CommandRecord) -> int:
        """Keep a command and return its number."""
        ...

    async def publish(
        self, store: str, kind: Published, body: dict[str, Any], *, expected: int, by: str, at: str
    ) -> int:
        """Keep a document in the place of the one before; the number of its command.

        PreconditionFailed when `expected` is not the newest revision.
        """
        ...

    async def published(self, store: str, kind: Published) -> PublishedRecord:
        """The newest document of a kind."""
        ...

    async def newest_commands(self) -> dict[str, int]:
        """The number of each store's newest command."""
        ...

    async def hand_out_commands(self, store: str, *, after: int, newest: int, now: str) -> HandedOut:
        """What a store is asked for and has not said to be done."""
        ...

    async def changed(self) -> set[str]:
        """Wait until `access` or `commands` may have changed in another process; which.

        Never returns where there is one process only. Unavailable: it cannot be known now.
        """
        ...

    async def save_heard(self, heard: dict[str, Heard]) -> None:
        """Keep soft state over a restart."""
        ...

    async def store_page(self, after: str, limit: int) -> list[tuple[StoreRecord, FacingCounts]]:
        """Stores by id, with what they show."""
        ...

    async def store(self, store: str) -> StoreRecord:
        """One store."""
        ...

    async def figures(self) -> Figures:
        """What is measured of the whole of HQ."""
        ...

    async def facing_page(
        self, store: str, *, status: str | None, after: str, limit: int
    ) -> list[FacingRecord]:
        """Facings by id."""
        ...

    async def facing(self, store: str, facing: str) -> FacingRecord:
        """One facing."""
        ...

    async def stock(self, gtin: str) -> list[StockRecord]:
        """A GTIN in each store that has evidence of it, by store, and what is claimed of it."""
        ...

    async def reserve(self, wanted: Wanted, available: Available, clock: Clock) -> ReservationRecord:
        """Hold what is wanted at the first candidate that has it, or keep that none has (`refused`).

        Of two that reserve an item at a store at once the second one is decided on what the first has left,
        and on rows that were taken in before. A known key gets the answer of then, else KeyReused.
        """
        ...

    async def collect(self, reservation: str, clock: Clock) -> ReservationRecord:
        """Its items were handed over; they stay claimed until the shelf has told that they left."""
        ...

    async def release(self, reservation: str, clock: Clock) -> ReservationRecord:
        """Nobody wants it any more."""
        ...

    async def reservation_page(
        self,
        *,
        store: str | None,
        gtin: str | None,
        state: ReservationState | None,
        before: int,
        limit: int,
        clock: Clock,
    ) -> list[ReservationRecord]:
        """Reservations, the newest first, those before the number `before`."""
        ...

    async def sweep_reservations(self, is_settled: Callable[[StoreRecord, str], bool], clock: Clock) -> None:
        """Write down what time alone has ended; nothing depends on when that is done."""
        ...

    async def devices(self, store: str, *, after: str, limit: int) -> list[DeviceRecord]:
        """Devices by id."""
        ...

    async def footfall(self, store: str, *, from_ms: int, to_ms: int, step_s: int) -> list[FootfallRecord]:
        """Totals a line and step."""
        ...

    async def environment(
        self, store: str, *, from_ms: int, to_ms: int, after: tuple[int, str, str], limit: int
    ) -> list[tuple[int, EnvironmentRecord]]:
        """Measured buckets by start."""
        ...

    async def planogram(self, store: str) -> PlanogramRecord | None:
        """The store's planogram."""
        ...

    async def events(self, after: int, *, store: str | None, type_: str | None, limit: int) -> FeedPage:
        """Events behind a place."""
        ...

    async def feed_head(self) -> int:
        """The place of the newest event."""
        ...

    def cursor(self, n: int) -> str:
        """The public name of a place."""
        ...

    def place(self, cursor: str) -> int:
        """The place behind a public name; BadRequest when it is foreign."""
        ...

    async def credentials(self) -> list[Credential]:
        """All tokens."""
        ...

    async def people(self) -> list[Person]:
        """All people."""
        ...

    async def add_credential(self, credential: Credential) -> None:
        """Keep a token."""
        ...

    async def revoke_credential(self, kind: str, name: str, at: str) -> None:
        """End a token."""
        ...

    async def add_person(self, person: Person) -> None:
        """Let someone log in."""
        ...

    async def remove_person(self, name: str) -> None:
        """Forget someone."""
        ...

    async def add_login_link(self, digest: bytes, person: str, expires_at: str) -> None:
        """Keep a one-time link."""
        ...

    async def redeem_login_link(self, digest: bytes, session: LoginSession, at: str) -> LoginSession:
        """Use a link up."""
        ...

    async def login_sessions(self, at: str) -> list[LoginSession]:
        """Logged-in browsers."""
        ...

    async def end_login_session(self, digest: bytes) -> None:
        """Log a browser out."""
        ...

    async def prune(self, *, events_before: str, items_before: str, buckets_before_ms: int) -> int:
        """One step of what is too old; 0 when nothing is left."""
        ...

    async def close(self) -> None:
        """Commit what waits and close every connection, the writer last: it checkpoints."""
        ...


OnPublished = Callable[[list[FeedEvent]], None]
"""Called on the loop after each commit with what it published, in feed order."""
