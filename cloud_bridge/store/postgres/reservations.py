"""Reservations in PostgreSQL: decided under the lock of the store, so no two take the same item.

Whoever reserves, collects, releases or takes in rows of a store holds its row, whichever process that is. One
store at a time is held; only the sweep holds none, and it waits for nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from cloud_bridge.picture import FeedEntry
from cloud_bridge.store.postgres.database import Connection, Transaction
from cloud_bridge.store.postgres.history import lock_store
from cloud_bridge.store.postgres.reads import stores
from cloud_bridge.store.records import StoreRecord
from cloud_bridge.store.reservations import (
    RESERVATION_COLUMNS,
    Available,
    Awaited,
    Claim,
    Clock,
    Count,
    ReservationRecord,
    ReservationState,
    StockRecord,
    Wanted,
    answered_before,
    collected,
    decided,
    id_bytes,
    is_taking,
    not_known,
    released,
    reservation_record,
    shown,
    still_awaited,
)
from edge_agent.contract.times import rfc3339

_CLAIMS: Final = (
    "select store, claimed, state, expires_at, ended_at from reservation where gtin = $1 and claimed > 0"
)
_COUNTS: Final = (
    "select store, on_hand, confidence, status from shown_facing where gtin = $1 and on_hand is not null"
)
_IS_DUE: Final = "claimed > 0 and state = 'held' and expires_at <= $1"
_EXPIRE: Final = "update reservation set state = 'expired', ended_at = expires_at, claimed = 0 where"


async def stock(connection: Connection, gtin: str) -> list[StockRecord]:
    """What each store that has evidence of an item believes to have, and what is claimed of it."""
    claims, counts = await connection.fetch(_CLAIMS, gtin), await connection.fetch(_COUNTS, gtin)
    return await _records(connection, counts, claims)


async def reserve(tx: Transaction, wanted: Wanted, available: Available, clock: Clock) -> ReservationRecord:
    """Take what is wanted from the first candidate that has it, or keep that none has.

    A key that was sent before gets the answer of then. KeyReused: with another body. Of two that send a key
    at once the second one waits for the answer of the first.
    """
    connection = tx.connection
    await connection.execute("select pg_advisory_xact_lock($1)", _lock_of(wanted.key))
    known = await connection.fetchrow(
        f"select body, {RESERVATION_COLUMNS} from reservation where key = $1", wanted.key
    )
    if known is not None:
        answered_before(known[0], wanted)
        return reservation_record(known[1:])
    await connection.execute("savepoint nowhere_locked")
    for store in wanted.candidates:
        record = await _taken_at(connection, store, wanted, available, clock)
        if record is not None:
            return await _insert(connection, wanted, record)
        await connection.execute("rollback to nowhere_locked")
    return await _insert(connection, wanted, decided(wanted, None, now=clock()))


async def collect(tx: Transaction, reservation: str, clock: Clock) -> ReservationRecord:
    """Its items were handed over. No row that the store has by now is taken for their going."""
    found = await _one(tx.connection, reservation)
    after = collected(found, now=clock())
    if after != found and after.store is not None:
        await _end(tx.connection, after)
        at = (await stores(tx.connection, [after.store]))[after.store]
        await tx.connection.execute(
            "update reservation set behind_seq = $2 where n = $1",
            after.n,
            max(at.head_seq, at.as_of_seq, at.last_seq),
        )
    return after


async def release(tx: Transaction, reservation: str, clock: Clock) -> ReservationRecord:
    """Nobody wants it any more."""
    found = await _one(tx.connection, reservation)
    after = released(found, now=clock())
    if after != found:
        await _end(tx.connection, after)
    return after


async def seen(connection: Connection, store: str, entries: list[FeedEntry]) -> None:
    """Collected items that the shelf tells to have left are not claimed any more; the store is locked."""
    if not any(map(is_taking, entries)):
        return
    rows = await connection.fetch(
        "select n, gtin, claimed, behind_seq from reservation"
        " where store = $1 and claimed > 0 and state = 'collected' order by ended_at, n for update",
        store,
    )
    if not rows:
        return
    left = still_awaited([Awaited(*row) for row in rows], entries)
    await connection.execute(
        "update reservation r set claimed = l.items from unnest($1::bigint[], $2::bigint[]) l (n, items)"
        " where r.n = l.n",
        list(left),
        list(left.values()),
    )


async def sweep(tx: Transaction, is_settled: Callable[[StoreRecord, str], bool], clock: Clock) -> None:
    """Write down what time alone has ended; what somebody else holds just now is left for the next time."""
    connection = tx.connection
    await connection.execute(
        f"{_EXPIRE} n in (select n from reservation where {_IS_DUE} for update skip locked)",
        rfc3339(clock()),
    )
    rows = await connection.fetch(
        "select n, store, ended_at from reservation where claimed > 0 and state = 'collected'"
    )
    known = await stores(connection, list({store for _, store, _ in rows}))
    await connection.execute(
        "update reservation set claimed = 0 where n in"
        " (select n from reservation where n = any($1::bigint[]) for update skip locked)",
        [n for n, store, ended_at in rows if is_settled(known[store], ended_at)],
    )


async def page(
    connection: Connection,
    *,
    store: str | None,
    gtin: str | None,
    state: ReservationState | None,
    before: int,
    limit: int,
    clock: Clock,
) -> list[ReservationRecord]:
    """Reservations, the newest first, those before the number `before`."""
    now = clock()
    given = [("store = {}", store), ("gtin = {}", gtin), _of_state(state, rfc3339(now))]
    wanted = [(condition, value) for condition, value in given if value is not None]
    conditions = "".join(f" and {condition.format(f'${n}')}" for n, (condition, _) in enumerate(wanted, 3))
    rows = await connection.fetch(
        f"select {RESERVATION_COLUMNS} from reservation where n < $1{conditions} order by n desc limit $2",
        before,
        limit,
        *(value for _, value in wanted),
    )
    return [shown(reservation_record(row), now=now) for row in rows]


# --- small steps ---


def _lock_of(key: bytes) -> int:
    return int.from_bytes(key[:8], "big", signed=True)


def _of_state(state: ReservationState | None, at: str) -> tuple[str, str | None]:
    if state == "held":
        return "state = 'held' and expires_at > {}", at
    if state == "expired":
        return "(state = 'expired' or state = 'held' and expires_at <= {})", at
    return "state = {}", state


async def _records(
    connection: Connection, counts: list[tuple[Any, ...]], claims: list[tuple[Any, ...]]
) -> list[StockRecord]:
    of_counts: dict[str, list[Count]] = defaultdict(list)
    of_claims: dict[str, list[Claim]] = defaultdict(list)
    for store, *rest in counts:
        of_counts[store].append(Count(*rest))
    for store, *rest in claims:
        of_claims[store].append(Claim(*rest))
    known = await stores(connection, list(of_counts))
    return [StockRecord(known[store], of_counts[store], of_claims[store]) for store in sorted(of_counts)]


async def _taken_at(
    connection: Connection, store: str, wanted: Wanted, available: Available, clock: Clock
) -> ReservationRecord | None:
    """Held at `store`, which is locked from here on; None: it has not enough.

    What has expired is kept as such: a clock that is put back, or another process's, gives it nothing again.
    """
    await lock_store(connection, store)
    now = clock()
    await connection.execute(
        f"{_EXPIRE} {_IS_DUE} and gtin = $2 and store = $3", rfc3339(now), wanted.gtin, store
    )
    claims = await connection.fetch(f"{_CLAIMS} and store = $2", wanted.gtin, store)
    counts = await connection.fetch(f"{_COUNTS} and store = $2", wanted.gtin, store)
    found = await _records(connection, counts, claims)
    if not found or available(found[0], now) < wanted.quantity:
        return None
    return decided(wanted, store, now=now)


async def _one(connection: Connection, reservation: str) -> ReservationRecord:
    """A reservation, locked behind its store, which never changes."""
    id_ = id_bytes(reservation)
    where = await connection.fetchrow("select store from reservation where id = $1", id_)
    if where is None:
        raise not_known(reservation)
    if where[0] is not None:
        await lock_store(connection, where[0])
    row = await connection.fetchrow(
        f"select {RESERVATION_COLUMNS} from reservation where id = $1 for update", id_
    )
    if row is None:
        raise not_known(reservation)
    return reservation_record(row)


async def _insert(connection: Connection, wanted: Wanted, record: ReservationRecord) -> ReservationRecord:
    await connection.execute(
        "insert into reservation (id, key, body, state, store, gtin, quantity, reserved_by, reserved_at,"
        " expires_at, ended_at, claimed) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        id_bytes(record.reservation), wanted.key, wanted.body, record.state, record.store, record.gtin,
        record.quantity, record.reserved_by, record.reserved_at, record.expires_at, record.ended_at,
        record.claimed,
    )  # fmt: skip
    return record


async def _end(connection: Connection, record: ReservationRecord) -> None:
    await connection.execute(
        "update reservation set state = $1, ended_at = $2, claimed = $3 where n = $4",
        record.state,
        record.ended_at,
        record.claimed,
        record.n,
    )
