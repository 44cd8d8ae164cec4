"""What the journal remembers of the store: written by each capture, read back at start."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edge_agent.contract.times import parse_rfc3339, rfc3339
from edge_agent.environment import Minute, Quantity
from edge_agent.health import Condition
from edge_agent.journal.hours import open_hours
from edge_agent.lines import Line
from edge_agent.presence_hours import Hour
from edge_agent.stock.belief import Belief
from edge_agent.stock.effects import Effects, PlatePosition
from edge_agent.stock.presence import Moved
from edge_agent.traffic import Bucket

LINES_KEPT = 50_000
"""So many of the newest lines are known whatever the clock says."""
MOST_LINES = 500_000
"""Lines that are known at most: about 80 MB."""
LINES_AT_ONCE = 20_000
"""Lines that one transaction forgets, so that captures need not wait for long."""


@dataclass(frozen=True, slots=True)
class SyncPosition:
    """What HQ has: rows up to `applied` are committed there, up to `safe` they may be forgotten here."""

    base_seq: int
    base_chain: bytes
    branch: str
    applied: int
    safe: int


@dataclass(frozen=True, slots=True)
class Restored:
    """The state as of the last commit. `tags` is (epc, device, facing)."""

    beliefs: list[Belief]
    plates: list[PlatePosition]
    tags: list[tuple[str, str, str]]
    buckets: list[Bucket]
    conditions: list[Condition]
    quantities: list[Quantity]
    hours: list[Hour]


def restore(db: sqlite3.Connection) -> Restored:
    """Read every state table."""
    return Restored(
        beliefs=[_belief(row) for row in db.execute("select * from facing")],
        plates=[
            PlatePosition(device, None if channel < 0 else channel, weight_g, parse_rfc3339(at), belief or "")
            for device, channel, weight_g, at, belief in db.execute("select * from plate")
        ],
        tags=list(db.execute("select epc, device, facing from tag")),
        buckets=[
            Bucket(device, line, parse_rfc3339(start), entered, exited, told=bool(told), seconds=seconds)
            for device, line, start, entered, exited, seconds, told in db.execute("select * from bucket")
        ],
        conditions=[
            Condition(device, driver, status, reason, parse_rfc3339(since), _time(seen))
            for device, driver, status, reason, since, seen in db.execute("select * from device")
        ],
        quantities=[_quantity(row) for row in db.execute("select * from environment")],
        hours=open_hours(db),
    )


def keep_effects(db: sqlite3.Connection, effects: Effects) -> None:
    """Facings, plates and tags as they are now."""
    if effects.beliefs:
        db.executemany(
            "insert or replace into facing values(?,?,?,?,?,?,?,?,?,?,?)",
            [
                (
                    b.facing, b.gtin, b.on_hand, b.confidence, b.status, ",".join(b.sources),
                    ",".join(b.reasons), _text(b.changed_at), _text(b.observed_at), b.taken,
                    b.memory,
                )
                for b in effects.beliefs
            ],
        )  # fmt: skip
    if effects.plates:
        db.executemany(
            "insert or replace into plate values(?,?,?,?,?)",
            [
                (
                    p.device, -1 if p.channel is None else p.channel, p.weight_g, rfc3339(p.observed_at),
                    p.belief,
                )
                for p in effects.plates
            ],
        )  # fmt: skip
    if effects.tags:
        _keep_tags(db, effects.tags)


def keep_conditions(db: sqlite3.Connection, conditions: Sequence[Condition]) -> None:
    """The devices' health."""
    if conditions:
        db.executemany(
            "insert or replace into device values(?,?,?,?,?,?)",
            [
                (c.device, c.driver, c.status, c.reason, rfc3339(c.since), _text(c.last_seen_at))
                for c in conditions
            ],
        )


def keep_buckets(db: sqlite3.Connection, buckets: Sequence[Bucket]) -> None:
    """The open minute of each counting line."""
    if buckets:
        db.executemany(
            "insert or replace into bucket values(?,?,?,?,?,?,?)",
            [
                (b.device, b.line, rfc3339(b.start), b.entered, b.exited, b.seconds, int(b.told))
                for b in buckets
            ],
        )


def keep_quantities(db: sqlite3.Connection, quantities: Sequence[Quantity]) -> None:
    """The newest value, open minute and alarm of each measured quantity."""
    if quantities:
        db.executemany(
            "insert or replace into environment values(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            [
                (
                    q.device, q.quantity, q.unit, q.value, rfc3339(q.measured_at), _text(q.own_at),
                    rfc3339(q.minute.start), q.minute.count, q.minute.total, q.minute.low, q.minute.high,
                    int(q.minute.told), q.outside, q.outside_s, q.alarm, q.limit, q.minute.seconds,
                )
                for q in quantities
            ],
        )  # fmt: skip


def keep_lines(db: sqlite3.Connection, lines: Sequence[Line], taken_at: str) -> None:
    """Lines that count from now on. One that is there already fails the whole transaction: it would count
    twice."""
    if lines:
        db.executemany(
            "insert into line(kind, document, line, content, taken_at) values(?,?,?,?,?)",
            [(*line.key, line.content, taken_at) for line in lines],
        )


def forget_lines(db: sqlite3.Connection, before: str) -> None:
    """Forget one step of the lines of sales and deliveries that were taken before `before` (RFC 3339).

    The clock may have been wrong when they were taken, or be wrong now: the newest LINES_KEPT stay whatever
    it says, and commands stay. There are never many more than MOST_LINES; then the first that came go.
    """
    db.execute(
        # `+` keeps SQLite to the index by time: another would lead through the whole table.
        "delete from line where n in (select n from line where taken_at < ? and +kind <> 'command'"
        " and +n <= (select max(n) from line) - ? limit ?)",
        (before, LINES_KEPT, LINES_AT_ONCE),
    )
    db.execute(
        "delete from line where n in (select n from line where n <= (select max(n) from line) - ?"
        " order by n limit ?)",
        (MOST_LINES, LINES_AT_ONCE),
    )


def _keep_tags(db: sqlite3.Connection, moves: Sequence[Moved]) -> None:
    """A tag is at its last facing; one that departed and did not arrive elsewhere is gone."""
    last = {move.tag.epc: move for move in moves}.values()
    db.executemany(
        "insert or replace into tag values(?,?,?)",
        [(move.tag.epc, move.tag.device, move.facing) for move in last if move.arrived],
    )
    db.executemany("delete from tag where epc = ?", [(move.tag.epc,) for move in last if not move.arrived])


def _quantity(row: tuple[Any, ...]) -> Quantity:
    device, quantity, unit, value, measured_at, own_at, start, count, total, low, high, told, *alarm = row
    outside, outside_s, side, limit, seconds = alarm
    return Quantity(
        device=device,
        quantity=quantity,
        unit=unit,
        value=value,
        measured_at=parse_rfc3339(measured_at),
        own_at=_time(own_at),
        minute=Minute(
            start=parse_rfc3339(start),
            seconds=seconds,
            count=count,
            total=total,
            low=low,
            high=high,
            told=bool(told),
        ),
        outside=outside,
        outside_s=outside_s,
        alarm=side,
        limit=limit,
    )


def _belief(row: tuple[Any, ...]) -> Belief:
    facing, gtin, on_hand, confidence, status, sources, reasons, changed_at, observed_at, taken, memory = row
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
        memory=memory or "",
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def _time(text: Any) -> datetime | None:
    return parse_rfc3339(text) if isinstance(text, str) else None
