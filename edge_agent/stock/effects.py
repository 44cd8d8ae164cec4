"""The consequences of readings, to be committed together: state, positions and events."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from msgspec import Struct

from edge_agent.stock.belief import Belief
from edge_agent.stock.presence import Moved


@dataclass(frozen=True, slots=True)
class ShelfEvent:
    """What happened: an outbox kind and its body (`contract.messages.BODIES`)."""

    kind: str
    body: Struct
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class PlatePosition:
    """The last durable word of one plate; after a restart it tells whether a reading is news."""

    device: str
    channel: int | None
    weight_g: float
    observed_at: datetime
    belief: str = ""
    """What was believed of it when it last came to rest, as `stock.kept` writes it; or empty."""


@dataclass(slots=True)
class Effects:
    """One capture: everything in it is committed in one transaction, or nothing."""

    events: list[ShelfEvent] = field(default_factory=list)
    beliefs: list[Belief] = field(default_factory=list)
    plates: list[PlatePosition] = field(default_factory=list)
    tags: list[Moved] = field(default_factory=list)

    def tell(self, kind: str, body: Struct, occurred_at: datetime) -> None:
        """Add one event."""
        self.events.append(ShelfEvent(kind, body, occurred_at))
