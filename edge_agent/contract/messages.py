"""What travels to HQ and back: outbox rows, their bodies, and the sync messages around them.

`chain` of a row is BLAKE2b-128 over the previous row's chain, the row's eid, then kind, version and
body, each as a 4-byte big-endian length and its UTF-8 bytes. It depends on neither seq, branch nor
clock, so equal chain means equal history. Chains and eids are 16 bytes, lower-case hex on the wire.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from edge_agent.contract.digest import BUCKETS, Digest
from edge_agent.contract.written import Hex16, Identifier, Time, Unchecked

SCHEMA_VERSION = 1
"""HQ parks rows of a higher version than its own. A field with a default, which either side may lack, is no
new version: decoders leave out what they do not know. A change of meaning is one."""
CHAIN_START = bytes(16)
_BLAKE2B_128 = blake2b(digest_size=16)
MAX_BATCH_ROWS = 5_000
MAX_BATCH_BYTES = 4 * 1024 * 1024
LOCATOR_LIMIT = 10_000
"""The most (seq, chain) pairs that one hello may carry."""

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Seq = Annotated[int, Meta(ge=0, le=2**63 - 2)]
"""Another row may follow."""
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]

FacingStatus = Literal["ok", "low", "out", "unknown"]
DeviceStatus = Literal["online", "degraded", "offline"]
Cause = Literal["initial", "pick", "return", "restock", "sale", "recount", "correction"]
Source = Literal["weight", "rfid", "camera"]


# --- bodies: one struct per outbox kind, additive only ---------------------------------------


class StockChanged(Struct, frozen=True, kw_only=True, gc=False):
    """A facing's whole state after a change. `on_hand` is absolute; `change` is what this agent saw.

    A row with change 0 moves confidence, status or sources only: HQ's facing follows, its feed does not.
    `reorder_due_at`: when it is expected to be down to its reorder point, or since when it is; null: unknown.
    """

    facing: Unchecked
    gtin: str
    on_hand: Count | None
    change: int
    confidence: Share
    status: FacingStatus
    cause: Cause
    sources: list[Source]
    observed_at: Unchecked | None
    reasons: list[str] = []
    reorder_due_at: Unchecked | None = None


class GapMoved(Struct, frozen=True, kw_only=True):
    """`gap.opened` and `gap.closed`: a camera's view of one facing; `fill` is the stocked share."""

    facing: Identifier
    device: Identifier
    fill: Share


class FootfallCounted(Struct, frozen=True, kw_only=True):
    """A bucket's total so far; of several rows with one (device, line, start) the last one counts."""

    device: Identifier
    line: Identifier
    start: Time
    seconds: Annotated[int, Meta(gt=0)]
    entered: Count
    exited: Count


class DeviceChanged(Struct, frozen=True, kw_only=True):
    """A device's health moved; `reason` is an error code or a short sentence, null when fine."""

    device: Identifier
    driver: str
    status: DeviceStatus
    reason: str | None


class EnvironmentMeasured(Struct, frozen=True, kw_only=True):
    """A bucket of one quantity (`temperature_c`, `humidity_pct`, `door`)."""

    device: Identifier
    quantity: str
    unit: str
    start: Time
    seconds: Annotated[int, Meta(gt=0)]
    min: float
    max: float
    mean: float


class EnvironmentAlarm(Struct, frozen=True, kw_only=True):
    """A quantity left its limits (raised) or came back (cleared)."""

    device: Identifier
    quantity: str
    value: float
    limit: float
    state: Literal["raised", "cleared"]


class ItemMoved(Struct, frozen=True, kw_only=True):
    """`item.arrived` and `item.departed`: one tagged item at one facing."""

    epc: str
    gtin: str | None
    serial: str | None
    facing: Identifier | None
    device: Identifier


class PlanogramApplied(Struct, frozen=True, kw_only=True):
    """The planogram the agent works with from this row on. Revision 0 is the store's own file.

    `reset_of` is HQ's revision that somebody at the store put aside for the file's; 0: nobody did.
    """

    revision: Count
    products: list[dict[str, Any]]
    facings: list[dict[str, Any]]
    reset_of: Count = 0


