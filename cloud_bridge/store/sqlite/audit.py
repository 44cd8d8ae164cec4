"""Is what HQ shows what its ledger says? All is recomputed from the rows and compared; nothing is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cloud_bridge.errors import DataDirUnusable, NotKnown
from cloud_bridge.store.audit import (
    LISTED,
    SET_ASIDE_LISTED,
    SET_ASIDE_NAMES,
    BranchRow,
    ChainCheck,
    count_problems,
    doubles,
    facing_problems,
    feed_problems,
    left_behind,
    tail,
)
from cloud_bridge.store.lines import Segment
from cloud_bridge.store.records import StoreAudit
from cloud_bridge.store.sqlite.history import ancestry, chain_at, refold
from cloud_bridge.store.sqlite.looking import looking
from cloud_bridge.store.sqlite.picture import load_facings
from cloud_bridge.store.sqlite.replay import waiting
from cloud_bridge.store.sqlite.schema import refuse_older


def audit(path: Path, only: str | None = None) -> list[StoreAudit]:
    """One result a store, from one snapshot; NotKnown: `only` names no store; Unavailable: see `looking`."""
    if not path.exists():
        raise DataDirUnusable(
            f"{path} does not exist", hint="start cloud-bridge once, or give its bridge.yaml"
        )
    try:
        with looking(path) as connection:
            refuse_older(connection, path)
            return audit_all(connection, only)
    except sqlite3.DatabaseError as error:
        raise DataDirUnusable(f"{path}: {error}", hint="the file is damaged; restore a backup") from error


def audit_all(connection: sqlite3.Connection, only: str | None = None) -> list[StoreAudit]:
    """One result a store of what `connection` sees; NotKnown when `only` names no store."""
    rows = connection.execute(
        "select store from store where ? is null or store = ? order by store", (only, only)
    )
    stores = [store for (store,) in rows]
    if only is not None and not stores:
        raise NotKnown(f"there is no store {only!r}")
    return [_audit(connection, store) for store in stores]


def _audit(connection: sqlite3.Connection, store: str) -> StoreAudit:
    result = StoreAudit(store)
    result.problems += _ledger_problems(connection, store, result)
    result.problems += _eid_problems(connection, store)
    _list_set_aside(connection, store, result)
    (branch,) = connection.execute("select branch from store where store = ?", (store,)).fetchone()
    if branch is not None:
        (head,) = connection.execute(
            "select head_seq from branch where store = ? and branch = ?", (store, branch)
        ).fetchone()
        line = ancestry(connection, store, branch, head)
        result.orphaned = _orphaned(connection, store, line)
        result.orphaned_rows = sum(tail["rows"] for tail in result.orphaned)
        truth = refold(connection, store, line, at="")
        result.problems += facing_problems(load_facings(connection, store), truth)
        result.problems += feed_problems(_feed_sums(connection, store), truth)
    return result


def _ledger_problems(connection: sqlite3.Connection, store: str, result: StoreAudit) -> Iterator[str]:
    """Each branch: starts where its parent was, is contiguous, and its chain folds to its head."""
    (result.rows,) = connection.execute("select count(*) from ledger where store = ?", (store,)).fetchone()
    branches = _branches(connection, store)
    result.branches = len(branches)
    for branch in branches:
        if branch.parent is not None:
            yield from branch.start_problem(chain_at(connection, store, branch.parent, branch.start_seq))
        check = ChainCheck(branch)
        check.take(
            connection.execute(
                "select seq, chain, eid, kind, version, body from ledger"
                " where store = ? and branch = ? order by seq",
                (store, branch.branch),
            )
        )
        yield from check.problems()
    yield from count_problems(branches, result.rows)


def _branches(connection: sqlite3.Connection, store: str) -> list[BranchRow]:
    rows = connection.execute(
        "select branch, name, parent, start_seq, start_chain, head_seq, head_chain from branch"
        " where store = ? order by branch",
        (store,),
    )
    return [BranchRow(*row) for row in rows]


def _eid_problems(connection: sqlite3.Connection, store: str) -> Iterator[str]:
    for table in ("ledger", "feed"):
        twice = connection.execute(
            f"select eid, count(*) from {table} where store = ? group by eid having count(*) > 1 limit ?",  # noqa: S608 - names from this file
            (store, LISTED),
        )
        yield from doubles(table, twice)


def _list_set_aside(connection: sqlite3.Connection, store: str, result: StoreAudit) -> None:
    counts = dict(
        connection.execute(
            "select fate, count(*) from set_aside where store = ? group by fate", (store,)
        ).fetchall()
    )
    result.parked, result.quarantined = counts.get("parked", 0), counts.get("quarantined", 0)
    result.replayable = waiting(connection, store)
    (result.replayed,) = connection.execute(
        "select coalesce(sum(rows), 0) from replay where store = ?", (store,)
    ).fetchone()
    found = connection.execute(
        "select a.seq, b.name, a.fate, l.kind, l.version, l.occurred_at, l.received_at, a.reason"
        " from set_aside a"
        " join branch b on b.store = a.store and b.branch = a.branch"
        " join ledger l on l.store = a.store and l.seq = a.seq and l.branch = a.branch"
        " where a.store = ? order by a.fate = 'quarantined' desc, a.branch desc, a.seq desc limit ?",
        (store, SET_ASIDE_LISTED),
    )
    result.set_aside = [dict(zip(SET_ASIDE_NAMES, row, strict=True)) for row in found]


def _orphaned(connection: sqlite3.Connection, store: str, line: list[Segment]) -> list[dict[str, Any]]:
    """Each branch's rows behind where the store left it, oldest branch first: how many, and since when."""
    return [
        tail(
            branch,
            left_at,
            connection.execute(
                "select occurred_at, received_at from ledger where store = ? and branch = ? and seq = ?",
                (store, branch.branch, left_at + 1),
            ).fetchone(),
        )
        for branch, left_at in left_behind(_branches(connection, store), line)
    ]


def _feed_sums(connection: sqlite3.Connection, store: str) -> list[tuple[str, str, int]]:
    """What the changes ever published of each facing and item add up to."""
    return connection.execute(
        "select facing, gtin, sum(change) from ("
        " select json_extract(payload, '$.facing') as facing, json_extract(payload, '$.gtin') as gtin,"
        " json_extract(payload, '$.change') as change from feed where store = ? and type = 'stock.changed'"
        " union all select facing, gtin, change from feed_pruned where store = ?"
        ") group by facing, gtin",
        (store, store),
    ).fetchall()
