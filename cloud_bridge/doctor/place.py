"""The folder of HQ's data and the disk below it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from cloud_bridge.control import LOCK
from cloud_bridge.store.sqlite.looking import size_of
from edge_agent.service.finding import Finding, Level
from edge_agent.service.still import wal_of

FULL_WARN: Final = 85
FULL_FAIL: Final = 95
"""Per cent of the disk, as the agent judges its own journal."""
_KIB: Final = 2**10
_MIB: Final = 2**20


def examine(database: Path) -> Iterator[Finding]:
    """The folder of `database`, which need not be there yet, and the room on its disk."""
    folder = database.parent
    there = next(place for place in (folder, *folder.resolve().parents) if os.access(place, os.F_OK))
    yield _folder(folder, there)
    if there == folder and folder.is_dir():
        yield from _kept_to_itself(folder, database)
    usage = shutil.disk_usage(there)
    size = size_of(database) + size_of(wal_of(database))
    yield judge_room(used=usage.used, free=usage.free, size=size)


def is_closed(folder: Path) -> bool:
    """Whether nothing in it can be seen by this user; one that is not there is not closed."""
    return os.access(folder, os.F_OK) and not os.access(folder, os.R_OK | os.X_OK)


def judge_room(*, used: int, free: int, size: int) -> Finding:
    """What a disk with `used` and `free` bytes means for a database of `size` bytes."""
    percent = 100 * used / max(1, used + free)
    text = f"{percent:.0f} % full, {free // _MIB} MiB free"
    if percent >= FULL_WARN:
        level: Level = "FAIL" if percent >= FULL_FAIL else "warn"
        hint = "free the disk, or move data_dir: on a full disk HQ takes no rows"
        return Finding(level, "disk", text, hint)
    if free < size:
        hint = "a restore makes a second copy here; give the disk more room, and keep backups on another one"
        return Finding("warn", "disk", f"{text}, less than the database's {space(size)}", hint)
    return Finding("ok", "disk", text)


def space(size: int) -> str:
    """Bytes in words: a small database is not of 0 MiB."""
    return f"{size / _MIB:.1f} MiB" if size >= _MIB else f"{size / _KIB:.0f} KiB"


def judge_owner(folder: Path, files: Iterable[Path], *, uid: int) -> Finding | None:
    """Whether the folder and those of its files that are there are all of one user, and `uid` is that user;
    None when so.
    """
    owner = folder.stat().st_uid
    strange = [file.name for file in files if _owner(file) not in (owner, None)]
    if strange:
        hint = f"chown {owner} {' '.join(str(folder / name) for name in strange)}"
        return Finding("FAIL", "data_dir", f"of user {owner}, but not {', '.join(strange)}", hint)
    if owner != uid:
        hint = "run cloud-bridge as the user of the service, the doctor too"
        return Finding("warn", "data_dir", f"{folder} is of user {owner}, this is user {uid}", hint)
    return None


def _folder(folder: Path, there: Path) -> Finding:
    if not there.is_dir():
        return Finding("FAIL", "data_dir", f"{there} is no folder", "set data_dir to a folder")
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        hint = f"give user {os.getuid()} the folder, or run as the user of the service"
        return Finding("FAIL", "data_dir", f"{there} is not writable", hint)
    return Finding("ok", "data_dir", f"{folder}{' will be made at the first start' * (there != folder)}")


def _kept_to_itself(folder: Path, database: Path) -> Iterator[Finding]:
    files = (folder / LOCK, database, wal_of(database), database.with_name(f"{database.name}-shm"))
    whose = judge_owner(folder, files, uid=os.getuid())
    if whose is not None:
        yield whose
    mode = folder.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        hint = f"chmod 700 {folder}: it holds what is known of tokens and people"
        yield Finding("warn", "data_dir", f"open to others ({stat.filemode(mode)})", hint)


def _owner(file: Path) -> int | None:
    """None when it cannot be seen: the bridge takes its WAL away at any time."""
    try:
        return file.stat().st_uid
    except OSError:
        return None
