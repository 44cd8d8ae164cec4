"""How many items lie on a facing that no plate weighs: carried from what was counted, sold and delivered."""

from __future__ import annotations

from dataclasses import dataclass, field

UNTOLD_PER_H = 0.02
"""Items that leave each hour though no sale tells of them: stolen, broken, scanned as something else."""
UNTOLD_PER_LINE = 0.02
"""With a line that is told, one more item has left of which none tells."""
WRONG_LINE = 0.02
"""A line of a sale or delivery that says nothing of this facing: scanned as another item, for example."""
RECOUNTED_RIGHT = 0.98
_LEAST = 1e-4


@dataclass(slots=True)
class Carried:
    """Count to probability; empty as long as nothing was told. `most` items have room."""

    most: int
    shares: dict[int, float] = field(default_factory=dict)
    at_s: float = 0.0

    def recounted(self, on_hand: int, at_s: float) -> None:
        """A person counted."""
        self.at_s = at_s
        beside = (1 - RECOUNTED_RIGHT) / 2
        self._become({on_hand - 1: beside, on_hand: RECOUNTED_RIGHT, on_hand + 1: beside})

    def moved(self, change: int, at_s: float) -> None:
        """So many items came (or left, below 0), says a line of a receipt or of a delivery."""
        self._wait(at_s)
        found: dict[int, float] = {}
        for n, share in (self.shares or self._flat()).items():
            right = 1 - WRONG_LINE - UNTOLD_PER_LINE
            for after, part in ((n + change, right), (n, WRONG_LINE), (n + change - 1, UNTOLD_PER_LINE)):
                found[after] = found.get(after, 0.0) + part * share
        self._become(found)

    def now(self, at_s: float) -> dict[int, float]:
        """Count to probability at this moment; all the same where nothing was told."""
        self._wait(at_s)
        return self.shares or self._flat()

    def _flat(self) -> dict[int, float]:
        return dict.fromkeys(range(self.most + 1), 1.0 / (self.most + 1))

    def _wait(self, at_s: float) -> None:
        """Losses of which nobody tells."""
        lost = 1.0 - 2.0 ** (-UNTOLD_PER_H * max(0.0, at_s - self.at_s) / 3600)
        self.at_s = at_s
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