class CommandDone(Struct, frozen=True, kw_only=True):
    """The fate of HQ's command, in the same transaction as what it did: HQ has both or neither.

    `reason` says why it was refused, null when it was applied. `newest` is, for the kinds that HQ publishes
    with a revision, the highest revision that this store was ever told of by then.
    """

    command: Hex16
    outcome: Literal["applied", "refused"]
    reason: str | None
    newest: Count = 0


BODIES: dict[str, type[Struct]] = {
    "stock.changed": StockChanged,
    "gap.opened": GapMoved,
    "gap.closed": GapMoved,
    "footfall.counted": FootfallCounted,
    "device.changed": DeviceChanged,
    "environment.measured": EnvironmentMeasured,
    "environment.alarm": EnvironmentAlarm,
    "item.arrived": ItemMoved,
    "item.departed": ItemMoved,
    "planogram.applied": PlanogramApplied,
    "command.done": CommandDone,
}
"""Outbox kind -> body. A kind that HQ does not know is parked; a body that does not fit is quarantined."""

FEED_KINDS = frozenset(BODIES) - {"planogram.applied", "command.done"}
"""Kinds that appear in HQ's public feed (`interfaces.md` §3)."""


# --- rows and their chain --------------------------------------------------------------------


class OutboxRow(Struct, frozen=True, kw_only=True, gc=False):
    """One captured event. `body` is the exact JSON text; it is stored and hashed as it is."""

    seq: Annotated[int, Meta(ge=1, le=2**63 - 2)]
    eid: Unchecked
    kind: Annotated[str, Meta(min_length=1, max_length=64)]
    version: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    occurred_at: Unchecked
    boot_id: str
    mono_ms: Int64
    body: str


def chain_next(previous: bytes, eid: bytes, kind: str, version: int, body: str) -> bytes:
    """The chain after one row; all of `previous`, `eid` and the result are 16 bytes."""
    text = body.encode()
    hashed = _BLAKE2B_128.copy()
    hashed.update(b"".join((previous, eid, _framed_kind(kind, version), len(text).to_bytes(4, "big"), text)))
    return hashed.digest()


@lru_cache(maxsize=256)
def _framed_kind(kind: str, version: int) -> bytes:
    """Kind and version as `chain_next` hashes them: they repeat in row after row."""
    parts = (kind.encode(), str(version).encode())
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def fold_chain(previous: bytes, rows: list[OutboxRow]) -> bytes:
    """The chain after all of `rows`, which follow `previous` in order."""
    for row in rows:
        previous = chain_next(previous, bytes.fromhex(row.eid), row.kind, row.version, row.body)
    return previous


class Position(Struct, frozen=True, array_like=True):
    """A place in a history: `[seq, chain]` on the wire."""

    seq: Seq
    chain: Hex16


# --- sync messages ---------------------------------------------------------------------------


class StoreProfile(Struct, frozen=True, kw_only=True):
    """Who the store says it is; HQ shows it."""

    name: str
    timezone: str
    gln: str | None = None
    latitude: float | None = None
    longitude: float | None = None


class Hello(Struct, frozen=True, kw_only=True):
    """`POST /v1/sync/hello`. `locator` runs newest first and ends with the base."""

    store: Identifier
    agent_id: str
    boot_id: str
    last_seq: Seq
    base_seq: Seq
    base_chain: Hex16
    locator: Annotated[list[Position], Meta(max_length=LOCATOR_LIMIT)]
    versions: dict[str, str]
    sent_at: Time
    profile: StoreProfile


class HelloReply(Struct, frozen=True, kw_only=True):
    """Where to go on. With `want` set nothing is decided yet: say hello again with a locator that
    covers `want[0] <= seq < want[1]` (all of it, or evenly spaced positions when that is too many)."""

    want: tuple[int, int] | None = None
    session: str = ""
    branch: str = ""
    merge: Position | None = None
    applied: Position | None = None
    safe: Seq = 0
    received_at: Time = "1970-01-01T00:00:00.000Z"
    sent_at: Time = "1970-01-01T00:00:00.000Z"
    max_rows: int = MAX_BATCH_ROWS
    max_bytes: int = MAX_BATCH_BYTES


