"""How many items lie on a facing that no plate weighs: carried from what was counted, sold and delivered."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

UNTOLD_PER_H = 0.02
"""Items that leave each hour though no sale tells of them: stolen, broken, scanned as something else."""
UNTOLD_PER_LINE = 0.02
"""With a line that is told, one more item has left of which none tells."""
WRONG_LINE = 0.02
"""A line of a sale or delivery that says nothing of this facing: scanned as another item, for example."""
RECOUNTED_RIGHT = 0.98
SURELY_BEFORE, TOO_LONG_BEFORE = timedelta(minutes=15), timedelta(days=2)
"""A line from so long before a count is in it: clocks and hands are not exact, and one from longer ago is of
a till whose clock is wrong."""
_LEAST = 1e-4


@dataclass(slots=True)
class Carried:
    """Count to probability; empty as long as nobody has counted. `most` items have room."""

    most: int
    shares: dict[int, float] = field(default_factory=dict)
    counted_at: datetime | None = None
    """When somebody counted: lines of before are in that count."""
    _at_s: float | None = None

    def recounted(self, on_hand: int, at: datetime, at_s: float) -> None:
        """A person counted."""
        self.counted_at, self._at_s = at, at_s
        beside = (1 - RECOUNTED_RIGHT) / 2
        self._become({on_hand - 1: beside, on_hand: RECOUNTED_RIGHT, on_hand + 1: beside})

    def moved(self, change: int, at_s: float, *, occurred_at: datetime | None) -> bool:
        """So many items came (or left, below 0), says a line of a receipt or of a delivery.

        False where that says nothing: nobody has counted yet, or did so after it.
        """
        if not self.shares or self._counted_since(occurred_at):
            return False
        self._wait(at_s)
        found: dict[int, float] = {}
        for n, share in self.shares.items():
            right = 1 - WRONG_LINE - UNTOLD_PER_LINE
            for after, part in ((n + change, right), (n, WRONG_LINE), (n + change - 1, UNTOLD_PER_LINE)):
                found[after] = found.get(after, 0.0) + part * share
        self._become(found)
        return True

    def _counted_since(self, occurred_at: datetime | None) -> bool:
        if occurred_at is None or self.counted_at is None:
            return False
        return SURELY_BEFORE < self.counted_at - occurred_at < TOO_LONG_BEFORE

    def now(self, at_s: float) -> dict[int, float]:
        """Count to probability at this moment; all the same where nothing was told."""
        self._wait(at_s)
        return self.shares or self._flat()

    def _flat(self) -> dict[int, float]:
        return dict.fromkeys(range(self.most + 1), 1.0 / (self.most + 1))

    def _wait(self, at_s: float) -> None:
        """Losses of which nobody tells."""
        since_s = at_s if self._at_s is None else self._at_s
        lost = 1.0 - 2.0 ** (-UNTOLD_PER_H * max(0.0, at_s - since_s) / 3600)
        self._at_s = at_s
        found: dict[int, float] = {}
        for n, share in self.shares.items():
            found[n] = found.get(n, 0.0) + share * (1.0 - lost if n else 1.0)
            if n:
                found[n - 1] = found.get(n - 1, 0.0) + share * lost
        self.shares = {n: share for n, share in found.items() if share > 0.0}

    def _become(self, shares: dict[int, float]) -> None:
        found: dict[int, float] = {}
        for n, share in shares.items():
            inside = min(max(n, 0), self.most)
            found[inside] = found.get(inside, 0.0) + share
        whole = sum(found.values())
        self.shares = {n: share / whole for n, share in sorted(found.items()) if share > _LEAST * whole}
