"""Outbox rows made ready for the ledger: bodies decoded, chain folded, odd ones set aside.

All of it depends on the batch alone, so it runs before the transaction and outside its lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
from pydantic import ValidationError

from cloud_bridge.errors import BadRequest, Conflict
from edge_agent.contract.gs1 import parse_gtin
from edge_agent.contract.messages import (
    BODIES,
    SCHEMA_VERSION,
    Batch,
    CommandDone,
    EnvironmentMeasured,
    FootfallCounted,
    ItemMoved,
    OutboxRow,
    PlanogramApplied,
    StockChanged,
    chain_next,
)
from edge_agent.contract.planogram import Facing, Planogram, Product
from edge_agent.contract.written import is_identifier, is_time

MAX_COUNT: Final = 2**31 - 1
_DECODERS: Final = {kind: msgspec.json.Decoder(body) for kind, body in BODIES.items()}

Fate = Literal["parked", "quarantined"]


@dataclass(frozen=True, slots=True)
class AppliedPlanogram:
    """`planogram.applied`, checked: every facing has a product and a valid GTIN-14."""

    revision: int
    planogram: Planogram
    reset_of: int = 0


@dataclass(frozen=True, slots=True)
class SetAside:
    """Why a row is kept in the ledger only: a kind that is not known yet, or a body that does not fit."""

    fate: Fate
    reason: str


class ReadyRow(msgspec.Struct, frozen=True, gc=False):
    """One row with its chain and its decoded body, or the reason why it has none."""

    seq: int
    chain: bytes
    eid: bytes
    kind: str
    version: int
    occurred_at: str
    boot_id: str
    mono_ms: int
    text: str
    body: msgspec.Struct | AppliedPlanogram | SetAside


@dataclass(frozen=True, slots=True)
class ReadyBatch:
    """A batch whose rows are contiguous and whose chain was recomputed."""

    session: str
    branch: str
    first: int
    prev_chain: bytes
    last_seq: int
    rows: list[ReadyRow]

    def chain_at(self, seq: int) -> bytes:
        """The sender's chain at `seq`, from `first - 1` to the last row."""
        return self.prev_chain if seq == self.first - 1 else self.rows[seq - self.first].chain


def make_ready(batch: Batch) -> ReadyBatch:
    """Check and decode a batch. Conflict `gap`: rows are not contiguous; BadRequest: wrong chain."""
    prev_chain = bytes.fromhex(batch.prev_chain)
    chain, rows = prev_chain, []
    for expected, row in enumerate(batch.rows, batch.first):
        if row.seq != expected:
            raise Conflict("gap", f"row {row.seq} stands where {expected} was expected")
        eid = _eid(row)
        try:
            chain = chain_next(chain, eid, row.kind, row.version, row.body)
        except UnicodeEncodeError as error:
            raise BadRequest(f"row {row.seq} is not valid Unicode") from error
        rows.append(_ready(row, chain, eid))
    if chain.hex() != batch.last_chain:
        raise BadRequest("last_chain does not follow from prev_chain and the rows")
    return ReadyBatch(batch.session, batch.branch, batch.first, prev_chain, batch.last_seq, rows)


def decode_row(
    kind: str, version: int, occurred_at: str, text: str
) -> msgspec.Struct | AppliedPlanogram | SetAside:
    """The body of one row whose time may be nonsense too, or why the row is set aside."""
    if not in_calendar(occurred_at):
        return SetAside("quarantined", f"occurred_at {occurred_at} is not a time")
    return decode_body(kind, version, text)


