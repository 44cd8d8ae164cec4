"""The tags of each facing's own items: which are surely there, which are silent since somebody touched it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import exp

from edge_agent.stock.presence import Presence, Tag
from edge_agent.stock.tag_evidence import MISSED, Heard

FADING_S = 10.0
"""The tags of what came are heard within this time, on the average."""
COMES_S = 10.0
"""A tag first heard so long before the plate came to rest came with that touch."""
READ_PER_S = 0.2
"""Of the tags that a reader has not heard yet it hears such a share each second."""
SURE_ODDS = 300.0
"""Such a tag counts as being there."""
TOUCHES = 8


class ShelfTags:
    """Which tags speak for which facing. `covering`: the readers that hear a facing."""

    def __init__(self, presence: Presence, covering: Mapping[str, set[str]]) -> None:
        self._presence, self._covering = presence, covering
        self._own: dict[str, dict[str, Tag]] = {}
        self._touched_s: dict[str, deque[float]] = {}
        self._heard_s: dict[str, float] = {}

    def covers(self, facing: str) -> bool:
        """Whether some reader hears the facing."""
        return facing in self._covering

    def readers(self, facing: str) -> set[str]:
        """Those that hear the facing."""
        return self._covering.get(facing, set())

    def in_back_room(self, gtin: str) -> int:
        """How many tagged items of a product lie behind the sales floor."""
        return self._presence.in_back_room(gtin)

    def came(self, facing: str, tag: Tag) -> None:
        """A tag of the facing's own item is there."""
        self._own.setdefault(facing, {})[tag.epc] = tag

    def left(self, facing: str, tag: Tag) -> None:
        """It is there no more."""
        self._own.get(facing, {}).pop(tag.epc, None)

    def touched(self, facing: str, at_s: float) -> None:
        """Its plate has come to rest."""
        self._touched_s.setdefault(facing, deque(maxlen=TOUCHES)).append(at_s)

    def touched_s(self, facing: str) -> float:
        """When its plate last came to rest after a touch."""
        touches = self._touched_s.get(facing)
        return touches[-1] if touches else float("-inf")

    def reader_heard(self, device: str, at_s: float) -> None:
        """A reader said something."""
        self._heard_s.setdefault(device, at_s)

    def reader_lost(self, device: str) -> None:
        """It says nothing; when it is back it has to listen anew."""
        self._heard_s.pop(device, None)

    def listened(self, facing: str, at_s: float) -> float:
        """The share of present tags that the facing's readers have heard by now: none before one is heard."""
        since_s = [self._heard_s[one] for one in self._covering.get(facing, ()) if one in self._heard_s]
        return 1 - (1 - READ_PER_S) ** (at_s - min(since_s)) if since_s else 0.0

    def there_since(self, facing: str, at_s: float) -> int:
        """How many tags are there that were there at `at_s`."""
        return sum(tag.since_s <= at_s for tag in self._own.get(facing, {}).values())

    def heard(self, facing: str, at_s: float, *, watched: bool = True) -> Heard:
        """What is heard of a facing now. Not `watched`: its plate, which tells of touches, is silent."""
        touches = self._touched_s.get(facing)
        tags = self._own.get(facing, {}).values()
        if not touches or not watched:
            shares = [self._presence.there(tag, at_s) for tag in tags]
            odds = [share / max(1.0 - share, 1e-9) for share in shares]
            silent = tuple(one for one in odds if one < SURE_ODDS)
            return Heard(len(odds) - len(silent), silent=silent, drawn=False)
        last_s, sure, fresh, silences = touches[-1], 0, 0, list[float]()
        for tag in tags:
            if tag.seen_s > last_s:
                sure += 1
                fresh += tag.since_s > last_s - COMES_S
            else:
                since_s = next(touch_s for touch_s in touches if touch_s >= tag.seen_s)
                silences.append(float(tag.missed_per_s ** self._presence.silent_s(tag, since_s)))
        return Heard(sure, fresh, tuple(silences), max(MISSED, exp((last_s - at_s) / FADING_S)))
