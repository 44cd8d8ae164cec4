"""What a synchronous standby holds: the only rows that are safe under `safe: replica`.

A COMMIT that waits for a standby can be broken off (a time-out, an operator): its rows are seen on the
primary then and are on no standby. So what is safe is told by positions in the WAL that one has flushed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cloud_bridge.store.postgres.database import Connection, Database

log = logging.getLogger(__name__)

_QUORUM: Final = re.compile(r"^\s*(?:(ANY|FIRST)\s+)?(\d+)\s*\(", re.IGNORECASE)
_STANDBYS: Final = (
    "select (pg_current_wal_lsn() - '0/0')::bigint, current_setting('synchronous_standby_names'),"
    " array(select (flush_lsn - '0/0')::bigint from pg_stat_replication"
    "  where sync_state in ('sync', 'quorum') and flush_lsn is not null)"
)


@dataclass(frozen=True, slots=True)
class Standbys:
    """Positions in the WAL: where the primary is, and up to where synchronous standbys have flushed it."""

    written: int
    flushed: int | None
    """None: no synchronous standby, or fewer than are asked for."""


@dataclass(slots=True)
class _Line:
    """A store's branch: what is safe of it, and what will be once `at` is flushed by a standby."""

    branch: str
    safe: int = 0
    next: int = 0
    at: int = 0


class Replica:
    """What of each store's line is on a synchronous standby, as far as this process has seen."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lines: dict[str, _Line] = {}
        self._is_there = True

    async def safe(self, store: str, branch: str, head: int) -> int:
        """Up to which row of the line that ends in `branch` at `head`, which is committed."""
        line = self._lines.get(store)
        if line is None or line.branch != branch:
            line = self._lines[store] = _Line(branch)
        if line.safe < head:
            self._move(line, head, await self.standbys())
        return min(line.safe, head)

    async def standbys(self) -> Standbys:
        """How the standbys are; their coming and going is logged."""
        found = await self._database.ask(_read)
        if (found.flushed is not None) != self._is_there:
            self._is_there = found.flushed is not None
            if self._is_there:
                log.info("a synchronous standby is there: what it holds is safe")
            else:
                log.error("safe: replica, and %s", PROBLEM)
        return found

    @staticmethod
    def _move(line: _Line, head: int, standbys: Standbys) -> None:
        """What was written before is behind the flushed position now; new rows wait for the next call."""
        if standbys.flushed is None:
            return
        if line.next and standbys.flushed >= line.at:
            line.safe, line.next = max(line.safe, line.next), 0
        if standbys.flushed >= standbys.written:
            line.safe, line.next = max(line.safe, head), 0
        elif not line.next:
            line.next, line.at = head, standbys.written


PROBLEM: Final = (
    "no synchronous standby is seen: nothing more becomes safe. Set synchronous_standby_names on the primary,"
    " see that the standby streams, and grant pg_monitor to this user"
)


def flushed_by(names: str, positions: Iterable[int]) -> int | None:
    """Up to where as many standbys have flushed as `synchronous_standby_names` asks for."""
    if not names.strip():
        return None
    found = _QUORUM.match(names)
    wanted = int(found[2]) if found else 1
    ordered = sorted(positions, reverse=True)
    return ordered[wanted - 1] if len(ordered) >= wanted else None


async def _read(connection: Connection) -> Standbys:
    row = await connection.fetchrow(_STANDBYS)
    written, names, positions = row or (0, "", [])
    return Standbys(written, flushed_by(names, positions))
