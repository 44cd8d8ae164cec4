"""Follows people from frame to frame, so that each is counted once.

Boxes are matched with where each person should be by now (constant velocity), sure ones first, then
the doubtful ones that keep a half-hidden person alive (Zhang et al., ByteTrack, 2022). Boxes are
widened before they are compared, because people move far between frames at five frames a second
(Yang et al., C-BIoU, 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_agent.vision.detect import overlaps
from edge_agent.vision.families import Boxes
from edge_agent.vision.model import Family

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""

_Similarity = npt.NDArray[np.float32]
_Pairs = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class TrackRules:
    """What the tracker believes. The scores depend on the model, the rest on how people walk."""

    doubtful_score: float = 0.1
    sure_score: float = 0.35
    new_score: float = 0.5
    confirmed_after_sights: int = 3
    lost_after_s: float = 1.5
    widened_share: float = 0.3
    least_similarity: float = 0.15
    least_doubtful_iou: float = 0.5
    reborn_within_s: float = 0.5
    reborn_iou: float = 0.5


RULES: dict[Family, TrackRules] = {
    "nanodet": TrackRules(doubtful_score=0.15),
    "ssd": TrackRules(doubtful_score=0.15, sure_score=0.35, new_score=0.4),
    "yolox": TrackRules(sure_score=0.4, least_doubtful_iou=0.3),
    # Not measured on video: their papers' and exporters' own thresholds; model.scores overrides them.
    "yolov8": TrackRules(sure_score=0.35, new_score=0.5),
    "yolov9": TrackRules(sure_score=0.35, new_score=0.5),
    "yolo11": TrackRules(sure_score=0.35, new_score=0.5),
    "rf-detr": TrackRules(doubtful_score=0.2, sure_score=0.4, new_score=0.5),
    "d-fine": TrackRules(doubtful_score=0.2, sure_score=0.4, new_score=0.5),
}


@dataclass(slots=True)
class Track:
    """One person, from the first sight to the last. `velocity` in pixels a second, x then y.

    `confirmed` says that this is somebody; `sure_at_s` is the last sight that was not doubtful.
    """

    id: int
    box: Box
    seen_at_s: float
    velocity: tuple[float, float] = (0.0, 0.0)
    sights: int = 1
    confirmed: bool = False
    sure_at_s: float = 0.0

    def expected(self, at_s: float) -> Box:
        """Where the person should be at `at_s`; nobody is believed to walk on unseen for long."""
        passed_s = min(at_s - self.seen_at_s, _LONGEST_GUESS_S)
        dx, dy = self.velocity[0] * passed_s, self.velocity[1] * passed_s
        left, top, right, bottom = self.box
        return (left + dx, top + dy, right + dx, bottom + dy)


_LONGEST_GUESS_S = 0.6
_VELOCITY_GAIN = 0.4
_BRIDGED_SHARE, _BRIDGE_END_SHARE = 0.75, 0.2
"""So much of a box over two people is covered by both together, and by the lesser of them."""


class Tracker:
    """Follows the people of one camera. Times are seconds on any clock that never goes back."""

    def __init__(self, rules: TrackRules | None = None) -> None:
        self._rules = rules or TrackRules()
        self._tracks: list[Track] = []
        self._born = 0

    def update(self, boxes: Boxes, at_s: float) -> list[Track]:
        """Take the boxes [n, 5] of one frame; returns the tracks seen in it, confirmed or not."""
        rules = self._rules
        boxes = _doubted(boxes[boxes[:, 4] >= rules.doubtful_score], rules)
        self._tracks = [t for t in self._tracks if at_s - t.seen_at_s <= rules.lost_after_s]
        matches = self._match(boxes, at_s)
        matches += self._reborn(boxes, matches, at_s)
        for row, column in matches:
            self._see(self._tracks[row], boxes[column], at_s)
        used = {column for _, column in matches}
        new = [c for c in np.flatnonzero(boxes[:, 4] >= rules.new_score).tolist() if c not in used]
        return [self._tracks[row] for row, _ in matches] + [self._start(boxes[c], at_s) for c in new]

    def following(self, at_s: float) -> int:
        """How many people are being followed, seen just now or not."""
        alive_s = self._rules.lost_after_s
        return sum(track.confirmed and at_s - track.seen_at_s <= alive_s for track in self._tracks)

    def _match(self, boxes: Boxes, at_s: float) -> _Pairs:
        rules = self._rules
        expected = np.array([t.expected(at_s) for t in self._tracks], np.float32).reshape(-1, 4)
        similarity = overlaps(_widened(expected, rules.widened_share), _widened(boxes, rules.widened_share))
        sure = boxes[:, 4] >= rules.sure_score
        matches = _pair(np.where(sure, similarity, 0), rules.least_similarity)
        if sure.all():
            return matches
        # What is doubtful must lie where it is expected; else the neighbours' shadows win.
        doubtful = np.where(sure, 0, overlaps(expected, boxes))
        doubtful[[row for row, _ in matches]] = 0
        doubtful[[row for row, track in enumerate(self._tracks) if not track.confirmed]] = 0
        return matches + _pair(doubtful, rules.least_doubtful_iou)

    def _reborn(self, boxes: Boxes, matches: _Pairs, at_s: float) -> _Pairs:
        """Somebody who stopped or turned is where the track ended, not where it was expected."""
        rules = self._rules
        matched = {row for row, _ in matches}
        dying = [
            row
            for row, track in enumerate(self._tracks)
            if row not in matched and at_s - track.seen_at_s <= rules.reborn_within_s
        ]
        if not dying or len(matches) == len(boxes):
            return []
        last = np.array([self._tracks[row].box for row in dying], np.float32)
        similarity = np.where(boxes[:, 4] >= rules.new_score, overlaps(last, boxes), 0)
        similarity[:, [column for _, column in matches]] = 0
        return [(dying[row], column) for row, column in _pair(similarity, rules.reborn_iou)]

    def _see(self, track: Track, box: npt.NDArray[np.float32], at_s: float) -> None:
        left, top, right, bottom = box[:4].tolist()
        expected = track.expected(at_s)
        passed_s = max(at_s - track.seen_at_s, 1e-3)
        gain = (1.0 if track.sights == 1 else _VELOCITY_GAIN) / passed_s
        track.velocity = (
            track.velocity[0] + gain * (left + right - expected[0] - expected[2]) / 2,
            track.velocity[1] + gain * (top + bottom - expected[1] - expected[3]) / 2,
        )
        track.box = (left, top, right, bottom)
        track.seen_at_s = at_s
        track.sights += 1
        if box[4] >= self._rules.sure_score:
            track.sure_at_s = at_s
        track.confirmed = track.confirmed or track.sights >= self._rules.confirmed_after_sights

    def _start(self, box: npt.NDArray[np.float32], at_s: float) -> Track:
        self._born += 1
        left, top, right, bottom = box[:4].tolist()
        track = Track(self._born, (left, top, right, bottom), at_s, sure_at_s=at_s)
        self._tracks.append(track)
        return track


def _doubted(boxes: Boxes, rules: TrackRules) -> Boxes:
    """The boxes, with those that lie over two surer ones made doubtful: they show two people as one."""
    left, top, right, bottom, score = boxes.T
    sure = score >= rules.sure_score
    width = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    height = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    surer = sure & (score > score[:, None]) & (width > 0) & (height > 0)
    common = width * height * surer
    covered = common.sum(axis=1)
    if not covered.any():
        return boxes
    area = (right - left) * (bottom - top)
    both, lesser = covered >= _BRIDGED_SHARE * area, covered - common.max(axis=1) >= _BRIDGE_END_SHARE * area
    boxes = boxes.copy()
    boxes[sure & both & lesser, 4] = rules.doubtful_score
    return boxes


def _widened(boxes: npt.NDArray[np.float32], share: float) -> npt.NDArray[np.float32]:
    margin = (boxes[:, 2:4] - boxes[:, :2]) * share
    return np.concatenate([boxes[:, :2] - margin, boxes[:, 2:4] + margin], axis=1)


def _pair(similarity: _Similarity, least: float) -> _Pairs:
    """Best pairs first, each row and each column once."""
    rows, columns = np.nonzero(similarity > least)
    order = np.argsort(-similarity[rows, columns], kind="stable")
    pairs: _Pairs = []
    used_rows: set[int] = set()
    used_columns: set[int] = set()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in used_rows and column not in used_columns:
            pairs.append((row, column))
            used_rows.add(row)
            used_columns.add(column)
    return pairs
