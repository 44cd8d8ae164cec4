"""A backup put in the place of HQ's database, which is kept; the next start finishes what a kill cut off."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cloud_bridge.errors import BackupRefused, DataDirUnusable
from cloud_bridge.store.sqlite import feed
from cloud_bridge.store.sqlite.backup import Copied, hold_all, sync_file, verify, verify_and_audit
from cloud_bridge.store.sqlite.schema import begin_epoch, feed_epoch, open_reader, open_writer, past_epochs
from edge_agent.contract.errors import SchemaTooNew
from edge_agent.contract.times import rfc3339


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put in place, and where the database before it lies; None when there was none."""

    copied: Copied
    kept: Path | None


def restore(source: Path, database: Path, *, at: datetime) -> Restored:
    """Make the backup `source` the database; the caller owns the lock of the folder.

    Nothing is touched before the backup has passed every check, the audit too. Agents say hello again; the
    feed gets a new name. BackupRefused: not a file to restore; BackupUnsound: it failed a check.
    """
    finish_restore(database)
    _require_file(source, database)
    verify(source)
    making = database.with_name(f"{database.name}.restoring")
    _remove(making)
    try:
        _copy_file(source, making)
        with closing(open_writer(making)) as connection:
            _begin_again(connection, source, _epochs_of(database), rfc3339(at))
            connection.execute("pragma journal_mode = delete")
        copied = verify_and_audit(making)
        sync_file(making)
    except BaseException:
        _remove(making)
        raise
    making.rename(database.with_name(f"{_prepared(database)}{at:%Y%m%dT%H%M%S%fZ}"))
    sync_file(database.parent)
    return Restored(copied, finish_restore(database))


def finish_restore(database: Path) -> Path | None:
    """Put a checked copy in place that waits for it, and say where the old database lies.

    Every step can be done again after a kill. The WAL goes before its database: a database without it is
    only ever the one that is put aside, never the one in place.
    """
    waiting = sorted(database.parent.glob(f"{_prepared(database)}*"))
    kept = None
    for prepared in waiting:
        aside = database.with_name(prepared.name.replace(".restored-", ".before-restore-"))
        for suffix in ("-wal", ""):
            if (part := database.with_name(database.name + suffix)).exists():
                part.rename(aside.with_name(aside.name + suffix))
        database.with_name(f"{database.name}-shm").unlink(missing_ok=True)
        sync_file(database.parent)
        prepared.rename(database)
        sync_file(database.parent)
        kept = aside if aside.exists() else None
    return kept


def _prepared(database: Path) -> str:
    return f"{database.name}.restored-"


def _require_file(source: Path, database: Path) -> None:
    if not source.is_file():
        raise BackupRefused(f"{source} is not a file", hint="give a file of cloud-bridge backup")
    if database.exists() and source.samefile(database):
        raise BackupRefused(f"{source} is the database itself", hint="give a file of cloud-bridge backup")
    wal = source.with_name(f"{source.name}-wal")
    if wal.exists() and wal.stat().st_size:
        raise BackupRefused(
            f"{source} has commits beside it in {wal.name}", hint="give a file of cloud-bridge backup"
        )


def _copy_file(source: Path, making: Path) -> None:
    try:
        os.close(os.open(making, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        shutil.copyfile(source, making)
    except OSError as error:
        raise BackupRefused(
            f"{source} cannot be copied to {making.parent}: {error.strerror}",
            hint="check the free space and the owner of data_dir",
        ) from error


def _remove(making: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        making.with_name(making.name + suffix).unlink(missing_ok=True)


def _begin_again(connection: sqlite3.Connection, source: Path, old: dict[str, int], at: str) -> None:
    """Sessions end, links that may be used up are gone, the feed gets a name, the backup is on record."""
    connection.execute("begin immediate")
    chain = _epoch_chain(connection)
    begin_epoch(connection, _past(chain, old))
    connection.execute("update store set session = null")
    connection.execute("delete from login_link")
    connection.execute(
        "insert into backup (at, path, size) values (?, ?, ?)",
        (at, str(source.resolve()), source.stat().st_size),
    )
    hold_all(connection)
    connection.execute("commit")


def _epoch_chain(connection: sqlite3.Connection) -> dict[str, int]:
    """Every name that the feed has had, oldest first, and its last number under each."""
    return past_epochs(connection) | {feed_epoch(connection): feed.head(connection)}


def _epochs_of(database: Path) -> dict[str, int]:
    """The names of the database that is in place; none when it cannot be read, which may be why it goes."""
    if not database.exists():
        return {}
    try:
        with closing(open_reader(database)) as connection:
            return _epoch_chain(connection)
    except (DataDirUnusable, SchemaTooNew, sqlite3.Error, TypeError):
        return {}


def _past(chain: dict[str, int], old: dict[str, int]) -> dict[str, int]:
    """Up to where cursors of each name stay good: those of the backup, and of the database that goes.

    What the old one wrote under a later name is this history up to where the two parted, 0 when they never
    were one.
    """
    past, parted = dict(chain), 0
    for name, last in old.items():
        if name in chain:
            parted = min(last, chain[name])
        else:
            past[name] = parted
    return past
