"""Which positions of the outbox a hello names, so that HQ finds the newest one that it has too."""

from __future__ import annotations

from edge_agent.contract.messages import LOCATOR_LIMIT


def sparse(base: int, last: int) -> list[int]:
    """Locator positions, newest first: ten in a row, then exponentially sparser, the base at the end."""
    seqs, step, seq = [], 1, last
    while seq > base:
        seqs.append(seq)
        if len(seqs) >= 10:
            step *= 2
        seq -= step
    return [*seqs, base]


def evenly(low: int, high: int) -> list[int]:
    """Positions low <= seq < high, newest first: all, or half of what one hello carries, evenly spaced."""
    limit = LOCATOR_LIMIT // 2
    step = max(1, -(-(high - low) // limit))
    seqs = list(range(high - 1, low - 1, -step))
    return seqs if seqs and seqs[-1] == low else [*seqs[: limit - 1], low]
