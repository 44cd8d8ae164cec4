"""What an audit found, as lines for the people who run HQ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cloud_bridge.store.records import StoreAudit

_SHOWN: Final = 20
"""Rows set aside that are shown of a store; `--json` has more."""


def audit_lines(result: StoreAudit) -> Iterator[str]:
    """One store's verdict with its figures, then what is wrong, then what is only worth knowing."""
    word = "ok  " if result.is_sound else "FAIL"
    figures = [f"{result.rows} rows", f"{result.branches} branches"]
    figures += [f"{result.orphaned_rows} rows on branches it has left"] if result.orphaned_rows else []
    figures += [f"{result.parked} parked", f"{result.quarantined} quarantined"]
    figures += [f"{result.replayed} replayed"] if result.replayed else []
    yield f"{word} {result.store}: {', '.join(figures)}"
    yield from (f"     problem: {line}" for line in result.problems)
    for tail in result.orphaned:
        yield (
            f"     left: branch {tail['branch']} rows {tail['first']} to {tail['last']}"
            f" ({tail['rows']}), received since {tail['received_at']}"
        )
    if result.replayable:
        yield f"     {result.replayable} of those set aside are known by now: the next start takes them in"
    for row in result.set_aside[:_SHOWN]:
        yield f"     {row['fate']}: branch {row['branch']} row {row['seq']}: {row['reason']}"
    more = result.parked + result.quarantined - _SHOWN
    if more > 0:
        yield f"     and {more} more"
