"""What HQ is told of a facing, when, and as what kind of change."""

from __future__ import annotations

from collections.abc import Mapping

from edge_agent.contract.messages import Cause, FacingStatus
from edge_agent.contract.planogram import Facing
from edge_agent.stock.belief import Belief, Reason
from edge_agent.stock.hypothesis import OTHER

RETURN_MOST = 2
"""More than this at once is put there by staff, not brought back by a shopper."""
UNSURE_BELOW, STILL_ABOVE = 0.5, 0.45
"""A status less probable than the first is unknown; one that was told stays down to the second."""


def worth_telling(before: Belief, after: Belief, *, step: float) -> bool:
    """The emission rule: a new count, status, reason or source, or a confidence that moved by `step`.

    A source that speaks no more is told with the next of these: a camera looks now and then.
    """
    return (
        (after.on_hand, after.status, after.reasons) != (before.on_hand, before.status, before.reasons)
        or not set(after.sources) <= set(before.sources)
        or abs(after.confidence - before.confidence) >= step
    )


def status_of(
    on_hand: int, shares: Mapping[int, float], facing: Facing, *, limit: float, before: FacingStatus
) -> FacingStatus:
    """ok, low (at or under the reorder point) or out, as its count says; unknown when that is too unsure."""
    status = _named(on_hand, facing)
    probable = min(limit, sum(share for n, share in shares.items() if _named(n, facing) == status))
    return status if probable >= (STILL_ABOVE if status == before else UNSURE_BELOW) else "unknown"


def interval_of(shares: Mapping[int, float]) -> tuple[int, int]:
    """The 90 % interval: at most 5 % lie below it, and at most 5 % above."""
    low = high = 0
    below = 0.0
    for n in sorted(shares):
        if below <= 0.05:
            low = n
        if below < 0.95:
            high = n
        below += shares[n]
    return low, high


def cause_of(before: Belief, after: Belief, *, unseen: bool) -> Cause:
    """What kind of change it is, where nobody said."""
    if before.on_hand is None or after.on_hand is None:
        return "initial"
    change = after.on_hand - before.on_hand
    if unseen or change == 0:
        return "restock" if change > RETURN_MOST else "correction"
    if change < 0:
        return "pick"
    return "return" if change <= min(RETURN_MOST, before.taken) else "restock"


def taken_after(before: Belief, after: Belief, cause: Cause) -> int:
    """How many items shoppers have taken since the last restock: what may come back."""
    if cause in ("pick", "return"):
        return max(0, before.taken + (before.on_hand or 0) - (after.on_hand or 0))
    return 0 if cause in ("initial", "restock", "recount") else before.taken


def foreign_reasons(foreign: Mapping[str, float]) -> tuple[Reason, ...]:
    """What lies on a plate beside its items, when that is more probable than nothing."""
    if sum(foreign.values()) <= 0.5:
        return ()
    return ("foreign_object",) if foreign.get(OTHER, 0.0) >= 0.5 * sum(foreign.values()) else ("misplaced",)


def _named(n: int, facing: Facing) -> FacingStatus:
    if n == 0:
        return "out"
    return "low" if n <= facing.reorder_point else "ok"
