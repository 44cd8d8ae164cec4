"""How well a drawn place is judged empty, and its fill told, on pictures that the formulas were not fitted on.

Real photos of two bays and of another chain, and drawn shelves. `alone` is one picture without a baseline,
`beside` one beside its baseline, `voted` three of five snapshots in five lights beside it. The gap net was
trained on the photos of the first bay, not on the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.gaps.shelves import drawn, real
from benchmarks.slot_fit import LEARNT_SCENE, Looked, looks
from benchmarks.slot_pairs import Pair, photo_pairs, shelf_pairs
from edge_agent.vision.gap_net import GapNet
from edge_agent.vision.gap_vote import GapVote
from edge_agent.vision.slot_score import ALONE, BESIDE, SlotSeen, judged

SNAPSHOTS, DRAWN = 5, 40
FALSE_ALARMS = 0.05
Scores = npt.NDArray[np.float64]


def main() -> dict[str, Any]:
    data, net = Path(os.environ["SHELF_EDGE_DATA"]), GapNet()
    photos = list(photo_pairs(data / "shelf-gaps", seed=2, snapshots=SNAPSHOTS, partly=0.4))
    sources: dict[str, Iterable[Pair]] = {
        "bay1": [p for p in photos if p.name.startswith("bay1") and not p.name.startswith(LEARNT_SCENE)],
        "bay2": [p for p in photos if p.name.startswith("bay2")],
        "other_chain": shelf_pairs(real(data), seed=2, snapshots=SNAPSHOTS, partly=0.4),
        "drawn": shelf_pairs(drawn(data, DRAWN), seed=2, snapshots=SNAPSHOTS, partly=0.4),
    }
    seen = {name: [list(looks(net, pair)) for pair in pairs] for name, pairs in sources.items()}
    seen["real"] = seen["bay1"] + seen["bay2"] + seen["other_chain"]
    return {f"{name}_{key}": value for name, found in seen.items() for key, value in _figures(found).items()}


def _figures(pairs: list[list[list[Looked]]]) -> dict[str, Any]:
    """`pairs`: for each its snapshots, for each its slots."""
    slots = [slot for snapshots in pairs for slot in zip(*snapshots, strict=True)]
    fills = np.array([slot[0].fill for slot in slots])
    one = np.array([judged(slot[0].alone, ALONE).score for slot in slots])
    beside = [[judged(look.beside, BESIDE) for look in slot] for slot in slots]
    figures: dict[str, Any] = {"empty": int((fills == 0).sum()), "stocked": int((fills == 1).sum())}
    figures |= _judged("alone", one, fills)
    figures |= _judged("beside", np.array([looked[0].score for looked in beside]), fills)
    # What the vote of three in five is to one score: the third highest of five.
    third = np.array([sorted(seen.score for seen in looked)[-3] for looked in beside])
    figures |= _judged("voted", third, fills)
    votes = np.array([_voted(looked) for looked in beside])
    figures |= {
        "voted_gap_of_empty": _mean(votes[fills == 0]),
        "voted_gap_of_stocked": _mean(votes[fills == 1]),
    }
    figures |= {"voted_gap_of_partly": _mean(votes[(fills > 0) & (fills < 1)])}
    told = np.array([looked[0].fill for looked in beside])
    figures |= {"fill_error_mean": _mean(np.abs(told - fills))}
    if len(set(fills.tolist())) - 1 > 0:
        figures |= {"fill_correlation": round(float(np.corrcoef(told, fills)[0, 1]), 3)}
    return figures


def _voted(looked: list[SlotSeen]) -> float:
    vote = GapVote()
    for seen in looked:
        vote.saw(seen)
    return float(bool(vote.gap))


def _judged(name: str, scores: Scores, fills: Scores) -> dict[str, float]:
    empty, stocked = scores[fills == 0], scores[fills == 1]
    if not len(empty) or not len(stocked):
        return {}
    above = (empty[:, None] > stocked[None]).mean() + 0.5 * (empty[:, None] == stocked[None]).mean()
    limit = np.quantile(stocked, 1 - FALSE_ALARMS)
    return {
        f"{name}_auc": round(float(above), 3),
        f"{name}_recall": _mean(empty > limit),
        f"{name}_gap_of_empty": _mean(empty >= 0.5),
        f"{name}_gap_of_stocked": _mean(stocked >= 0.5),
    }


def _mean(values: npt.NDArray[Any]) -> float:
    return round(float(values.mean()), 3) if len(values) else float("nan")
