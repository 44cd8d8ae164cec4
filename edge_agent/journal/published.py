"""What the journal keeps of what HQ has published for the store."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.config.published import Published
from edge_agent.contract.errors import JournalError
from edge_agent.contract.messages import PlanogramOrder, SettingsOrder
from edge_agent.journal.reading import is_damage, reading

PUBLISHED: Final = "published"
"""The identity key under which it lies, as JSON."""


class _Kept(msgspec.Struct, frozen=True):
    planogram: PlanogramOrder | None = None
    settings: SettingsOrder | None = None
    reset_of: int = 0


def to_text(published: Published) -> str:
    """As it is kept under `PUBLISHED`."""
    kept = _Kept(published.planogram, published.settings, published.reset_of)
    return msgspec.json.encode(kept).decode()


def from_text(text: str | None) -> Published:
    """What is kept; None where HQ has never published anything. JournalError for what nobody wrote so."""
    if text is None:
        return Published()
    try:
        kept = msgspec.json.decode(text, type=_Kept)
    except msgspec.MsgspecError as error:
        raise JournalError(
            f"what the journal keeps of HQ's is not understood: {error}",
            hint="was it written by a newer version? install that one again",
        ) from error
    return Published(kept.planogram, kept.settings, kept.reset_of)


def read_published(data_dir: Path) -> Published:
    """What a running or stopped agent's journal keeps; nothing where there is no journal, or a damaged one,
    which the next start moves aside. JournalError when this user cannot read it."""
    path = data_dir / "journal.db"
    try:
        if not path.exists():
            return Published()
        with reading(path) as db:
            found = db.execute("select value from identity where key = ?", (PUBLISHED,)).fetchone()
    except JournalError:  # an agent was started under our hands
        return read_published(data_dir)
    except (OSError, sqlite3.DatabaseError) as error:
        if _is_no_journal(error):
            return Published()
        raise JournalError(
            f"{path} cannot be read: {error}", hint="use the user that the agent runs as"
        ) from error
    return from_text(found[0] if found else None)


def _is_no_journal(error: sqlite3.Error | OSError) -> bool:
    """Damaged, no database, or one without tables yet."""
    return isinstance(error, sqlite3.Error) and (is_damage(error) or "no such table" in str(error))
