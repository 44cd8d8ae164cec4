"""How fast each facing empties, learnt from its beliefs, and when it is down to its reorder point."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from edge_agent.contract.messages import Cause
from edge_agent.contract.planogram import Facing
from edge_agent.stock.belief import Belief
from edge_agent.stock.run_rate import RunRate

SHOPPERS = ("pick", "return", "sale")
"""Causes of changes that shoppers make."""


class Demand:
    """Of all facings of a store, in whose `zone` the hours of day are."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._rates: dict[str, RunRate] = {}
        self._visible: dict[str, int | None] = {}

    def recall(self, name: str, text: str) -> None:
        """What was known of a facing before the last stop."""
        self._rates[name] = RunRate.read(text, self._zone)

    def follow(self, before: Belief, after: Belief, cause: Cause, at: datetime) -> None:
        """A belief has become another: what shoppers took is learnt, and from when on nobody can see."""
        visible = None if after.status == "unknown" or "stale" in after.reasons else after.on_hand
        if after.on_hand == before.on_hand and self._visible.get(after.facing, -1) == visible:
            return
        rate = self._rates.setdefault(after.facing, RunRate(self._zone))
        if cause in SHOPPERS and before.on_hand is not None and after.on_hand is not None:
            rate.take(before.on_hand - after.on_hand, at)
        rate.watch(visible, at)
        self._visible[after.facing] = visible

    def due_at(self, before: Belief, after: Belief, facing: Facing, at: datetime) -> datetime | None:
        """When it will be down to its reorder point, or since when it is."""
        rate = self._rates.get(after.facing)
        if rate is None or after.on_hand is None:
            return None
        was_due = before.on_hand is not None and before.on_hand <= facing.reorder_point
        since = (before.reorder_due_at or before.changed_at) if was_due else None
        return rate.due_at(after.on_hand, facing.reorder_point, at, since=since)

    def write(self, name: str) -> str:
        """What is known of a facing, for the journal."""
        rate = self._rates.get(name)
        return rate.write() if rate is not None else ""
