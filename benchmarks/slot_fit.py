"""Fits the coefficients of `edge_agent/vision/slot_score.py`: `python -m benchmarks.slot_fit` prints them.

Ridge logistic regression (Newton's method) on pairs as `slot_pairs` makes them; each source of pictures has the
same weight. Slots that are filled in part are left out of the slots' formula: what they should score is a
matter of taste. In the cells' formula each cell of an empty slot is empty, of a stocked one stocked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.slot_pairs import Pair, drawn_to_learn, photo_pairs, shelf_pairs
from edge_agent.vision.gap_net import GapNet
from edge_agent.vision.shelf import shelf_of
from edge_agent.vision.slot_score import Calibration, Formula, least_odds, stocked_share, thirds
from edge_agent.vision.slot_signs import Signs, signs_of, view_of
from edge_agent.vision.snapshot import baseline_of, laid_over, sight_of

Rows = npt.NDArray[np.float64]
PART_SIGNS = {"alone": ("bare", "empty"), "beside": ("bare", "empty", "lost", "gone", "emptied")}
CELL_SIGNS = {"alone": ("bare", "empty"), "beside": ("bare", "empty", "lost", "emptied")}
"""Edges that are gone say little of a single cell: another product has its edges elsewhere."""
RIDGE = 1.0
LEARNT_SCENE, DRAWN = "bay1-upper", 50


@dataclass(frozen=True, slots=True)
class Looked:
    """One slot in one snapshot, with its true fill."""

    fill: float
    alone: Signs
    beside: Signs


def looks(net: GapNet, pair: Pair) -> Iterator[list[Looked]]:
    """All slots of each snapshot of a pair."""
    height, width = pair.baseline.shape[:2]
    shelf = shelf_of(pair.polygons, (width, height))
    baseline = baseline_of(net, shelf, pair.baseline)
    for picture in pair.snapshots:
        sight = sight_of(net, shelf, picture)
        lies = laid_over(baseline, sight).alignment.lies
        found = []
        for (name, slot), fill in zip(shelf.slots.items(), pair.fills.values(), strict=True):
            view = view_of(slot, sight.grey, sight.empty, lies)
            straight = view_of(slot, sight.grey, sight.empty, np.eye(3))
            found.append(
                Looked(fill, signs_of(slot, straight, None), signs_of(slot, view, baseline.views[name]))
            )
        yield found


def fitted(sources: Iterable[list[Looked]]) -> tuple[Calibration, Calibration]:
    """The calibrations for a picture alone and for one beside a baseline; one list for each source."""
    lists = list(sources)
    return _calibration(lists, "alone"), _calibration(lists, "beside")


def _calibration(lists: list[list[Looked]], kind: str) -> Calibration:
    sure = [[(getattr(one, kind), one.fill) for one in looked if one.fill in (0.0, 1.0)] for looked in lists]
    part = _formula([[(thirds(s), fill) for s, fill in looked] for looked in sure], PART_SIGNS[kind])
    cell = _formula(sure, CELL_SIGNS[kind])
    every = [one for looked in sure for one in looked]
    weights = np.concatenate([np.full(len(looked), 1000 / len(looked)) for looked in sure])
    least = np.array([[least_odds(signs, part)] for signs, _ in every])
    offset, slope = _logistic(least, np.array([1 - fill for _, fill in every]), weights)
    low, high = (
        float(np.median([stocked_share(signs, cell) for signs, fill in every if fill == share]))
        for share in (0.0, 1.0)
    )
    return Calibration(
        part, cell, round(float(slope), 2), round(float(offset), 2), round(low, 3), round(high, 3)
    )


def _formula(lists: list[list[tuple[Signs, float]]], names: tuple[str, ...]) -> Formula:
    rows, truth, weights = [], [], []
    for looked in lists:
        inside = [signs.weight > 0.25 / len(signs.weight) for signs, _ in looked]
        count = sum(int(kept.sum()) for kept in inside)
        for (signs, fill), kept in zip(looked, inside, strict=True):
            rows.append(np.stack([getattr(signs, name)[kept] for name in names], axis=1))
            truth.append(np.full(int(kept.sum()), 1.0 - fill))
            weights.append(np.full(int(kept.sum()), 1000.0 / len(lists) / count))
    found = _logistic(np.concatenate(rows), np.concatenate(truth), np.concatenate(weights))
    bias, *rest = (round(float(one), 2) for one in found)
    return Formula(bias, **dict(zip(names, rest, strict=True)))


def _logistic(rows: Rows, truth: Rows, weights: Rows) -> Rows:
    """Coefficients, the bias first; both classes weigh the same."""
    share = float(weights @ truth / weights.sum())
    weights = weights * np.where(truth == 1, 0.5 / share, 0.5 / (1 - share))
    design = np.concatenate([np.ones((len(rows), 1)), rows], axis=1)
    ridge = np.diag([1e-6] + [RIDGE] * rows.shape[1])
    found = np.zeros(design.shape[1])
    for _ in range(50):
        guess = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        slope = design.T @ (weights * (truth - guess)) - ridge @ found
        bend = (design * (weights * guess * (1 - guess))[:, None]).T @ design + ridge
        step = np.linalg.solve(bend, slope)
        found += step
        if np.abs(step).max() < 1e-8:
            break
    return found


def learnt(net: GapNet, data: Path) -> tuple[Calibration, Calibration]:
    """From drawn shelves and the real photos of one half of one bay."""
    photos = [p for p in photo_pairs(data / "shelf-gaps", seed=1) if p.name.startswith(LEARNT_SCENE)]
    drawn = list(shelf_pairs(drawn_to_learn(data, DRAWN), seed=1))
    return fitted(
        [[one for pair in pairs for look in looks(net, pair) for one in look] for pairs in (photos, drawn)]
    )


if __name__ == "__main__":
    for calibration in learnt(GapNet(), Path(os.environ["SHELF_EDGE_DATA"])):
        print(calibration)  # the result