def decode_body(kind: str, version: int, text: str) -> msgspec.Struct | AppliedPlanogram | SetAside:
    """The body of one row as its struct, or why it is set aside."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        return SetAside("parked", f"kind {kind!r} is not known to this version")
    if version > SCHEMA_VERSION:
        return SetAside("parked", f"{kind} version {version} is newer than {SCHEMA_VERSION}")
    try:
        return _checked(decoder.decode(text))
    except (msgspec.MsgspecError, ValidationError, ValueError, RecursionError) as error:
        return SetAside("quarantined", f"{kind}: {_first_line(error)}")


def _eid(row: OutboxRow) -> bytes:
    try:
        eid = bytes.fromhex(row.eid)
    except ValueError:
        eid = b""
    if len(eid) != 16 or eid.hex() != row.eid:
        raise BadRequest(f"row {row.seq}: an eid has 32 hexadecimal digits, lower case")
    return eid


def _ready(row: OutboxRow, chain: bytes, eid: bytes) -> ReadyRow:
    if not is_time(row.occurred_at):
        raise BadRequest(f"row {row.seq}: occurred_at is not written as 2026-11-22T10:00:00.123Z")
    body = decode_row(row.kind, row.version, row.occurred_at, row.body)
    return ReadyRow(
        row.seq, chain, eid, row.kind, row.version, row.occurred_at, row.boot_id, row.mono_ms, row.body, body
    )


def _checked(body: Any) -> msgspec.Struct | AppliedPlanogram:
    """What the structs cannot say: check digits, calendar, sizes. ValueError says what is wrong."""
    match body:
        case StockChanged():
            _require_identifier(body.facing)
            _require_gtin(body.gtin)
            _require_written(body.observed_at)
            _require_written(body.reorder_due_at)
            if (body.on_hand or 0) > MAX_COUNT or abs(body.change) > MAX_COUNT:
                _require_count(on_hand=body.on_hand or 0, change=abs(body.change))
        case FootfallCounted():
            _require_time(body.start)
            _require_count(seconds=body.seconds, entered=body.entered, exited=body.exited)
        case EnvironmentMeasured():
            _require_time(body.start)
            _require_count(seconds=body.seconds)
        case CommandDone():
            _require_count(newest=body.newest)
        case ItemMoved():
            if body.gtin is not None:
                _require_gtin(body.gtin)
        case PlanogramApplied():
            _require_count(revision=body.revision, reset_of=body.reset_of)
            return AppliedPlanogram(body.revision, _planogram(body), body.reset_of)
    return body  # type: ignore[no-any-return]  # the decoder made one of BODIES


def _planogram(body: PlanogramApplied) -> Planogram:
    """Keys that a newer agent added are left out; they stay in the ledger."""
    products = [{k: v for k, v in p.items() if k in Product.model_fields} for p in body.products]
    facings = [{k: v for k, v in f.items() if k in Facing.model_fields} for f in body.facings]
    return Planogram.model_validate({"products": products, "facings": facings})


def _require_identifier(text: str) -> None:
    if not is_identifier(text):
        raise ValueError(f"{text[:80]!r} is not an identifier")


def _require_written(time: str | None) -> None:
    if time is not None and not is_time(time):
        raise ValueError(f"{time[:80]!r} is not written as 2026-11-22T10:00:00.123Z")


def _require_gtin(gtin: str) -> None:
    if len(gtin) != 14 or not _is_gtin14(gtin):
        raise ValueError(f"GTIN {gtin[:80]!r} must have 14 digits and a valid check digit")


@lru_cache(maxsize=65_536)
def _is_gtin14(text: str) -> bool:
    try:
        return parse_gtin(text) == text
    except ValueError:
        return False


def _require_count(**counts: int) -> None:
    for name, count in counts.items():
        if count > MAX_COUNT:
            raise ValueError(f"{name} {count} is above {MAX_COUNT}")


def _require_time(text: str) -> None:
    if not in_calendar(text):
        raise ValueError(f"{text} is not a time")


@lru_cache(maxsize=4_096)
def in_calendar(text: str) -> bool:
    """Whether the calendar knows this time."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        item = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, item['loc']))}: {item['msg']}"[:300]
    return str(error).splitlines()[0][:300]
