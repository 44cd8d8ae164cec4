"""What `edge-agent outbox` does: the rows that wait for HQ, a copy of them, the present told again."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

from edge_agent.config.store import StoreSettings
from edge_agent.contract.errors import ConfigError, JournalError, JournalLocked
from edge_agent.contract.messages import encode
from edge_agent.contract.times import parse_rfc3339, utc_now
from edge_agent.journal.outbox import Stretch, Which, facts_of, opened, size_of, slices, stretch_of
from edge_agent.service.terminal import forget_stdout

STDOUT: Final = "-"
"""The name of the export that goes to stdout."""


def listing(settings: StoreSettings, which: Which, *, limit: int) -> dict[str, Any]:
    """What lies in the outbox, in one snapshot, with its first `limit` rows. Raises as `journal.outbox`."""
    with opened(_journal_of(settings)) as db:
        db.execute("begin")
        stretch = stretch_of(db, which)
        size_bytes, oldest_at = size_of(db, stretch)
        rows = facts_of(db, stretch, limit=limit)
    now, applied = utc_now(), stretch.position.applied

    def age_s(occurred_at: str) -> float:
        return round((now - parse_rfc3339(occurred_at)).total_seconds(), 3)

    return {
        "store": settings.store.id,
        "count": stretch.rows,
        "bytes": size_bytes,
        "oldest_at": oldest_at,
        "oldest_age_s": None if oldest_at is None else age_s(oldest_at),
        "last_seq": stretch.last,
        **_position(stretch),
        "rows": [
            {
                "seq": row.seq,
                "kind": row.kind,
                "occurred_at": row.occurred_at,
                "age_s": age_s(row.occurred_at),
                "bytes": row.size_bytes,
                "waits": row.seq > applied,
            }
            for row in rows
        ],
    }


def export(settings: StoreSettings, which: Which, *, to: str) -> dict[str, Any]:
    """Write the rows as JSON Lines, each as it is sent; returns what somebody needs to verify them.

    Raises as `journal.outbox`, and ConfigError when the file is there already or cannot be written.
    """
    with _written(to) as lines, opened(_journal_of(settings)) as db:
        stretch = stretch_of(db, which)
        for rows in slices(db, stretch):
            lines.write(b"".join(encode(row) + b"\n" for row in rows))
    return {
        "store": settings.store.id,
        "file": to,
        "count": stretch.rows,
        "first_seq": stretch.after + 1 if stretch.rows else None,
        "last_seq": stretch.last if stretch.rows else None,
        "prev_chain": stretch.prev_chain.hex(),
        "last_chain": stretch.last_chain.hex(),
        **_position(stretch),
    }


async def resync(settings: StoreSettings) -> dict[str, Any]:
    """Have the whole present told again: by the running agent, or by the next start.

    Raises ConfigError, JournalError, SchemaTooNew, and AgentUnreachable where an agent has the journal and
    does not answer.
    """
    from edge_agent.live.asking import ask_resync

    if settings.uplink is None:
        raise ConfigError("there is no uplink: nobody to tell", hint="set uplink.url and uplink.token_file")
    with opened(_journal_of(settings)) as db:
        stretch_of(db, "kept")  # a journal that cannot be read is left as it is
    try:
        return _marked(settings)
    except JournalLocked:
        return {**await ask_resync(settings.agent.http), "at_next_start": False}


def _marked(settings: StoreSettings) -> dict[str, Any]:
    from edge_agent.journal import Journal
    from edge_agent.journal.writer import outcome
    from edge_agent.retelling import RESYNC, WANTED

    journal = Journal(settings.agent.data_dir)
    try:
        if journal.moved_aside is not None:
            raise JournalError(
                f"the journal was damaged and is kept as {journal.moved_aside.name}",
                hint="start the agent: it begins a new one and tells HQ the present by itself",
            )
        is_known = journal.recall(RESYNC) == WANTED
        outcome(journal.remember(RESYNC, WANTED))
    finally:
        journal.close()
    return {"rows": 0, "duplicate": is_known, "at_next_start": True}


def _journal_of(settings: StoreSettings) -> Path:
    return settings.agent.data_dir / "journal.db"


def _position(stretch: Stretch) -> dict[str, Any]:
    return {**asdict(stretch.position), "base_chain": stretch.position.base_chain.hex()}


@contextmanager
def _written(to: str) -> Iterator[IO[bytes]]:
    """A new file that is there whole or not at all; stdout for `STDOUT`."""
    try:
        if to == STDOUT:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        else:
            with _new_file(Path(to)) as lines:
                yield lines
    except FileExistsError as error:
        raise ConfigError(f"{to} is there already", hint="give the name of a new file") from error
    except BrokenPipeError:
        raise  # whoever reads our output has enough of it
    except OSError as error:
        if to == STDOUT:
            forget_stdout()
        name = "stdout" if to == STDOUT else to
        raise ConfigError(f"{name} cannot be written: {error}", hint="give a place with room") from error


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """It has its name once it is durable. FileExistsError where another has that name, before or by then."""
    if os.path.lexists(path):
        raise FileExistsError(path)
    part = path.with_name(f".outbox-{secrets.token_hex(8)}.part")
    with part.open("xb") as lines:
        try:
            yield lines
            lines.flush()
            os.fsync(lines.fileno())
            _name(part, path)
        finally:
            part.unlink(missing_ok=True)


def _name(part: Path, path: Path) -> None:
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        path.open("xb").close()
        try:
            part.replace(path)
        except OSError:
            path.unlink()
            raise
