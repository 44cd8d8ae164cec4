"""From when to when each person was in the picture of a clip."""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.vision.families import Picture
from edge_agent.vision.footfall import Crossing
from edge_agent.vision.track import Track


class Stays:
    """Remembers the first and the last sight of every track; only the confirmed ones are people."""

    def __init__(self) -> None:
        self._spans: dict[int, tuple[float, float]] = {}
        self._people: set[int] = set()

    def see(
        self, _picture: Picture, at_s: float, tracks: Sequence[Track], _crossed: Sequence[Crossing]
    ) -> None:
        """An `OnFrame`."""
        for track in tracks:
            self._spans[track.id] = (self._spans.get(track.id, (at_s, at_s))[0], at_s)
            if track.confirmed:
                self._people.add(track.id)

    def spans(self) -> list[tuple[float, float]]:
        """(from, to) in seconds of everybody, in the order of their coming."""
        return sorted(span for track, span in self._spans.items() if track in self._people)
