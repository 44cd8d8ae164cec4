"""Reservations and the stock behind them: records and decisions, whatever database keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from cloud_bridge.errors import KeyReused, NotKnown, ReservationOver
from cloud_bridge.picture import FeedEntry, StockPayload
from cloud_bridge.store.records import StoreRecord
from edge_agent.contract.times import rfc3339

ReservationState = Literal["held", "collected", "released", "expired", "refused"]
Clock = Callable[[], datetime]
"""Asked inside the transaction: a moment of before would let go what another one has taken meanwhile."""

RESERVATION_COLUMNS: Final = (
    "n, id, state, store, gtin, quantity, reserved_by, reserved_at, expires_at, ended_at, claimed"
)
_TAKING: Final = ("pick", "sale")
_decode_stock: Final = msgspec.json.Decoder(StockPayload).decode


@dataclass(frozen=True, slots=True)
class Count:
    """What one facing holds of an item, as the store believes it."""

    on_hand: int
    confidence: float
    status: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Items of a reservation that are not for others. `ended_at`: when they were collected."""

    items: int
    state: ReservationState
    expires_at: str
    ended_at: str | None


@dataclass(frozen=True, slots=True)
class StockRecord:
    """One store's share of a GTIN: its facings with evidence (at least one) and what is claimed of them."""

    store: StoreRecord
    counts: Sequence[Count]
    claims: Sequence[Claim]

    @property
    def on_hand(self) -> int:
        """All that is believed to be there."""
        return sum(count.on_hand for count in self.counts)

    @property
    def confidence(self) -> float:
        """That of the least certain facing."""
        return min(count.confidence for count in self.counts)


Available = Callable[[StockRecord, datetime], int]
"""How many of a store's items can be promised at a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A reservation that somebody asks for.

    `store`: the one that was named, if any. `candidates`: stores to take it from, the first one that has
    `quantity`. `key` and `body` are digests: who sends a key again gets the same answer, if the body is the
    same.
    """

    id: str
    key: bytes
    body: bytes
    gtin: str
    quantity: int
    ttl_s: int
    by: str
    store: str | None
    candidates: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationRecord:
    """One reservation, or a refused wish for one. `n` orders them; `claimed` items are not for others.

    A refused one never expires; its `store` is the one that was named.
    """

    n: int
    reservation: str
    state: ReservationState
    store: str | None
    gtin: str
    quantity: int
    reserved_by: str
    reserved_at: str
    expires_at: str | None
    ended_at: str | None
    claimed: int


@dataclass(frozen=True, slots=True)
class Awaited:
    """A collected reservation of which `items` have not been seen to leave the shelf by row `behind_seq`."""

    n: int
    gtin: str
    items: int
    behind_seq: int


def reservation_record(row: Sequence[Any]) -> ReservationRecord:
    """A row of `RESERVATION_COLUMNS`."""
    n, id_, state, store, gtin, quantity, by, at, expires_at, ended_at, claimed = row
    return ReservationRecord(
        n=n,
        reservation=id_.hex(),
        state=state,
        store=store,
        gtin=gtin,
        quantity=quantity,
        reserved_by=by,
        reserved_at=at,
        expires_at=expires_at,
        ended_at=ended_at,
        claimed=claimed,
    )


def decided(wanted: Wanted, store: str | None, *, now: datetime) -> ReservationRecord:
    """What becomes of a wish: held at `store`, refused where that is None. `n` is the database's to give."""
    at = rfc3339(now)
    is_held = store is not None
    return ReservationRecord(
        n=0,
        reservation=wanted.id,
        state="held" if is_held else "refused",
        store=store if is_held else wanted.store,
        gtin=wanted.gtin,
        quantity=wanted.quantity,
        reserved_by=wanted.by,
        reserved_at=at,
        expires_at=rfc3339(now + timedelta(seconds=wanted.ttl_s)) if is_held else None,
        ended_at=None if is_held else at,
        claimed=wanted.quantity if is_held else 0,
    )


def answered_before(body: bytes, wanted: Wanted) -> None:
    """KeyReused when the key of `wanted` came with another body."""
    if body != wanted.body:
        raise KeyReused(
            "this Idempotency-Key was sent before, with another body",
            hint="a new key for each reservation; the same key only to send the same body again",
        )


def id_bytes(reservation: str) -> bytes:
    """A reservation's id as it is kept; NotKnown when it can be none."""
    try:
        return bytes.fromhex(reservation)
    except ValueError:
        raise not_known(reservation) from None


def not_known(reservation: str) -> NotKnown:
    """There is no such reservation."""
    return NotKnown(f"there is no reservation {reservation[:64]!r}", hint="GET /v1/reservations lists them")


def shown(record: ReservationRecord, *, now: datetime) -> ReservationRecord:
    """As it is at `now`: one that nobody has collected in time has expired, swept or not."""
    if record.state != "held" or record.expires_at is None or record.expires_at > rfc3339(now):
        return record
    return replace(record, state="expired", ended_at=record.expires_at, claimed=0)


def collected(record: ReservationRecord, *, now: datetime) -> ReservationRecord:
    """After its items were handed over. Again: unchanged. ReservationOver: it has ended otherwise."""
    record = shown(record, now=now)
    if record.state == "collected":
        return record
    if record.state != "held":
        raise ReservationOver(f"the reservation is {record.state}", hint="reserve again, then collect that")
    return replace(record, state="collected", ended_at=rfc3339(now))


def released(record: ReservationRecord, *, now: datetime) -> ReservationRecord:
    """After nobody wants it. One that holds nothing: unchanged. ReservationOver: it was collected."""
    record = shown(record, now=now)
    if record.state == "collected":
        raise ReservationOver(
            "the reservation was collected", hint="its items have left; a return is a matter of the shelf"
        )
    if record.state != "held":
        return record
    return replace(record, state="released", ended_at=rfc3339(now), claimed=0)


def still_awaited(awaited: Iterable[Awaited], entries: Iterable[FeedEntry]) -> dict[int, int]:
    """Items that each reservation still waits for after `entries`, those that these have changed.

    Each item that the shelf says was taken counts for one reservation, the one that was collected first. Rows
    up to `behind_seq` do not count: what they tell was in the picture before, or may have been.
    """
    left = {one.n: one.items for one in awaited}
    moved: set[int] = set()
    for seq, gtin, taken in _taken(entries):
        unseen = taken
        for one in awaited:
            if one.gtin == gtin and one.behind_seq < seq and left[one.n] and unseen:
                seen = min(unseen, left[one.n])
                left[one.n] -= seen
                unseen -= seen
                moved.add(one.n)
    return {n: left[n] for n in moved}


def is_taking(entry: FeedEntry) -> bool:
    """Whether it tells of items that left a shelf."""
    return next(iter(_taken([entry])), None) is not None


def _taken(entries: Iterable[FeedEntry]) -> Iterable[tuple[int, str, int]]:
    """Row, GTIN and number of items that left a shelf; HQ's own corrections have no row."""
    for entry in entries:
        if entry.type != "stock.changed" or entry.seq is None:
            continue
        told = _decode_stock(entry.payload)
        if told.change < 0 and told.cause in _TAKING:
            yield entry.seq, told.gtin, -told.change
