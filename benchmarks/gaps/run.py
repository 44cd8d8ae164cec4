"""Average precision of boxes, recall of empty slots, and what a look costs, each with its spread."""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np

from benchmarks.gaps import emptiness, precision
from benchmarks.gaps.shelves import Shelf, drawn, other_bay, real, slots
from edge_agent.vision.gap_net import PACKED, GapNet, GapView

_LOOKS = 15


def main() -> dict[str, Any]:
    folder = os.environ.get("SHELF_EDGE_DATA")
    if not folder:
        raise SystemExit(
            "SHELF_EDGE_DATA is not set: the folder with shelves, shelf-gaps and grocery-textures"
        )
    data, net = Path(folder), GapNet(Path(os.environ.get("GAP_NET", PACKED)))
    sets = {"real": real(data), "other_bay": other_bay(data), "drawn": drawn(data)}
    figures: dict[str, Any] = {}
    for name, shelves in sets.items():
        views = [net.look(shelf.picture) for shelf in shelves]
        figures |= {f"{name}_{key}": value for key, value in _boxes(shelves, views).items()}
        if any(len(shelf.stocked) for shelf in shelves):
            figures |= {f"{name}_slot_{key}": value for key, value in _slots(shelves, views).items()}
    return figures | _cost(net, sets["real"][0])


def _boxes(shelves: list[Shelf], views: list[GapView]) -> dict[str, Any]:
    figures: dict[str, Any] = {"gaps": sum(len(shelf.gaps) for shelf in shelves)}
    for iou in (0.3, 0.5):
        pictures = [
            precision.found(view.boxes, shelf.gaps, shelf.ignored, iou)
            for shelf, view in zip(shelves, views, strict=True)
        ]
        name = f"ap{iou * 100:.0f}"
        figures[name] = round(precision.average_precision(pictures), 3)
        figures[f"{name}_90"] = [round(value, 2) for value in precision.spread(pictures)]
    return figures


def _slots(shelves: list[Shelf], views: list[GapView]) -> dict[str, Any]:
    """Recall at 5 % false alarms of the mask, of bareness, and of the mean of their ranks."""
    scores: dict[str, list[Any]] = {"mask": [[], []], "bareness": [[], []]}
    for shelf, view in zip(shelves, views, strict=True):
        size = (shelf.picture.shape[1], shelf.picture.shape[0])
        for side, places in enumerate((slots(shelf.gaps), slots(shelf.stocked))):
            scores["mask"][side] += emptiness.mask_share(view, places, size).tolist()
            scores["bareness"][side] += emptiness.bareness(shelf.picture, places).tolist()
    pairs = {name: (np.array(empty), np.array(stocked)) for name, (empty, stocked) in scores.items()}
    ranks = [emptiness.ranked(*pair) for pair in pairs.values()]
    pairs["both"] = (np.mean([r[0] for r in ranks], axis=0), np.mean([r[1] for r in ranks], axis=0))
    figures: dict[str, Any] = {"empty": len(pairs["both"][0]), "stocked": len(pairs["both"][1])}
    for name, pair in pairs.items():
        figures[f"recall_{name}"] = round(emptiness.recall(*pair), 3)
        figures[f"recall_{name}_90"] = [round(value, 2) for value in emptiness.spread(*pair)]
    return figures


def _cost(net: GapNet, shelf: Shelf) -> dict[str, float]:
    spent = []
    for _ in range(_LOOKS):
        started = process_time()
        net.look(shelf.picture)
        spent.append(process_time() - started)
    return {"look_ms": round(median(spent) * 1e3, 1), "net_mb": round(PACKED.stat().st_size / 1e6, 2)}
