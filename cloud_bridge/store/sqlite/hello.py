"""Where a store's agent goes on: the merge base of two histories, and a new branch when they differ."""

from __future__ import annotations

import secrets
import sqlite3

import msgspec

from cloud_bridge.picture import Picture, corrections
from cloud_bridge.store import meeting
from cloud_bridge.store.lines import Place
from cloud_bridge.store.meeting import RESTATED_ABOVE_ROWS, Decision, NeedsRefold, Refolded
from cloud_bridge.store.records import Want, Welcome
from cloud_bridge.store.sqlite.commands import give_up
from cloud_bridge.store.sqlite.history import ancestry, branch_holding, is_known, require_store
from cloud_bridge.store.sqlite.picture import load_facings, replace
from cloud_bridge.store.sqlite.published import want_again
from cloud_bridge.store.sqlite.state import drop_state
from cloud_bridge.store.sqlite.writer import Transaction
from edge_agent.contract.messages import Hello, Position


def greet(
    tx: Transaction, store: str, hello: Hello, refolded: Refolded | None, *, received_at: str
) -> Want | Welcome | NeedsRefold:
    """Decide where `hello` goes on, open its session, and publish what another line of history changes."""
    require_store(tx.connection, store)
    found = merge_base(tx.connection, store, hello)
    if isinstance(found, Want):
        return found
    decision = _decide(tx.connection, store, hello, found)
    moves = decision.moves
    if moves and (refolded is None or refolded.merge != decision.merge):
        line = decision.branch or decision.parent
        return NeedsRefold(decision.merge, ancestry(tx.connection, store, line, decision.merge[0]))
    branch, name = _take_branch(tx.connection, store, decision, received_at)
    published = _move(tx, store, refolded.picture, received_at) if moves and refolded is not None else 0
    if moves:
        give_up(tx, store, at=received_at)
        want_again(tx, store, at=received_at)
    if moves or hello.last_seq - decision.merge[0] <= RESTATED_ABOVE_ROWS:
        drop_state(tx.connection, store)
    session = secrets.token_hex(16)
    _save_session(tx.connection, store, hello, session, branch, received_at)
    seq, chain = decision.merge
    return Welcome(session, name, Position(seq, chain.hex()), decision.reason, published)


def merge_base(connection: sqlite3.Connection, store: str, hello: Hello) -> Place | Want | None:
    """See `meeting.merge_base`."""
    roots = connection.execute("select start_seq from branch where store = ? and parent is null", (store,))
    return meeting.merge_base(
        hello, lambda place: is_known(connection, store, *place), [seq for (seq,) in roots]
    )


def _decide(connection: sqlite3.Connection, store: str, hello: Hello, merge: Place | None) -> Decision:
    (current,) = connection.execute("select branch from store where store = ?", (store,)).fetchone()
    ending, holder = None, None
    if merge is not None:
        found = connection.execute(
            "select branch from branch where store = ? and head_seq = ? and head_chain = ?"
            " order by branch = ? desc, branch desc",
            (store, *merge, current),
        ).fetchone()
        ending = None if found is None else found[0]
        holder = branch_holding(connection, store, *merge)
    return meeting.decide(hello, merge, current=current, ending=ending, holder=holder)


def _take_branch(
    connection: sqlite3.Connection, store: str, decision: Decision, received_at: str
) -> tuple[int, str]:
    if decision.branch is not None:
        row = connection.execute(
            "select branch, name from branch where store = ? and branch = ?", (store, decision.branch)
        ).fetchone()
        return int(row[0]), str(row[1])
    (last,) = connection.execute(
        "select coalesce(max(branch), 0) from branch where store = ?", (store,)
    ).fetchone()
    branch, name = last + 1, f"b{last + 1}-{secrets.token_hex(4)}"
    connection.execute(
        "insert into branch (store, branch, name, parent, start_seq, start_chain, head_seq, head_chain,"
        " opened_at, reason) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            store,
            branch,
            name,
            decision.parent,
            *decision.merge,
            *decision.merge,
            received_at,
            decision.reason,
        ),
    )
    return branch, name


def _move(tx: Transaction, store: str, picture: Picture, received_at: str) -> int:
    published = load_facings(tx.connection, store)
    entries = corrections(published, picture.facings, at=received_at, new_eid=lambda: secrets.token_bytes(16))
    replace(tx.connection, store, picture)
    tx.publish(store, entries)
    return len(entries)


def _save_session(
    connection: sqlite3.Connection, store: str, hello: Hello, session: str, branch: int, received_at: str
) -> None:
    profile = hello.profile
    connection.execute(
        "update store set session = ?, branch = ?, name = ?, gln = ?, timezone = ?, latitude = ?,"
        " longitude = ?, agent_id = ?, versions = ?, last_seen_at = ?, last_seq = ?,"
        " catch_up_to = ? where store = ?",
        (
            session, branch, profile.name, profile.gln, profile.timezone, profile.latitude, profile.longitude,
            hello.agent_id, msgspec.json.encode(hello.versions).decode(), received_at, hello.last_seq,
            hello.last_seq, store,
        ),
    )  # fmt: skip
