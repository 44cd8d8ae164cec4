"""Is what HQ shows what its ledger says? All is recomputed from the rows and compared; nothing is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cloud_bridge.errors import DataDirUnusable, NotKnown
from cloud_bridge.picture import Picture
from cloud_bridge.store.records import StoreAudit
from cloud_bridge.store.sqlite.history import Segment, ancestry, chain_at, refold
from cloud_bridge.store.sqlite.picture import load_facings
from cloud_bridge.store.sqlite.replay import waiting
from cloud_bridge.store.sqlite.schema import open_reader, refuse_older
from edge_agent.contract.messages import chain_next

_LISTED: Final = 20
_SET_ASIDE_LISTED: Final = 1_000
"""Rows set aside that one audit names, quarantined ones first; the counts are of all."""


def audit(path: Path, only: str | None = None) -> list[StoreAudit]:
    """One result a store, from one snapshot of the database; NotKnown when `only` names no store."""
    if not path.exists():
        raise DataDirUnusable(
            f"{path} does not exist", hint="start cloud-bridge once, or give its bridge.yaml"
        )
    connection = open_reader(path)
    try:
        connection.execute("begin")
        refuse_older(connection, path)
        return audit_all(connection, only)
    except sqlite3.DatabaseError as error:
        raise DataDirUnusable(f"{path}: {error}", hint="the file is damaged; restore a backup") from error
    finally:
        connection.close()


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
        result.problems += _facing_problems(connection, store, truth)
        result.problems += _feed_problems(connection, store, truth)
    return result


def _ledger_problems(connection: sqlite3.Connection, store: str, result: StoreAudit) -> Iterator[str]:
    """Each branch: starts where its parent was, is contiguous, and its chain folds to its head."""
    (result.rows,) = connection.execute("select count(*) from ledger where store = ?", (store,)).fetchone()
    branches = connection.execute(
        "select branch, name, parent, start_seq, start_chain, head_seq, head_chain from branch"
        " where store = ?",
        (store,),
    ).fetchall()
    result.branches = len(branches)
    accounted = 0
    for branch, name, parent, start_seq, start_chain, head_seq, head_chain in branches:
        accounted += head_seq - start_seq
        if parent is not None and chain_at(connection, store, parent, start_seq) != start_chain:
            yield f"branch {name}: does not start where its parent was at {start_seq}"
        seq, chain = start_seq, start_chain
        rows = connection.execute(
            "select seq, chain, eid, kind, version, body from ledger"
            " where store = ? and branch = ? order by seq",
            (store, branch),
        )
        for seq_, chain_, eid, kind, version, body in rows:
            seq, chain = seq + 1, chain_next(chain, eid, kind, version, body)
            if seq_ != seq:
                yield f"branch {name}: row {seq} is missing, {seq_} follows"
                break
            if chain_ != chain:
                yield f"branch {name}: row {seq} is not what was received, its chain differs"
                break
        else:
            if (seq, chain) != (head_seq, head_chain):
                yield f"branch {name}: ends at {seq}, its head says {head_seq}"
    if accounted != result.rows:
        yield f"ledger has {result.rows} rows, its branches account for {accounted}"


def _eid_problems(connection: sqlite3.Connection, store: str) -> Iterator[str]:
    for table in ("ledger", "feed"):
        twice = connection.execute(
            f"select eid, count(*) from {table} where store = ? group by eid having count(*) > 1 limit ?",  # noqa: S608 - names from this file
            (store, _LISTED),
        )
        yield from (f"{table}: event {eid.hex()} is there {count} times" for eid, count in twice)


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
        (store, _SET_ASIDE_LISTED),
    )
    names = ("seq", "branch", "fate", "kind", "version", "occurred_at", "received_at", "reason")
    result.set_aside = [dict(zip(names, row, strict=True)) for row in found]


def _orphaned(connection: sqlite3.Connection, store: str, line: list[Segment]) -> list[dict[str, Any]]:
    """Each branch's rows behind where the store left it, oldest branch first: how many, and since when."""
    last_in_line = {segment.branch: segment.last for segment in line}
    tails = []
    branches = connection.execute(
        "select branch, name, start_seq, head_seq from branch where store = ? order by branch", (store,)
    ).fetchall()
    for branch, name, start_seq, head_seq in branches:
        left_at = max(start_seq, last_in_line.get(branch, start_seq))
        if head_seq <= left_at:
            continue
        occurred_at, received_at = connection.execute(
            "select occurred_at, received_at from ledger where store = ? and branch = ? and seq = ?",
            (store, branch, left_at + 1),
        ).fetchone() or (None, None)
        tails.append(
            {
                "branch": name,
                "rows": head_seq - left_at,
                "first": left_at + 1,
                "last": head_seq,
                "occurred_at": occurred_at,
                "received_at": received_at,
            }
        )
    return tails


def _facing_problems(connection: sqlite3.Connection, store: str, truth: Picture) -> Iterator[str]:
    """A facing that the ledger never mentions may be shown, as long as nothing is claimed about it."""
    shown = load_facings(connection, store)
    for facing in sorted(shown.keys() | truth.facings.keys()):
        is_, ought = shown.get(facing), truth.facings.get(facing)
        if is_ is None:
            yield f"facing {facing}: not shown, the ledger has it"
        elif ought is None:
            if is_.on_hand is not None:
                yield f"facing {facing}: shown with {is_.on_hand}, the ledger does not have it"
        elif (is_.gtin, is_.on_hand, is_.status) != (ought.gtin, ought.on_hand, ought.status):
            yield (
                f"facing {facing}: shows {is_.gtin} {is_.on_hand} {is_.status},"
                f" the ledger says {ought.gtin} {ought.on_hand} {ought.status}"
            )


def _feed_problems(connection: sqlite3.Connection, store: str, truth: Picture) -> Iterator[str]:
    """The changes ever published of a facing and item add up to what stands there, or to nothing."""
    sums = connection.execute(
        "select facing, gtin, sum(change) from ("
        " select json_extract(payload, '$.facing') as facing, json_extract(payload, '$.gtin') as gtin,"
        " json_extract(payload, '$.change') as change from feed where store = ? and type = 'stock.changed'"
        " union all select facing, gtin, change from feed_pruned where store = ?"
        ") group by facing, gtin",
        (store, store),
    )
    found = {(facing, gtin): total for facing, gtin, total in sums if total}
    ought = {(name, facing.gtin): facing.on_hand for name, facing in truth.facings.items() if facing.on_hand}
    for facing, gtin in sorted(found.keys() | ought.keys()):
        is_, should = found.get((facing, gtin), 0), ought.get((facing, gtin), 0)
        if is_ != should:
            yield f"facing {facing}: the feed's changes of {gtin} add up to {is_}, the ledger says {should}"
