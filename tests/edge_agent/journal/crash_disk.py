"""A disk in user space beneath the real journal: it records every write, may refuse some, and yields what a power cut leaves.

apsw's files have no shared memory, so the journal's two connections are one here, in exclusive locking mode.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import apsw

from edge_agent.journal.file import Opener

FILES = ("", "-wal", "-journal")
SECTOR = 512
_names = count()


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One call that reached the disk. `kind`: write, truncate, delete, sync (`at` 1: the folder too), or told: somebody
    relies on what was before."""

    kind: str
    file: str
    at: int = 0
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Image:
    """The files as a power cut behind step `after` may leave them; so many steps `told` came before it."""

    after: int
    mode: str
    told: int
    files: dict[str, bytearray]

    def lay(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for suffix, content in self.files.items():
            if content or suffix == "":
                Path(f"{folder / 'journal.db'}{suffix}").write_bytes(content)


class Disk(apsw.VFS):
    """`refuse_write`, `refuse_sync`: the number of the call that fails (from 1), `error` with what."""

    def __init__(self, *, lies: bool = False) -> None:
        self.name = f"crash-{next(_names)}"
        self.log: list[Step] = []
        self.writes = self.syncs = 0
        self.refuse_write = self.refuse_sync = 0
        self.error: type[apsw.Error] = apsw.FullError
        self.lies = lies
        super().__init__(self.name, "unix")

    def xOpen(self, name: Any, flags: list[int]) -> File:  # noqa: N802  # SQLite's name
        return File(self, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802  # SQLite's name
        if (suffix := _suffix(name)) is not None:
            self.log.append(Step("delete", suffix, int(syncdir)))
        super().xDelete(name, syncdir)

    def opener(self, pragmas: Mapping[str, str] | None = None) -> Opener:
        """For `Journal`. `pragmas` replace the journal's own."""
        connections: list[_Connection] = []

        def writing(path: Path) -> Any:
            connections.append(_Connection(apsw.Connection(str(path), vfs=self.name), dict(pragmas or {})))
            return connections[-1]

        return Opener(writing, lambda _path: connections[-1])  # type: ignore[arg-type,return-value]  # apsw's, not sqlite3's

    def told(self) -> None:
        """Somebody was told that all before this is durable."""
        self.log.append(Step("told", ""))


class File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._suffix = _suffix(name.filename() if isinstance(name, apsw.URIFilename) else name)
        self._syncs_folder = self._suffix != ""
        """SQLite flushes the folder with the first sync of a new journal or WAL."""
        super().__init__("unix", name, flags)

    def xWrite(self, content: bytes, at: int) -> None:  # noqa: N802  # SQLite's name
        disk = self._disk
        disk.writes += 1
        if disk.writes == disk.refuse_write:
            raise disk.error("injected")
        if self._suffix is not None:
            disk.log.append(Step("write", self._suffix, at, bytes(content)))
        super().xWrite(content, at)

    def xTruncate(self, size: int) -> None:  # noqa: N802  # SQLite's name
        if self._suffix is not None:
            self._disk.log.append(Step("truncate", self._suffix, size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802  # SQLite's name; the log is the disk, so the real one is spared
        disk = self._disk
        disk.syncs += 1
        if disk.syncs == disk.refuse_sync:
            raise disk.error("injected")
        if self._suffix is not None and not disk.lies:
            disk.log.append(Step("sync", self._suffix, int(self._syncs_folder)))
            self._syncs_folder = False


def images(log: list[Step], rnd: random.Random) -> Iterator[Image]:
    """For every prefix of the log: un-synced writes all kept, all lost, some kept, the last one torn."""
    durable = {suffix: bytearray() for suffix in FILES}
    pending: list[Step] = []
    told = 0
    for after, step in enumerate(log):
        if step.kind == "told":
            told += 1
        elif step.kind == "sync":
            flushed = [p for p in pending if p.file == step.file or (step.at and p.kind == "delete")]
            for waiting in flushed:
                _apply(durable, waiting)
            pending = [waiting for waiting in pending if waiting not in flushed]
        elif step.kind == "delete" and step.at:
            durable[step.file].clear()
            pending = [waiting for waiting in pending if waiting.file != step.file]
        else:
            pending.append(step)
        yield Image(after, "none", told, _with(durable, []))
        if pending:
            yield Image(after, "all", told, _with(durable, pending))
            yield Image(after, "some", told, _with(durable, [p for p in pending if rnd.random() < 0.5]))
            yield Image(after, "torn", told, _with(durable, [*pending[:-1], _torn(pending[-1], rnd)]))


def _torn(step: Step, rnd: random.Random) -> Step:
    kept = SECTOR * rnd.randrange(1 + len(step.content) // SECTOR)
    return Step(step.kind, step.file, step.at, step.content[:kept]) if step.kind == "write" else step


def _with(durable: Mapping[str, bytearray], steps: list[Step]) -> dict[str, bytearray]:
    files = {suffix: bytearray(content) for suffix, content in durable.items()}
    for step in steps:
        _apply(files, step)
    return files


def _apply(files: dict[str, bytearray], step: Step) -> None:
    content = files[step.file]
    if step.kind == "delete":
        content.clear()
    elif step.kind == "truncate":
        del content[step.at :]
    else:
        content.extend(bytes(max(0, step.at - len(content))))
        content[step.at : step.at + len(step.content)] = step.content


def _suffix(name: str | None) -> str | None:
    path = str(name or "")
    if not path.removesuffix("-wal").removesuffix("-journal").endswith("journal.db"):
        return None
    return path[path.rindex("journal.db") + len("journal.db") :]


@dataclass
class _Connection:
    """An apsw connection that speaks as sqlite3's do, as far as the journal asks."""

    db: apsw.Connection
    pragmas: dict[str, str]
    _closed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.db.execute("pragma locking_mode = exclusive").fetchall()

    @property
    def in_transaction(self) -> bool:
        return self.db.in_transaction

    def execute(self, statement: str, values: Any = ()) -> Any:
        for name, value in self.pragmas.items():
            if statement.startswith(f"pragma {name} ="):
                statement = f"pragma {name} = {value}"
        return self._asked(lambda: self.db.execute(statement, values))

    def executemany(self, statement: str, rows: Any) -> Any:
        return self._asked(lambda: self.db.executemany(statement, rows))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            with suppress(apsw.Error):  # sqlite3 keeps silent too when the last checkpoint finds no room
                self.db.close()

    def _asked(self, ask: Any) -> Any:
        try:
            return ask()
        except apsw.Error as error:
            kind = {apsw.FullError: sqlite3.SQLITE_FULL, apsw.IOError: sqlite3.SQLITE_IOERR}
            told = sqlite3.OperationalError(str(error))
            told.sqlite_errorcode = kind.get(type(error), sqlite3.SQLITE_ERROR)
            raise told from error
