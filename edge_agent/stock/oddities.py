"""What is odd about a facing's count: the reason codes."""

from __future__ import annotations

from collections.abc import Mapping

from edge_agent.stock.belief import Belief, Reason
from edge_agent.stock.evidence import Judgement
from edge_agent.stock.pan import Pan
from edge_agent.stock.telling import foreign_reasons

CONFLICT, SURE, CONFLICT_S = 0.01, 0.9, 30.0
"""A sensor that finds the told count so improbable, and another so probable, for so long contradicts."""
DRIFTED, STILL_DRIFTED = 0.5, 0.35
"""A zero that is off by this share of the lightest item would miscount it; hysteresis against flicker."""


class Oddities:
    """Of all facings. `lying`: on which pan a facing lies, as which of its items."""

    def __init__(self, lying: Mapping[str, tuple[Pan, int]]) -> None:
        self._lying = lying
        self._against_s: dict[str, float] = {}

    def of(
        self, before: Belief, on_hand: int, found: Judgement, at_s: float, *, recounted: bool
    ) -> tuple[Reason, ...]:
        """foreign_object, misplaced, drift, conflict, recount: what applies to a count that is told now."""
        reasons: tuple[Reason, ...] = ()
        pan, index = self._lying.get(before.facing, (None, 0))
        belief = pan.belief if pan is not None else None
        if belief is not None and belief.hypotheses:
            reasons = foreign_reasons(belief.foreign(index, on_hand))
            lightest_g = min(item.unit_weight_g for item in belief.items)
            share = STILL_DRIFTED if "drift" in before.reasons else DRIFTED
            if not reasons and abs(belief.drift_g()) > share * lightest_g:
                reasons = (*reasons, "drift")
        if self._contradicted(before.facing, on_hand, found, at_s):
            reasons = (*reasons, "conflict")
        if recounted or ("recount" in before.reasons and on_hand == before.on_hand):
            reasons = (*reasons, "recount")
        return reasons

    def _contradicted(self, facing: str, on_hand: int, found: Judgement, at_s: float) -> bool:
        """One of several sensors says another count, and has done so for a while."""
        against = len(found.alone) > 1 and any(
            alone.get(on_hand, 0.0) < CONFLICT and max(alone.values()) > SURE
            for alone in found.alone.values()
        )
        if not against:
            self._against_s.pop(facing, None)
            return False
        return at_s - self._against_s.setdefault(facing, at_s) >= CONFLICT_S
