"""Whether a facing has a gap, by three of the last five snapshots."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

from edge_agent.vision.slot_score import SlotSeen

WINDOW, NEEDED = 5, 3
OPENS_AT, CLOSES_AT = 0.5, 0.35
"""A score from which a stocked slot counts as empty, and below which an empty one counts as stocked."""
_FILLS = 3


@dataclass(slots=True)
class GapVote:
    """Of one facing. `gap` is None until three snapshots agree, and outlasts `forget`."""

    gap: bool | None = None
    _verdicts: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _fills: deque[float] = field(default_factory=lambda: deque(maxlen=_FILLS))

    def saw(self, seen: SlotSeen) -> None:
        """One more snapshot."""
        limit = CLOSES_AT if self.gap else OPENS_AT
        self._verdicts.append(seen.score >= limit)
        self._fills.append(seen.fill)
        empty = sum(self._verdicts)
        if empty >= NEEDED:
            self.gap = True
        elif len(self._verdicts) - empty >= NEEDED:
            self.gap = False

    @property
    def fill(self) -> float:
        """The median stocked share of the last three snapshots; 0.0 before the first."""
        return median(self._fills) if self._fills else 0.0

    @property
    def speaks(self) -> bool:
        """Whether there is a vote, and a look since what was forgotten."""
        return self.gap is not None and bool(self._fills)

    @property
    def unsure(self) -> bool:
        """Whether there is no vote, or not since what was forgotten, or the newest look contradicts it."""
        return self.gap is None or not self._verdicts or self._verdicts[-1] != self.gap

    def forget(self) -> None:
        """The shelf was filled, or the camera moved: older snapshots say nothing any more."""
        self._verdicts.clear()
        self._fills.clear()
