"""One look at a shelf, in steps that are short enough to share a thread: what each slot shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from edge_agent.vision.alignment import STRAIGHT, Alignment, align, shrunk
from edge_agent.vision.families import Picture
from edge_agent.vision.families.picture import Floats
from edge_agent.vision.gap_net import GapNet
from edge_agent.vision.shelf import Shelf
from edge_agent.vision.shelf_area import edges_of, grey_of
from edge_agent.vision.shelf_baseline import Baseline
from edge_agent.vision.slot_score import ALONE, BESIDE, SlotSeen, judged
from edge_agent.vision.slot_signs import SlotView, signs_of, view_of

SLOTS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Sight:
    """The area of the slots in one picture.

    `grey` as `grey_of`, `empty` the net's probability at each pixel of it, `outline` as `shrunk`.
    """

    grey: Floats
    empty: Floats
    outline: Floats


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one picture says of each facing.

    `seen` is judged beside the baseline where the slot has one, `alone` always without.
    """

    outline: Floats
    alignment: Alignment
    views: dict[str, SlotView] = field(default_factory=dict)
    seen: dict[str, SlotSeen] = field(default_factory=dict)
    alone: dict[str, SlotSeen] = field(default_factory=dict)


def sight_of(net: GapNet, shelf: Shelf, picture: Picture) -> Sight:
    """The first step: what the camera's BGR `picture` shows of the shelf."""
    import cv2

    area = np.ascontiguousarray(shelf.area.of(picture))
    grey = grey_of(area)
    empty = cv2.resize(net.look(area).mask, (grey.shape[1], grey.shape[0]), interpolation=cv2.INTER_LINEAR)
    return Sight(grey, np.asarray(empty, np.float32), shrunk(edges_of(grey)))


def laid_over(baseline: Baseline | None, sight: Sight) -> Snapshot:
    """The second step: a snapshot without its slots, laid over the baseline."""
    if baseline is None:
        return Snapshot(sight.outline, STRAIGHT)
    size = sight.grey.shape[1], sight.grey.shape[0]
    return Snapshot(sight.outline, align(baseline.outline, sight.outline, size))


def judge(
    snapshot: Snapshot, sight: Sight, shelf: Shelf, baseline: Baseline | None, facings: Iterable[str]
) -> None:
    """The other steps: some facings of a snapshot."""
    for facing in facings:
        slot = shelf.slots[facing]
        view = view_of(slot, sight.grey, sight.empty, snapshot.alignment.lies)
        before = baseline.views.get(facing) if baseline is not None else None
        alone = judged(signs_of(slot, view, None), ALONE)
        snapshot.views[facing], snapshot.alone[facing] = view, alone
        snapshot.seen[facing] = alone if before is None else judged(signs_of(slot, view, before), BESIDE)


def batches(shelf: Shelf) -> Iterator[list[str]]:
    """The facings in groups for one step each."""
    facings = list(shelf.slots)
    for first in range(0, len(facings), SLOTS_AT_ONCE):
        yield facings[first : first + SLOTS_AT_ONCE]


def snapshot_of(net: GapNet, shelf: Shelf, picture: Picture, baseline: Baseline | None) -> Snapshot:
    """All steps at once. The slots are judged wherever the picture seems to lie."""
    sight = sight_of(net, shelf, picture)
    snapshot = laid_over(baseline, sight)
    judge(snapshot, sight, shelf, baseline, shelf.slots)
    return snapshot


def baseline_of(net: GapNet, shelf: Shelf, picture: Picture, *, file: str = "") -> Baseline:
    """A baseline from a picture on which every slot is stocked; `file` is its digest."""
    taken = snapshot_of(net, shelf, picture, None)
    return Baseline(shelf.geometry, taken.outline, taken.views, file)
