"""What can be measured of one slot: how many edges it shows, which of them are lost, what the net sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_agent.vision.families.picture import Floats
from edge_agent.vision.shelf_area import edges_of
from edge_agent.vision.slot import Matrix, Slot

_CELL = 16
"""A slot is looked at in cells of this many pixels of its upright view."""
_FAINT = 0.005
"""Added to edge strengths, so that the logarithm of none is finite."""
_NEAR = 3
"""An edge counts as kept when there is one as strong within this neighbourhood."""
_BARE_WALL, _TEXTURE, _LEAST_SAY = 0.012, 0.03, 0.05
"""A cell whose baseline had no more edges than a bare wall hardly counts: head room over the products."""
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SlotView:
    """A slot seen from straight ahead: `edges` and the net's probability of `empty`, both [height, width]."""

    edges: Floats
    empty: Floats


def view_of(slot: Slot, grey: Floats, empty: Floats, lies: Matrix) -> SlotView:
    """`grey` and `empty` cover the same area; `lies` as in `Slot.upright`."""
    return SlotView(edges_of(slot.upright(grey, lies)), slot.upright(empty, lies))


@dataclass(frozen=True, slots=True)
class Signs:
    """Of one slot, by its cells, row by row of `columns`; `weight` is how much a cell counts, 1 together.

    `bare`: minus the logarithm of the edge density. `empty`: the net's probability. Beside a baseline, else
    zeros: `lost`, the logarithm of the density's loss; `gone`, the share of the baseline's edges that have no
    edge near by now; `emptied`, how much more the net sees of emptiness.
    """

    weight: Numbers
    bare: Numbers
    empty: Numbers
    lost: Numbers
    gone: Numbers
    emptied: Numbers
    columns: int


def signs_of(slot: Slot, now: SlotView, before: SlotView | None) -> Signs:
    """All signs of a slot, beside its baseline where there is one."""
    import cv2

    inside = _cells(slot, slot.inside)
    weight = inside / max(float(inside.sum()), 1e-6)

    def mean(values: Floats) -> Numbers:
        return _cells(slot, values * slot.inside) / np.maximum(inside, 1e-6)

    density, empty = mean(now.edges), mean(now.empty)
    nothing = np.zeros_like(density)
    if before is None:
        bare = -np.log(density + _FAINT)
        return Signs(weight, bare, empty, nothing, nothing, nothing, columns=_grid(slot)[0])
    old = mean(before.edges)
    near = np.asarray(cv2.dilate(now.edges, np.ones((_NEAR, _NEAR), np.uint8)), np.float32)
    kept = mean(np.minimum(near, before.edges))
    say = weight * np.clip((old - _BARE_WALL) / _TEXTURE, _LEAST_SAY, 1)
    return Signs(
        say / say.sum(),
        bare=-np.log(density + _FAINT),
        empty=empty,
        lost=np.log((old + _FAINT) / (density + _FAINT)),
        gone=1 - (kept + _FAINT) / (old + _FAINT),
        emptied=empty - mean(before.empty),
        columns=_grid(slot)[0],
    )


def _grid(slot: Slot) -> tuple[int, int]:
    """Columns and rows of cells."""
    return max(1, round(slot.width / _CELL)), max(1, round(slot.height / _CELL))


def _cells(slot: Slot, values: Floats) -> Numbers:
    import cv2

    return np.asarray(cv2.resize(values, _grid(slot), interpolation=cv2.INTER_AREA), np.float64).ravel()
