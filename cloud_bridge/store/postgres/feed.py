"""The feed in PostgreSQL: what a transaction publishes is one step, numbered once it can be seen by all.

A number that is given inside a transaction is seen in the order of commits, not of numbers: a reader that
goes on behind the last one passes others by. So steps are numbered after their commit, by one at a time, and
readers see numbered ones only: without gaps, in the order of commits, whatever else runs in the database.
"""

from __future__ import annotations

import json
import secrets
from typing import Final

from cloud_bridge.picture import FeedEntry
from cloud_bridge.store import cursors
from cloud_bridge.store.postgres.database import Connection, Lock, Transaction, Writes
from cloud_bridge.store.postgres.many import Columns
from cloud_bridge.store.postgres.schema import get_meta, set_meta
from cloud_bridge.store.records import FeedEvent, FeedPage

CHANNEL: Final = "hq_feed"

_ENTRY: Final = Columns.of(
    "eid bytea, seq bigint?, type text, occurred_at text, received_at text, payload text"
)
_PUBLISH: Final = f"""
with next as (
  insert into feed_step (store, events, received_at) values ($1, $2, $3) returning step
)
insert into feed (store, step, place, {", ".join(_ENTRY.names)})
select $1, next.step, r.place, {", ".join(_ENTRY.values)} from next, {_ENTRY.rows(4)}
"""
_IDENTITY: Final = (
    "select system_identifier::text || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8)"
    " from pg_control_system()"
)
_NUMBER: Final = """
with waiting as (
  select step, sum(events) over (order by step) as upto from feed_step where last_n is null
), numbered as (
  update feed_step s set last_n = (select coalesce(max(last_n), 0) from feed_step) + w.upto
  from waiting w where s.step = w.step returning 1
)
select count(*) from numbered
"""
_EVENTS: Final = """
select s.last_n - s.events + f.place, f.store, f.eid, f.seq, f.type, f.occurred_at, f.received_at, f.payload
from feed_step s join feed f on f.store = s.store and f.step = s.step
where s.last_n > $1 and s.last_n - s.events + f.place > $1{conditions}
order by s.last_n, f.place limit $2
"""


async def publish(tx: Transaction, store: str, entries: list[FeedEntry], *, by: Writes | None = None) -> None:
    """Keep `entries` as one step of the feed, written `by`; it is numbered once it is committed."""
    if not entries:
        return
    rows = [(e.eid, e.seq, e.type, e.occurred_at, e.received_at, e.payload.decode()) for e in entries]
    received_at = entries[-1].received_at
    await (by or tx.connection).execute(_PUBLISH, store, len(rows), received_at, *_ENTRY.of_rows(rows))
    tx.published += len(rows)


async def number(connection: Connection) -> None:
    """Number what was committed since, in a transaction of the caller.

    Where the database is another one than the feed was named for (restored, or a standby that took over),
    the feed gets a new name first: numbers above may be given a second time.
    """
    await connection.execute("select pg_advisory_xact_lock($1, $2)", *Lock.FEED)
    await _rename_elsewhere(connection)
    if await connection.fetchval(_NUMBER):
        await connection.execute(f"notify {CHANNEL}")


async def is_waiting(connection: Connection) -> bool:
    """Whether steps are committed and not numbered."""
    return bool(await connection.fetchval("select exists (select 1 from feed_step where last_n is null)"))


async def epochs(connection: Connection) -> tuple[str, dict[str, int]]:
    """The name of this feed, and names that it had before with the number up to which each is its history."""
    past: dict[str, int] = json.loads(await get_meta(connection, "past_epochs") or "{}")
    return str(await get_meta(connection, "feed_epoch")), past


async def head(connection: Connection) -> int:
    """The number of the newest event, 0 before the first."""
    return int(await connection.fetchval("select coalesce(max(last_n), 0) from feed_step"))


async def events(
    connection: Connection, epoch: str, after: int, store: str | None, type_: str | None, limit: int
) -> FeedPage:
    """Up to `limit` events behind `after` that match, and the place to go on from."""
    newest = await head(connection)
    oldest = await connection.fetchval(
        "select last_n - events + 1 from feed_step where last_n is not null order by last_n limit 1"
    )
    cursors.require_readable(after, newest=newest, oldest=oldest)
    found = await read_on(connection, epoch, after, store=store, type_=type_, limit=limit)
    return cursors.page(found, epoch=epoch, newest=newest, limit=limit)


async def read_on(
    connection: Connection,
    epoch: str,
    after: int,
    *,
    store: str | None = None,
    type_: str | None = None,
    limit: int,
) -> list[FeedEvent]:
    """Up to `limit` numbered events behind `after`, in their order."""
    given = {"f.store": store, "f.type": type_}
    wanted = {column: value for column, value in given.items() if value is not None}
    conditions = "".join(f" and {column} = ${n}" for n, column in enumerate(wanted, 3))
    if store is not None:
        conditions += " and s.store = $3"
    query = _EVENTS.format(conditions=conditions)
    rows = await connection.fetch(query, after, limit, *wanted.values())
    return [cursors.event(epoch, (n, *rest)) for n, *rest in rows]


async def _rename_elsewhere(connection: Connection) -> None:
    identity = await connection.fetchval(_IDENTITY)
    known = await get_meta(connection, "feed_identity")
    if identity == known:
        return
    await set_meta(connection, "feed_identity", identity)
    if known is None:
        return
    epoch, past = await epochs(connection)
    last = await head(connection)
    history = {name: min(upto, last) for name, upto in past.items()} | {epoch: last}
    await set_meta(connection, "past_epochs", json.dumps(history))
    await set_meta(connection, "feed_epoch", secrets.token_hex(4))