class FacingState(Struct, frozen=True, kw_only=True):
    """One facing as the agent believes it now; `reorder_due_at` as in `StockChanged`."""

    facing: Identifier
    gtin: str
    on_hand: Count | None
    confidence: Share
    status: FacingStatus
    sources: list[Source]
    changed_at: Time | None
    observed_at: Time | None
    reorder_due_at: Time | None = None


class DeviceState(Struct, frozen=True, kw_only=True):
    """One device as the agent sees it now."""

    device: Identifier
    driver: str
    status: DeviceStatus
    reason: str | None
    since: Time
    last_seen_at: Time | None


class State(Struct, frozen=True, kw_only=True):
    """`POST /v1/sync/state`: the present, before the past. Rows with seq <= as_of_seq that come
    later change ledger and feed, no longer the facings. Answer: `{}`."""

    session: str
    as_of_seq: Seq
    facings: list[FacingState]
    devices: list[DeviceState]
    gaps: list[GapMoved]


class Presence(Struct, frozen=True, kw_only=True):
    """Soft state beside a batch: when devices and facings were last heard of. Never history."""

    devices: dict[Identifier, Time] = {}
    facings: dict[Identifier, Time] = {}
    clock_offset_ms: Int64 | None = None
    """HQ's clock less the store's, as measured at hello."""


class Batch(Struct, frozen=True, kw_only=True):
    """`POST /v1/sync/batch`. Empty `rows` is a heartbeat (first = applied + 1, both chains equal).

    `last_seq` is the newest row of the outbox, so that HQ knows how much is still to come. `digest` comes
    from time to time with what leads to the newest row: HQ compares it with the fold of its ledger.
    """

    session: str
    branch: str
    first: Annotated[int, Meta(ge=1)]
    prev_chain: Hex16
    last_chain: Hex16
    last_seq: Seq
    rows: Annotated[list[OutboxRow], Meta(max_length=MAX_BATCH_ROWS)]
    presence: Presence | None = None
    digest: Digest | None = None


class BatchReply(Struct, frozen=True, kw_only=True):
    """Cumulative acknowledgement. The agent compares its own chain at `applied`.

    `commands_after` is the number of the newest command for this store: above the last one that the agent
    has been handed since its hello, it asks for them. `differing` names the buckets of the digest that are
    not what HQ's ledger says: the agent tells the facings in them again.
    """

    branch: str
    applied: Position
    safe: Seq
    next_delay_ms: Count
    server_time: Time
    commands_after: Count = 0
    differing: list[Annotated[int, Meta(ge=0, lt=BUCKETS)]] = []


class Whoami(Struct, frozen=True, kw_only=True):
    """`GET /v1/sync/whoami`: whose token this is, and HQ's clock. It changes nothing (`doctor` asks)."""

    store: Identifier
    server_time: Time


# --- commands ----------------------------------------------------------------------------------


class RecountOrder(Struct, frozen=True, kw_only=True):
    """Body of the command `recount`: somebody counted a facing by hand."""

    facing: Identifier
    on_hand: Count


class PlanogramOrder(Struct, frozen=True, kw_only=True):
    """Body of the command `planogram`: what HQ published last for this store, whole."""

    revision: Annotated[int, Meta(ge=1)]
    products: list[dict[str, Any]]
    facings: list[dict[str, Any]]


class SettingsOrder(Struct, frozen=True, kw_only=True):
    """Body of the command `settings`: all that HQ sets for this store, nested as in `store.yaml`."""

    revision: Annotated[int, Meta(ge=1)]
    settings: dict[str, Any]


class Command(Struct, frozen=True, kw_only=True):
    """One thing that HQ asks of a store. `id` is its identity for ever: the agent does it at most once.

    `age_ms` is how long ago HQ took it in, by HQ's clock, when it was handed out.
    """

    id: Hex16
    kind: Annotated[str, Meta(min_length=1, max_length=64)]
    age_ms: Count
    body: dict[str, Any]


class CommandsReply(Struct, frozen=True, kw_only=True):
    """Answer of `GET /v1/sync/commands?after=N`: what is neither done nor too old, oldest first.

    `after` is what to ask behind next time; a number means something within one session only.
    """

    commands: list[Command]
    after: Count


SyncConflict = Literal["gap", "fork", "stale_session"]
"""`code` of a 409 problem from HQ; each leads to a new hello."""

encode = msgspec.json.Encoder().encode
