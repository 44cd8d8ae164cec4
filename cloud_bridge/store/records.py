"""What an engine takes and gives: plain records, the same for every database."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from cloud_bridge.names import Role
from cloud_bridge.picture import FeedEntry
from edge_agent.contract.messages import Command, Position, Presence

# --- sync --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Want:
    """The locator was too sparse to decide: ask for `first <= seq < end`."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Welcome:
    """A hello was decided. `reason` says how: continue, first, fork, switch or unknown_base."""

    session: str
    branch: str
    merge: Position
    reason: Literal["continue", "first", "fork", "switch", "unknown_base"]
    corrections: int


@dataclass(frozen=True, slots=True)
class Applied:
    """The head of a branch after a batch, and what was odd in it."""

    branch: str
    head: Position
    fresh: int
    parked: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a store's rows that were set aside before and that this version reads.

    `rows` took effect, `orphaned` of them on a line of history that the store has left, so without any;
    `quarantined` are of a kind that is known now and do not fit it.
    """

    rows: int = 0
    orphaned: int = 0
    quarantined: int = 0
    corrections: int = 0


# --- what is read ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRecord:
    """One store as the database knows it; liveness is added by whoever shows it."""

    store: str
    name: str
    gln: str | None
    timezone: str
    last_seen_at: str | None
    head_seq: int
    head_occurred_at: str | None
    last_seq: int
    as_of_seq: int
    catch_up_to: int
    state_at: str | None
    clock_offset_ms: int | None
    """HQ's clock less the store's."""
    differences: int
    """How often its counts were others than its ledger's here."""
    differed_at: str | None
    latitude: float | None
    longitude: float | None


@dataclass(frozen=True, slots=True)
class FacingCounts:
    """How many facings a store shows, and how many of them are out or low."""

    facings: int = 0
    out: int = 0
    low: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FacingRecord:
    """One facing as `GET …/facings` shows it.

    `reorder_due_at`: when it is expected to be down to its reorder point, or since when it is; null: unknown.
    """

    store: str
    facing: str
    gtin: str
    name: str
    on_hand: int | None
    capacity: int
    reorder_point: int
    status: Literal["ok", "low", "out", "unknown"]
    confidence: float
    sources: list[Literal["weight", "rfid", "camera"]]
    changed_at: str | None
    observed_at: str | None
    received_at: str
    version: int
    reorder_due_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRecord:
    """One device as `GET …/devices` shows it."""

    device: str
    driver: str
    status: Literal["online", "degraded", "offline"]
    reason: str | None
    since: str
    last_seen_at: str | None


@dataclass(frozen=True, slots=True)
class FootfallRecord:
    """One line's total of a bucket that starts at `start_ms` (Unix time)."""

    start_ms: int
    line: str
    entered: int
    exited: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRecord:
    """One measured bucket as `GET …/environment` shows it."""

    device: str
    quantity: str
    unit: str
    start: str
    seconds: int
    min: float
    max: float
    mean: float


@dataclass(frozen=True, slots=True)
class PlanogramRecord:
    """The planogram a store works with, as its agent reported it."""

    revision: int
    products: list[dict[str, Any]]
    facings: list[dict[str, Any]]


class FeedEvent(msgspec.Struct, frozen=True, gc=False):
    """One public event at its place `n` in the feed named `epoch`."""

    n: int
    epoch: str
    store: str
    entry: FeedEntry

    @property
    def cursor(self) -> str:
        """The public name of its place."""
        return f"{self.epoch}.{self.n}"

    def json(self) -> bytes:
        """As REST and the stream send it."""
        entry = self.entry
        event = {
            "cursor": self.cursor,
            "store": self.store,
            "eid": entry.eid.hex(),
            "seq": entry.seq,
            "type": entry.type,
            "occurred_at": entry.occurred_at,
            "received_at": entry.received_at,
            "data": msgspec.Raw(entry.payload),
        }
        return msgspec.json.encode(event)


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Events after a cursor, and where the reader stands now, also when nothing matched."""

    events: list[FeedEvent]
    next_n: int
    next_cursor: str


# --- who may ask -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Credential:
    """A store's or an API client's token, known by its SHA-256."""

    hash: bytes
    kind: Literal["store", "api"]
    name: str
    role: Role | None
    added_at: str
    revoked_at: str | None


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who may log in to the pages."""

    name: str
    role: Role
    added_at: str


@dataclass(frozen=True, slots=True)
class LoginSession:
    """A logged-in person's browser, known by the SHA-256 of its cookie."""

    hash: bytes
    person: str
    role: Role
    csrf: str
    expires_at: str


# --- audit -------------------------------------------------------------------------------------


@dataclass(slots=True)
class StoreAudit:
    """What recomputing one store from its ledger found."""

    store: str
    rows: int = 0
    branches: int = 0
    orphaned_rows: int = 0
    """Rows on a line of history that the store has left: kept, and without effect."""
    parked: int = 0
    quarantined: int = 0
    replayable: int = 0
    """Rows set aside that this version reads: the next start takes them in."""
    replayed: int = 0
    orphaned: list[dict[str, Any]] = field(default_factory=list)
    set_aside: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether state, feed and ledger agree."""
        return not self.problems


# --- backups ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """The newest verified copy of this database: `size` in bytes."""

    at: str
    path: str
    size: int


# --- figures ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figures:
    """What is measured of the whole of HQ when somebody looks."""

    stores: list[StoreRecord]
    parked: int
    quarantined: int
    backup: BackupRecord | None


# --- commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """One thing asked of a store. `id` is 16 bytes in hex, `body` the JSON text of its kind's struct."""

    id: str
    store: str
    kind: str
    body: str
    issued_by: str
    issued_at: str
    expires_at: str


Published = Literal["planogram", "settings"]
"""Documents that HQ publishes whole, with a revision: the newest one is wanted until the store has it."""


@dataclass(frozen=True, slots=True)
class PublishedRecord:
    """The newest document of one kind for a store. `revision` 0: HQ has published none, `body` is empty then.

    `newest` is the highest revision that HQ or the store knows: what is published next has a higher one.
    `applied_revision` None: the store has not said. `reason` says why `revision` is not in use there.
    """

    revision: int
    newest: int
    body: dict[str, Any]
    applied_revision: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class HandedOut:
    """Commands for an agent, what it asks behind next time, and how many were too old by now."""

    commands: list[Command]
    after: int
    expired: int


# --- soft state ---------------------------------------------------------------------------


@dataclass(slots=True)
class Heard:
    """When a store and what is in it were last heard of: soft, never history."""

    at: str
    last_seq: int
    devices: dict[str, str] = field(default_factory=dict)
    facings: dict[str, str] = field(default_factory=dict)
    clock_offset_ms: int | None = None

    def copy(self) -> Heard:
        """As it is now, for another thread."""
        return replace(self, devices=dict(self.devices), facings=dict(self.facings))

    def add(self, presence: Presence | None) -> None:
        """Take in what came beside a batch."""
        if presence is not None:
            self.devices.update(presence.devices)
            self.facings.update(presence.facings)
            self.clock_offset_ms = presence.clock_offset_ms
