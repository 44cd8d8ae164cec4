"""Items that shoppers have in their hands: taken from a facing, not yet brought back or paid for."""

from __future__ import annotations

from collections import deque

FOR_S = 1800.0
"""Who took an item longer ago has paid, or never will."""
MOST = 200


class Takes:
    """By GTIN. What was taken before anybody watched is unknown: `watched_since_s`."""

    def __init__(self) -> None:
        self._taken_s: dict[str, deque[float]] = {}
        self.watched_since_s: float | None = None

    def moved(self, gtin: str, change: int, at_s: float) -> None:
        """Items were taken (below 0) or brought back."""
        taken_s = self._taken_s.setdefault(gtin, deque(maxlen=MOST))
        for _ in range(min(-change, MOST)):
            taken_s.append(at_s)
        for _ in range(min(change, len(taken_s))):
            taken_s.pop()

    def away(self, gtin: str, at_s: float) -> int:
        """So many are in hands now."""
        taken_s = self._taken_s.get(gtin, deque())
        while taken_s and at_s - taken_s[0] > FOR_S:
            taken_s.popleft()
        return len(taken_s)

    def sold(self, gtin: str, quantity: int, at_s: float) -> int:
        """So many were paid for; returns for how many nobody was seen to take one."""
        known = min(quantity, self.away(gtin, at_s))
        for _ in range(known):
            self._taken_s[gtin].popleft()
        return quantity - known

    def watched(self, at_s: float) -> bool:
        """Whether somebody has watched for so long that a sale without a take says something."""
        return self.watched_since_s is not None and at_s - self.watched_since_s > FOR_S
