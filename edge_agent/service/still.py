"""Whether a SQLite file lies still: known by the file system, before and after somebody has read it.

Without a program that has it open there is no `-wal` file, and SQLite would make one to read: a file that
belongs to whoever asked. So such a file is read as one that nobody changes, and looked at again at the end.
"""

from __future__ import annotations

from pathlib import Path

Stamp = tuple[int, ...]


def wal_of(path: Path) -> Path:
    """Where what is committed waits for its checkpoint, while a program has the database open."""
    return path.with_name(f"{path.name}-wal")


def stamp_of(path: Path) -> Stamp | None:
    """None while a program has the database open, else the same as long as nobody writes."""
    if wal_of(path).exists():
        return None
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
