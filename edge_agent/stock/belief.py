"""What is believed of one facing: its count, how sure, since when, and what it is called."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from edge_agent.contract.messages import Cause, FacingState, FacingStatus, Source, StockChanged
from edge_agent.contract.planogram import Facing
from edge_agent.contract.times import rfc3339

UNSURE_BELOW = 0.5
"""Under this confidence a count is not called ok, low or out: the status is unknown."""


@dataclass(frozen=True, slots=True)
class Belief:
    """One facing. `taken` is how many items shoppers took since the last restock: what may come back."""

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
    """What else the stock package wants to know of this facing after a restart, as it writes it; or empty."""

    def state(self) -> FacingState:
        """The form that HQ gets as the present."""
        return FacingState(
            facing=self.facing,
            gtin=self.gtin,
            on_hand=self.on_hand,
            confidence=self.confidence,
            status=self.status,
            sources=list(self.sources),
            changed_at=rfc3339(self.changed_at) if self.changed_at else None,
            observed_at=rfc3339(self.observed_at) if self.observed_at else None,
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
            observed_at=rfc3339(self.observed_at) if self.observed_at else None,
            reasons=list(self.reasons),
        )


def status_of(on_hand: int | None, confidence: float, facing: Facing) -> FacingStatus:
    """ok, low (at or under the reorder point), out (none), or unknown when too unsure to say."""
    if on_hand is None or confidence < UNSURE_BELOW:
        return "unknown"
    if on_hand == 0:
        return "out"
    return "low" if on_hand <= facing.reorder_point else "ok"


def doubted(belief: Belief, confidence: float, reason: str, facing: Facing) -> Belief:
    """The same count with less confidence and one more reason."""
    rounded = round(confidence, 3)
    reasons = belief.reasons if reason in belief.reasons else (*belief.reasons, reason)
    status = status_of(belief.on_hand, rounded, facing)
    return replace(belief, confidence=rounded, status=status, reasons=reasons)
