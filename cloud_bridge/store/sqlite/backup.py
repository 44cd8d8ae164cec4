"""Copies of HQ's database: made beside the running bridge, verified, and what the newest one holds."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cloud_bridge.errors import BackupRefused, BackupUnsound, BadRequest, DataDirUnusable
from cloud_bridge.store.records import BackupRecord
from cloud_bridge.store.sqlite.audit import audit_all
from cloud_bridge.store.sqlite.schema import feed_epoch, open_file, open_reader, refuse_older
from cloud_bridge.store.sqlite.writer import Transaction
from edge_agent.contract.messages import chain_next

CHECKED_ROWS: Final = 100
"""Newest rows of each branch whose chain is folded again."""

BranchHead = tuple[str, str, int]
"""Store, name of the branch, number of its newest row."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a verified copy holds."""

    schema_version: int
    stores: int
    rows: int


def make_backup(
    database: Path, destination: Path, *, at: datetime, check: Callable[[Path], Copied]
) -> tuple[Path, Copied]:
    """A verified copy of `database` as of now at `destination`, or in that folder under a dated name.

    Only reads `database`, in one snapshot, so a running bridge goes on. It writes beside the destination and
    renames at the end: no file of that name is ever half a backup, and none is overwritten. BackupRefused:
    the destination; BackupUnsound: the copy failed its check and is deleted.
    """
    if not database.exists():
        raise DataDirUnusable(f"{database} does not exist", hint="start cloud-bridge once")
    target = destination / f"bridge-{at:%Y%m%dT%H%M%SZ}.sqlite3" if destination.is_dir() else destination
    if target.exists():
        raise BackupRefused(f"{target} is there already", hint="give a folder, or a name that is free")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise BackupRefused(
            f"{target.parent} cannot be written: {error.strerror}", hint="give a folder that is there"
        ) from error
    os.close(descriptor)
    part = Path(name)
    try:
        _copy(database, part)
        copied = check(part)
        sync_file(part)
        _take_name(part, target)
    finally:
        part.unlink(missing_ok=True)
    sync_file(target.parent)
    return target, copied


def verify(path: Path) -> Copied:
    """Read a copy back: every page, every branch's newest rows and head.

    BackupUnsound says what is wrong, DataDirUnusable that it is no database, SchemaTooNew whose it is.
    """
    with _checked(path) as connection:
        return _facts(connection, path)


def verify_and_audit(path: Path) -> Copied:
    """Like `verify`, and each store's state and feed folded from its ledger; not for an older schema."""
    with _checked(path) as connection:
        facts = _facts(connection, path)
        refuse_older(connection, path)
        audited = audit_all(connection)
        _refuse(path, [f"{result.store}: {line}" for result in audited for line in result.problems])
        return facts


