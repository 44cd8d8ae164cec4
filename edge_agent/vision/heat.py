"""Where people stand: person-seconds for each cell of a grid, by foot point; no pictures are kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_agent.vision.track import Track


class HeatMap:
    """Person-seconds [rows, columns] over a picture of `size` pixels, width then height."""

    def __init__(self, size: tuple[int, int], *, columns: int, rows: int) -> None:
        self._size = size
        self.person_s: npt.NDArray[np.float64] = np.zeros((rows, columns))

    def update(self, tracks: Sequence[Track], step_s: float) -> None:
        """Take the tracks seen in one frame: each confirmed one stood there for `step_s`, since the frame
        before."""
        for track in tracks:
            if track.confirmed:
                self.person_s[self._cell(track)] += step_s

    def drain(self) -> tuple[float, ...]:
        """Cells row by row since the last call, which begin at nothing again."""
        cells = tuple(self.person_s.ravel().tolist())
        self.person_s[:] = 0
        return cells

    def _cell(self, track: Track) -> tuple[int, int]:
        left, _, right, bottom = track.box
        (width, height), (rows, columns) = self._size, self.person_s.shape
        row, column = int(bottom / height * rows), int((left + right) / 2 / width * columns)
        return min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)
