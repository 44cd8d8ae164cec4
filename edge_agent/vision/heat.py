"""Where people stand: person-seconds for each cell of a grid, by foot point; no pictures are kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_agent.vision.track import Track

_LONGEST_STEP_S = 5.0
"""A longer pause between frames was an outage: nobody knows where people stood."""


class HeatMap:
    """Person-seconds [rows, columns] over a picture of `size` pixels, width then height."""

    def __init__(self, size: tuple[int, int], *, columns: int, rows: int) -> None:
        self._size = size
        self.person_s: npt.NDArray[np.float64] = np.zeros((rows, columns))
        self.watched_s = 0.0
        self._at_s: float | None = None

    def update(self, tracks: Sequence[Track], at_s: float) -> None:
        """Take the tracks seen in one frame: each confirmed one stood there since the frame before."""
        step_s = 0.0 if self._at_s is None else at_s - self._at_s
        self._at_s = at_s
        if not 0 < step_s <= _LONGEST_STEP_S:
            return
        self.watched_s += step_s
        for track in tracks:
            if track.confirmed:
                self.person_s[self._cell(track)] += step_s

    def _cell(self, track: Track) -> tuple[int, int]:
        left, _, right, bottom = track.box
        (width, height), (rows, columns) = self._size, self.person_s.shape
        row, column = int(bottom / height * rows), int((left + right) / 2 / width * columns)
        return min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)
