"""A store's history in SQLite: positions, branches, and walking a line of history to its root."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Set

from cloud_bridge.errors import Conflict, NotKnown
from cloud_bridge.picture import FOLDED_KINDS, Picture
from cloud_bridge.rows import ReadyRow
from cloud_bridge.store.lines import Head, RowKey, Segment, fold_on, is_effective, line_of, ready_row
from edge_agent.contract.messages import CHAIN_START


def current_head(connection: sqlite3.Connection, store: str, session: str) -> Head:
    """The head that `session` may write behind; Conflict when it is not the store's newest session."""
    row = connection.execute(
        "select b.branch, b.name, b.head_seq, b.head_chain, s.session, s.as_of_seq"
        " from store s join branch b on b.store = s.store and b.branch = s.branch where s.store = ?",
        (store,),
    ).fetchone()
    if row is None or row[4] != session:
        raise Conflict("stale_session", "this session is not the store's newest")
    return Head(*row)


def require_store(connection: sqlite3.Connection, store: str) -> None:
    """NotKnown when there is no such store."""
    if connection.execute("select 1 from store where store = ?", (store,)).fetchone() is None:
        raise NotKnown(f"there is no store {store!r}")


def chain_at(connection: sqlite3.Connection, store: str, branch: int, seq: int) -> bytes | None:
    """The chain at `seq` of the line of history that ends in `branch`; None below its root."""
    segments = ancestry(connection, store, branch, seq)
    holder = next((segment for segment in segments if segment.first <= seq), None)
    if holder is None:
        sql = "select start_chain from branch where store = ? and start_seq = ? and branch = ?"
        row = connection.execute(sql, (store, seq, segments[-1].branch)).fetchone()
    else:
        sql = "select chain from ledger where store = ? and seq = ? and branch = ?"
        row = connection.execute(sql, (store, seq, holder.branch)).fetchone()
    return bytes(row[0]) if row is not None else None


def branch_holding(connection: sqlite3.Connection, store: str, seq: int, chain: bytes) -> int | None:
    """The branch whose own row `seq` has this chain."""
    row = connection.execute(
        "select branch from ledger where store = ? and seq = ? and chain = ?", (store, seq, chain)
    ).fetchone()
    return int(row[0]) if row is not None else None


def is_known(connection: sqlite3.Connection, store: str, seq: int, chain: bytes) -> bool:
    """Whether HQ holds this position: the start of all, a row, or the start of a branch."""
    if (seq, chain) == (0, CHAIN_START) or branch_holding(connection, store, seq, chain) is not None:
        return True
    start = connection.execute(
        "select 1 from branch where store = ? and start_seq = ? and start_chain = ?", (store, seq, chain)
    ).fetchone()
    return start is not None


def ancestry(connection: sqlite3.Connection, store: str, branch: int | None, last: int) -> list[Segment]:
    """The rows up to `last` of the line that ends in `branch`, newest segment first."""
    rows = connection.execute("select branch, parent, start_seq from branch where store = ?", (store,))
    return line_of({number: (parent, start) for number, parent, start in rows}, branch, last)


def rows_of(
    connection: sqlite3.Connection,
    store: str,
    segments: list[Segment],
    *,
    kinds: Collection[str] = FOLDED_KINDS,
    released: Set[RowKey] = frozenset(),
) -> Iterator[ReadyRow]:
    """Rows of some kinds of a line of history, oldest first; of those set aside only the `released`."""
    named = ", ".join("?" * len(kinds))
    for segment in reversed(segments):
        rows = connection.execute(
            "select a.fate, l.seq, chain, eid, kind, version, occurred_at, boot_id, mono_ms, body"  # noqa: S608 - only question marks are put in
            " from ledger l"
            " left join set_aside a on a.store = l.store and a.seq = l.seq and a.branch = l.branch"
            f" where l.store = ? and l.branch = ? and l.seq between ? and ? and kind in ({named})"
            " order by l.seq",
            (store, segment.branch, segment.first, segment.last, *kinds),
        )
        for fate, seq, *rest in rows:
            if is_effective(fate, (segment.branch, seq), released):
                yield ready_row(seq, *rest)


def refold(connection: sqlite3.Connection, store: str, segments: list[Segment], *, at: str) -> Picture:
    """The picture that a line of history leads to, from nothing; its feed is not kept."""
    picture = Picture()
    fold_on(picture, rows_of(connection, store, segments), at=at)
    return picture
