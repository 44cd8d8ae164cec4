"""Reservations in SQLite. The one writer decides them one by one, so no two take the same item."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final

from cloud_bridge.picture import FeedEntry
from cloud_bridge.store.records import StoreRecord
from cloud_bridge.store.reservations import (
    RESERVATION_COLUMNS,
    Available,
    Awaited,
    Claim,
    Clock,
    Count,
    ReservationRecord,
    StockRecord,
    Wanted,
    answered_before,
    collected,
    decided,
    id_bytes,
    not_known,
    released,
    reservation_record,
    shown,
    still_awaited,
)
from cloud_bridge.store.sqlite.reads import stores
from cloud_bridge.store.sqlite.writer import Transaction
from edge_agent.contract.times import rfc3339

# `indexed by`: without statistics SQLite takes the wider index, which leads through all of the past.

_OF_STATE: Final = {
    None: "",
    "held": " and state = 'held' and expires_at > :at",
    "expired": " and (state = 'expired' or state = 'held' and expires_at <= :at)",
    "collected": " and state = 'collected'",
    "released": " and state = 'released'",
    "refused": " and state = 'refused'",
}


def stock(connection: sqlite3.Connection, gtin: str, store: str | None = None) -> list[StockRecord]:
    """What each store that has evidence of an item believes to have, and what is claimed of it."""
    where, of = "where gtin = ?" + ("" if store is None else " and store = ?"), (gtin, *_given(store))
    counts: dict[str, list[Count]] = defaultdict(list)
    for name, *rest in connection.execute(
        f"select store, on_hand, confidence, status from shown_facing {where} and on_hand is not null"  # noqa: S608 - our own words
        " order by store, facing",
        of,
    ):
        counts[name].append(Count(*rest))
    claims: dict[str, list[Claim]] = defaultdict(list)
    for name, *rest in connection.execute(
        "select store, claimed, state, expires_at, ended_at from reservation indexed by reservation_claims"  # noqa: S608 - our own words
        f" {where} and claimed > 0",
        of,
    ):
        claims[name].append(Claim(*rest))
    known = stores(connection, list(counts))
    return [StockRecord(known[name], counts[name], claims[name]) for name in counts]


def reserve(tx: Transaction, wanted: Wanted, available: Available, clock: Clock) -> ReservationRecord:
    """Take what is wanted from the first candidate that has it, or keep that none has.

    A key that was sent before gets the answer of then. KeyReused: with another body.
    """
    known = tx.connection.execute(
        f"select body, {RESERVATION_COLUMNS} from reservation where key = ?",  # noqa: S608 - constant columns
        (wanted.key,),
    ).fetchone()
    if known is not None:
        answered_before(known[0], wanted)
        return reservation_record(known[1:])
    now = clock()
    _end_due(tx.connection, rfc3339(now), gtin=wanted.gtin)
    for store in wanted.candidates:
        found = stock(tx.connection, wanted.gtin, store)
        if found and available(found[0], now) >= wanted.quantity:
            return _insert(tx.connection, wanted, decided(wanted, store, now=now))
    return _insert(tx.connection, wanted, decided(wanted, None, now=now))


def collect(tx: Transaction, reservation: str, clock: Clock) -> ReservationRecord:
    """Its items were handed over. No row that the store has by now is taken for their going."""
    found = _one(tx.connection, reservation)
    after = collected(found, now=clock())
    if after != found:
        _end(tx.connection, after)
        tx.connection.execute(
            "update reservation set behind_seq ="
            " (select max(coalesce(b.head_seq, 0), s.as_of_seq, s.last_seq) from store s"
            " left join branch b on b.store = s.store and b.branch = s.branch"
            " where s.store = reservation.store) where n = ?",
            (after.n,),
        )
    return after


def release(tx: Transaction, reservation: str, clock: Clock) -> ReservationRecord:
    """Nobody wants it any more."""
    found = _one(tx.connection, reservation)
    after = released(found, now=clock())
    if after != found:
        _end(tx.connection, after)
    return after


def seen(connection: sqlite3.Connection, store: str, entries: Iterable[FeedEntry]) -> None:
    """Collected items that the shelf tells to have left are not claimed any more."""
    rows = connection.execute(
        "select n, gtin, claimed, behind_seq from reservation indexed by reservation_awaited"
        " where store = ? and claimed > 0 and state = 'collected' order by ended_at, n",
        (store,),
    ).fetchall()
    if rows:
        left = still_awaited([Awaited(*row) for row in rows], entries)
        connection.executemany(
            "update reservation set claimed = ? where n = ?", [(items, n) for n, items in left.items()]
        )


def sweep(tx: Transaction, is_settled: Callable[[StoreRecord, str], bool], clock: Clock) -> None:
    """Write down what time alone has ended; nothing depends on when that is done."""
    connection = tx.connection
    _end_due(connection, rfc3339(clock()))
    rows = connection.execute(
        "select n, store, ended_at from reservation where claimed > 0 and state = 'collected'"
    ).fetchall()
    known = stores(connection, list({store for _, store, _ in rows}))
    connection.executemany(
        "update reservation set claimed = 0 where n = ?",
        [(n,) for n, store, ended_at in rows if is_settled(known[store], ended_at)],
    )


def page(
    connection: sqlite3.Connection,
    *,
    store: str | None,
    gtin: str | None,
    state: str | None,
    before: int,
    limit: int,
    clock: Clock,
) -> list[ReservationRecord]:
    """Reservations, the newest first, those before the number `before`."""
    now = clock()
    of = ("" if store is None else " and store = :store") + ("" if gtin is None else " and gtin = :gtin")
    rows = connection.execute(
        f"select {RESERVATION_COLUMNS} from reservation where n < :before{of}{_OF_STATE[state]}"  # noqa: S608 - our own words
        " order by n desc limit :limit",
        {"store": store, "gtin": gtin, "before": before, "limit": limit, "at": rfc3339(now)},
    )
    return [shown(reservation_record(row), now=now) for row in rows]


def _one(connection: sqlite3.Connection, reservation: str) -> ReservationRecord:
    row = connection.execute(
        f"select {RESERVATION_COLUMNS} from reservation where id = ?",  # noqa: S608 - constant columns
        (id_bytes(reservation),),
    ).fetchone()
    if row is None:
        raise not_known(reservation)
    return reservation_record(row)


def _insert(connection: sqlite3.Connection, wanted: Wanted, record: ReservationRecord) -> ReservationRecord:
    connection.execute(
        "insert into reservation (id, key, body, state, store, gtin, quantity, reserved_by, reserved_at,"
        " expires_at, ended_at, claimed) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id_bytes(record.reservation), wanted.key, wanted.body, record.state, record.store, record.gtin,
            record.quantity, record.reserved_by, record.reserved_at, record.expires_at, record.ended_at,
            record.claimed,
        ),
    )  # fmt: skip
    return record


def _end(connection: sqlite3.Connection, record: ReservationRecord) -> None:
    connection.execute(
        "update reservation set state = ?, ended_at = ?, claimed = ? where n = ?",
        (record.state, record.ended_at, record.claimed, record.n),
    )


def _end_due(connection: sqlite3.Connection, at: str, *, gtin: str | None = None) -> None:
    """Kept, so that a clock which is put back gives no expired one its items back."""
    where = "" if gtin is None else " and gtin = ?"
    connection.execute(
        "update reservation indexed by reservation_claims"  # noqa: S608 - our own words
        " set state = 'expired', ended_at = expires_at, claimed = 0"
        f" where claimed > 0 and state = 'held' and expires_at <= ?{where}",
        (at, *_given(gtin)),
    )


def _given(value: str | None) -> tuple[Any, ...]:
    return () if value is None else (value,)
