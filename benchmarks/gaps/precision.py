"""Average precision of free-form boxes: all points of the curve, greedy matching, doubtful places left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_agent.vision.detect import overlaps

_MOSTLY = 0.5

Boxes = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Found:
    """What one picture adds: scores and whether each was right; how many gaps there were."""

    scores: npt.NDArray[np.float32]
    right: npt.NDArray[np.bool_]
    gaps: int


def found(boxes: Boxes, gaps: Boxes, ignored: Boxes, iou: float) -> Found:
    """Match `boxes` [n, 5], best first, each gap once; wrong ones that lie mostly on ignored places are dropped."""
    shared = overlaps(boxes, gaps) if len(gaps) else np.zeros((len(boxes), 0), np.float32)
    free = np.ones(len(gaps), bool)
    right = np.zeros(len(boxes), bool)
    for row in range(len(boxes)):
        worth = np.where(free, shared[row], 0)
        if worth.size and worth.max() >= iou:
            free[worth.argmax()] = False
            right[row] = True
    kept = right | (_covered(boxes, ignored) < _MOSTLY)
    return Found(boxes[kept, 4], right[kept], len(gaps))


def average_precision(pictures: list[Found]) -> float:
    """Area under the precision-recall curve with precision made monotone; 0 where there are no gaps."""
    scores = np.concatenate([one.scores for one in pictures])
    right = np.concatenate([one.right for one in pictures])[np.argsort(-scores, kind="stable")]
    gaps = sum(one.gaps for one in pictures)
    if not gaps or not len(right):
        return 0.0
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((precision * right).sum() / gaps)


def spread(pictures: list[Found], rounds: int = 1000) -> tuple[float, float]:
    """The 5 % and 95 % points of average precision over pictures drawn again with repeats."""
    random = np.random.default_rng(1)
    values = [
        average_precision([pictures[i] for i in random.integers(0, len(pictures), len(pictures))])
        for _ in range(rounds)
    ]
    low, high = np.percentile(values, [5, 95])
    return float(low), float(high)


def _covered(boxes: Boxes, ignored: Boxes) -> npt.NDArray[np.float32]:
    """The largest share of each box that one ignored place covers."""
    if not len(ignored):
        return np.zeros(len(boxes), np.float32)
    width = np.minimum(boxes[:, None, 2], ignored[None, :, 2]) - np.maximum(
        boxes[:, None, 0], ignored[None, :, 0]
    )
    height = np.minimum(boxes[:, None, 3], ignored[None, :, 3]) - np.maximum(
        boxes[:, None, 1], ignored[None, :, 1]
    )
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    common = np.maximum(width, 0) * np.maximum(height, 0)
    made: npt.NDArray[np.float32] = (common / np.maximum(area, 1e-6)[:, None]).max(axis=1)
    return made
