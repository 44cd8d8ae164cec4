"""When to ask HQ again after it did not answer."""

from __future__ import annotations

import random

from edge_agent.contract.errors import HqUnreachable

LONGEST_DELAY_S = 30.0


def error_delay(error: HqUnreachable) -> float:
    """Seconds that HQ asked us to wait, with jitter on top; 0 when it asked for nothing."""
    return error.retry_after_s * random.uniform(1.0, 1.25)


def retry_delay_s(outage_s: float) -> float:
    """Full jitter over a share of the outage so far: the first retry within 1 s, at most 30 s."""
    return random.uniform(0, min(LONGEST_DELAY_S, max(1.0, 0.3 * outage_s)))
