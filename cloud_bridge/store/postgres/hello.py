"""Where a store's agent goes on, in PostgreSQL: its session, and a new branch when histories differ."""

from __future__ import annotations

import secrets

import msgspec

from cloud_bridge.picture import Picture, corrections
from cloud_bridge.store import meeting
from cloud_bridge.store.lines import line_of
from cloud_bridge.store.meeting import RESTATED_ABOVE_ROWS, Decision, NeedsRefold, Refolded
from cloud_bridge.store.postgres.commands import give_up
from cloud_bridge.store.postgres.database import Connection, Transaction
from cloud_bridge.store.postgres.feed import publish
from cloud_bridge.store.postgres.history import (
    Folded,
    branch_holding,
    branches_of,
    known_of,
    lock_store,
    replays_of,
)
from cloud_bridge.store.postgres.picture import load_facings, replace
from cloud_bridge.store.postgres.published import want_again
from cloud_bridge.store.postgres.sealing import sealed
from cloud_bridge.store.postgres.state import drop_state
from cloud_bridge.store.records import Want, Welcome
from edge_agent.contract.messages import Hello, Position


async def greet(
    tx: Transaction, store: str, hello: Hello, refolded: Refolded | None, *, received_at: str
) -> Want | Welcome | NeedsRefold:
    """Decide where `hello` goes on, open its session, and publish what another line of history changes."""
    current = await lock_store(tx.connection, store)
    decision = await _decide(tx.connection, store, hello, current)
    if isinstance(decision, Want):
        return decision
    if decision.moves and (
        refolded is None or not await _is_still_true(tx.connection, store, refolded, decision)
    ):
        line = decision.branch or decision.parent
        branches = await branches_of(tx.connection, store)
        return NeedsRefold(decision.merge, line_of(branches, line, decision.merge[0]))
    branch, name = await _take_branch(tx.connection, store, decision, received_at)
    published = 0
    if decision.moves and refolded is not None:
        published = await _move(tx, store, refolded.picture, received_at)
        await give_up(tx, store, at=received_at)
        await want_again(tx, store, at=received_at)
    if decision.moves or hello.last_seq - decision.merge[0] <= RESTATED_ABOVE_ROWS:
        await drop_state(tx.connection, store)
    session = secrets.token_hex(16)
    await _save_session(tx.connection, store, hello, session, branch, received_at)
    seq, chain = decision.merge
    return Welcome(session, name, Position(seq, chain.hex()), decision.reason, published)


async def _is_still_true(connection: Connection, store: str, refolded: Refolded, decision: Decision) -> bool:
    """Another process may have released rows of the store since it was folded."""
    picture = refolded.picture
    if refolded.merge != decision.merge or not isinstance(picture, Folded):
        return False
    return picture.replays == await replays_of(connection, store)


async def _decide(connection: Connection, store: str, hello: Hello, current: int | None) -> Decision | Want:
    known = await known_of(connection, store, meeting.places(hello))
    roots = await connection.fetch("select start_seq from branch where store = $1 and parent is null", store)
    merge = meeting.merge_base(hello, known.__contains__, [seq for (seq,) in roots])
    if isinstance(merge, Want):
        return merge
    ending, holder = None, None
    if merge is not None:
        ending = await connection.fetchval(
            "select branch from branch where store = $1 and head_seq = $2 and head_chain = $3"
            " order by (branch is not distinct from $4) desc, branch desc limit 1",
            store,
            *merge,
            current,
        )
        holder = await branch_holding(connection, store, merge)
    return meeting.decide(hello, merge, current=current, ending=ending, holder=holder)


async def _take_branch(
    connection: Connection, store: str, decision: Decision, received_at: str
) -> tuple[int, str]:
    if decision.branch is not None:
        name = await connection.fetchval(
            "select name from branch where store = $1 and branch = $2", store, decision.branch
        )
        return decision.branch, name
    branch = 1 + await connection.fetchval(
        "select coalesce(max(branch), 0) from branch where store = $1", store
    )
    name = f"b{branch}-{secrets.token_hex(4)}"
    await connection.execute(
        "insert into branch (store, branch, name, parent, start_seq, start_chain, head_seq, head_chain,"
        " opened_at, reason) values ($1, $2, $3, $4, $5, $6, $5, $6, $7, $8)",
        store,
        branch,
        name,
        decision.parent,
        *decision.merge,
        received_at,
        decision.reason,
    )
    return branch, name


async def _move(tx: Transaction, store: str, picture: Picture, received_at: str) -> int:
    published = await load_facings(tx.connection, store)
    entries = corrections(published, picture.facings, at=received_at, new_eid=lambda: secrets.token_bytes(16))
    await replace(tx.connection, store, picture)
    await publish(tx, store, entries)
    return len(entries)


async def _save_session(
    connection: Connection, store: str, hello: Hello, session: str, branch: int, received_at: str
) -> None:
    profile = hello.profile
    await connection.execute(
        "update store set session = $2, branch = $3, name = $4, gln = $5, timezone = $6, latitude = $7,"
        " longitude = $8, agent_id = $9, versions = $10, last_seen_at = $11, last_seq = $12,"
        " catch_up_to = $12 where store = $1",
        store, session, branch, sealed(profile.name), profile.gln and sealed(profile.gln),
        sealed(profile.timezone), profile.latitude, profile.longitude, sealed(hello.agent_id),
        msgspec.json.encode(hello.versions).decode(), received_at, hello.last_seq,
    )  # fmt: skip
