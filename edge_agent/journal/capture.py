"""What one step changes: it is committed whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_agent.environment import Quantity
from edge_agent.health import Condition
from edge_agent.lines import Line
from edge_agent.presence_hours import Hour
from edge_agent.stock.effects import Effects
from edge_agent.traffic import Bucket


@dataclass(slots=True)
class Capture:
    """Everything that one step changes; it is committed whole or not at all."""

    effects: Effects = field(default_factory=Effects)
    conditions: list[Condition] = field(default_factory=list)
    buckets: list[Bucket] = field(default_factory=list)
    quantities: list[Quantity] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    hours: list[Hour] = field(default_factory=list)
    remembered: dict[str, str] = field(default_factory=dict)
    """Identity values to store, as with `Journal.remember`."""
    facings: Mapping[str, str] | None = None
    """The facings (id to GTIN) of another planogram: the state of all others is forgotten."""
    follows: bool = False
    """It relies on a capture that is not durable yet: to be committed behind that one even when empty."""