def sync_file(path: Path) -> None:
    """Bring a file, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- what the newest one holds -----------------------------------------------------------------


def read_heads(path: Path, epoch: str, *, at: str) -> tuple[BackupRecord, list[BranchHead]]:
    """The copy at `path` and its heads; BadRequest when it was not made of the database of `epoch`."""
    with closing(open_file(path)) as connection:
        try:
            copied_epoch = feed_epoch(connection)
            heads = connection.execute("select store, name, head_seq from branch").fetchall()
        except sqlite3.DatabaseError as error:
            raise BackupUnsound(f"{path}: {error}", hint="make another backup") from error
    if copied_epoch != epoch:
        raise BadRequest(f"{path} is no backup of this database", hint="make it with the same bridge.yaml")
    return BackupRecord(at, str(path), path.stat().st_size), heads


def record(tx: Transaction, backup: BackupRecord, heads: Iterable[BranchHead]) -> None:
    """What a copy holds is held by it from now on, whatever was before."""
    tx.connection.execute(
        "insert into backup (at, path, size) values (?, ?, ?)", (backup.at, backup.path, backup.size)
    )
    tx.connection.execute("delete from backup_head")
    tx.connection.executemany(
        "insert into backup_head (store, branch, seq)"
        " select store, branch, ? from branch where store = ? and name = ?",
        [(seq, store, name) for store, name, seq in heads],
    )


def hold_all(connection: sqlite3.Connection) -> None:
    """For a database that was a backup itself a moment ago: what it holds is held by that."""
    connection.execute("delete from backup_head")
    connection.execute(
        "insert into backup_head (store, branch, seq) select store, branch, head_seq from branch"
    )


def newest(connection: sqlite3.Connection) -> BackupRecord | None:
    """The last backup that was recorded."""
    row = connection.execute("select at, path, size from backup order by n desc limit 1").fetchone()
    return BackupRecord(*row) if row is not None else None


def held_of(connection: sqlite3.Connection, store: str, name: str) -> int:
    """The newest row that the last backup holds of the line that ends in branch `name`; 0 when none."""
    line = connection.execute(
        "with recursive line (branch, parent, start_seq, depth) as ("
        "  select branch, parent, start_seq, 0 from branch where store = :store and name = :name"
        "  union all"
        "  select b.branch, b.parent, b.start_seq, depth + 1"
        "  from line join branch b on b.store = :store and b.branch = line.parent"
        ") select start_seq, seq from line"
        " left join backup_head h on h.store = :store and h.branch = line.branch order by depth",
        {"store": store, "name": name},
    )
    starts: list[int] = []
    for start_seq, seq in line:
        if seq is not None:
            return min([int(seq), *starts])
        starts.append(start_seq)
    return 0


# --- checking ----------------------------------------------------------------------------------


@contextmanager
def _checked(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_file(path)) as connection:
        try:
            yield connection
        except sqlite3.DatabaseError as error:
            raise BackupUnsound(f"{path}: {error}", hint="this copy is damaged; use another one") from error


def _facts(connection: sqlite3.Connection, path: Path) -> Copied:
    (version,) = connection.execute("pragma user_version").fetchone()
    if not version:
        raise BackupRefused(f"{path} is no database of HQ", hint="give a file of cloud-bridge backup")
    damage = [line for (line,) in connection.execute("pragma integrity_check(5)")]
    _refuse(path, [] if damage == ["ok"] else damage)
    _refuse(path, list(_head_problems(connection)))
    (stores,) = connection.execute("select count(*) from store").fetchone()
    (rows,) = connection.execute("select coalesce(sum(head_seq - start_seq), 0) from branch").fetchone()
    return Copied(version, stores, rows)


def _refuse(path: Path, problems: list[str]) -> None:
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise BackupUnsound(f"{path}: {problems[0]}{more}", hint="this copy cannot be used; make another one")


def _head_problems(connection: sqlite3.Connection) -> Iterable[str]:
    """Whether each branch's newest rows fold to its head."""
    heads = connection.execute(
        "select store, branch, name, start_seq, start_chain, head_seq, head_chain from branch"
    )
    for store, branch, name, start_seq, start_chain, head_seq, head_chain in heads:
        since = max(start_seq, head_seq - CHECKED_ROWS)
        rows = connection.execute(
            "select seq, chain, eid, kind, version, body from ledger"
            " where store = ? and branch = ? and seq >= ? order by seq",
            (store, branch, since),
        ).fetchall()
        chain, seq = start_chain, since
        if since > start_seq:
            chain = rows.pop(0)[1] if rows else b""
        for seq_, chain_, eid, kind, version, body in rows:
            seq, chain = seq + 1, chain_next(chain, eid, kind, version, body)
            if (seq_, chain_) != (seq, chain):
                yield f"store {store}, branch {name}: row {seq_} does not follow from the one before"
                break
        else:
            if (seq, chain) != (head_seq, head_chain):
                yield f"store {store}, branch {name}: ends at {seq}, its head says {head_seq}"


# --- small steps -------------------------------------------------------------------------------


def _copy(database: Path, part: Path) -> None:
    """All pages in one step: a step at a time would begin anew at every commit of the bridge."""
    with closing(open_reader(database)) as reader:
        try:
            with closing(sqlite3.connect(part, isolation_level=None)) as copy:
                copy.execute("pragma synchronous = off")  # a copy that was cut off is deleted, not mended
                reader.backup(copy)
                copy.execute("pragma journal_mode = delete")
        except sqlite3.Error as error:
            raise BackupUnsound(
                f"{part.parent}: the copy failed: {error}", hint="check the free space and both disks"
            ) from error


def _take_name(part: Path, target: Path) -> None:
    """The name is reserved first: a rename alone would overwrite what came there meanwhile."""
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError as error:
        raise BackupRefused(f"{target} is there already", hint="give a name that is free") from error
    part.replace(target)
