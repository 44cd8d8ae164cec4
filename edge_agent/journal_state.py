"""What the journal remembers of the store, read back at start."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edge_agent.contract.times import parse_rfc3339
from edge_agent.health import Condition
from edge_agent.stock.belief import Belief
from edge_agent.stock.effects import PlatePosition
from edge_agent.traffic import Bucket


@dataclass(frozen=True, slots=True)
class Restored:
    """The state as of the last commit. `tags` is (epc, device, facing)."""

    beliefs: list[Belief]
    plates: list[PlatePosition]
    tags: list[tuple[str, str, str]]
    buckets: list[Bucket]
    conditions: list[Condition]


def restore(db: sqlite3.Connection) -> Restored:
    """Read every state table."""
    return Restored(
        beliefs=[_belief(row) for row in db.execute("select * from facing")],
        plates=[
            PlatePosition(device, None if channel < 0 else channel, weight_g, parse_rfc3339(at))
            for device, channel, weight_g, at in db.execute("select * from plate")
        ],
        tags=list(db.execute("select epc, device, facing from tag")),
        buckets=[
            Bucket(device, line, parse_rfc3339(start), entered, exited, told=True)
            for device, line, start, entered, exited in db.execute("select * from bucket")
        ],
        conditions=[
            Condition(device, driver, status, reason, parse_rfc3339(since), _time(seen))
            for device, driver, status, reason, since, seen in db.execute("select * from device")
        ],
    )


def _belief(row: tuple[Any, ...]) -> Belief:
    facing, gtin, on_hand, confidence, status, sources, reasons, changed_at, observed_at, taken = row
    return Belief(
        facing=facing,
        gtin=gtin,
        on_hand=on_hand,
        confidence=confidence,
        status=status,
        sources=tuple(filter(None, sources.split(","))),
        reasons=tuple(filter(None, reasons.split(","))),
        changed_at=_time(changed_at),
        observed_at=_time(observed_at),
        taken=taken,
    )


def _time(text: Any) -> datetime | None:
    return parse_rfc3339(text) if isinstance(text, str) else None
