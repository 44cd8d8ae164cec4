"""What is believed of one facing: its count, how sure, since when, and what it is called."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from edge_agent.contract.messages import Cause, FacingState, FacingStatus, Source, StockChanged
from edge_agent.contract.times import rfc3339

Reason = Literal["foreign_object", "misplaced", "drift", "conflict", "recount", "stale"]
"""What may be odd about a count."""
DOUBTED_BELOW = 0.5
"""Under this confidence a doubted count is not called ok, low or out: the status is unknown."""


@dataclass(frozen=True, slots=True)
class Belief:
    """One facing. `taken` is how many items shoppers took since the last restock: what may come back.

    `reorder_due_at` is when it is expected to be down to its reorder point, or since when it is.
    """

    facing: str
    gtin: str
    on_hand: int | None = None
    confidence: float = 0.0
    status: FacingStatus = "unknown"
    sources: tuple[Source, ...] = ()
    reasons: tuple[str, ...] = ()
    changed_at: datetime | None = None
    observed_at: datetime | None = None
    taken: int = 0
    memory: str = ""
    """What else is kept of it, as `stock.memory` writes it."""
    interval: tuple[int, int] | None = None
    """Of at least 90 %; None until there was evidence since the start."""
    contributions: tuple[tuple[Source, float], ...] = ()
    """How probable each sensor alone finds the count."""
    reorder_due_at: datetime | None = None

    def state(self) -> FacingState:
        """The form that HQ gets as the present."""
        return FacingState(
            facing=self.facing,
            gtin=self.gtin,
            on_hand=self.on_hand,
            confidence=self.confidence,
            status=self.status,
            sources=list(self.sources),
            changed_at=_text(self.changed_at),
            observed_at=_text(self.observed_at),
            reorder_due_at=_text(self.reorder_due_at),
        )

    def changed_from(self, before: Belief, cause: Cause) -> StockChanged:
        """The event that leads from `before` to this belief."""
        return StockChanged(
            facing=self.facing,
            gtin=self.gtin,
            on_hand=self.on_hand,
            change=(self.on_hand or 0) - (before.on_hand or 0),
            confidence=self.confidence,
            status=self.status,
            cause=cause,
            sources=list(self.sources),
            observed_at=_text(self.observed_at),
            reasons=list(self.reasons),
            reorder_due_at=_text(self.reorder_due_at),
        )


def doubted(belief: Belief, confidence: float, reason: Reason) -> Belief:
    """The same count with less confidence and one more reason."""
    reasons = belief.reasons if reason in belief.reasons else (*belief.reasons, reason)
    status: FacingStatus = belief.status if confidence >= DOUBTED_BELOW else "unknown"
    return replace(belief, confidence=round(confidence, 3), status=status, reasons=reasons)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
