"""How the packed detectors see drawn people and drawn shelves; says nothing of real ones.

Every frame is what a watcher of the simulated cameras gets: drawn, with noise, through a JPEG. A detection is
right when it overlaps a true box by IoU 0.5. True boxes hold what is seen of a visitor; who is seen by less than
half is neither wanted nor held against the detector. Scores count from where the tracker believes them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from time import process_time
from typing import Any

import numpy as np

from device_sims.door_scene import DoorScene, Seen
from device_sims.film import JPEG_QUALITY
from device_sims.shelf_layout import Spot
from device_sims.shelf_scene import ShelfScene
from device_sims.walk import Walk, random_walk
from edge_agent.config.cameras import CountingLine, VisionModel
from edge_agent.vision.detect import Detector, overlaps
from edge_agent.vision.families import Boxes, Picture
from edge_agent.vision.footfall import Crossing, LineCounter
from edge_agent.vision.model import PACKED
from edge_agent.vision.track import RULES, Tracker
from edge_agent.vision.truth import Truth, compare

SEEDS, PER_S = 8, 5
GROUPS = (1, 2, 3)
HARDLY = -1
"""How many are in view when all are hidden by more than half."""
WALK_GAP_S, GROUP_GAP_S, QUIET_S = 0.5, 12.0, 2.0
IOU, LEAST_SEEN = 0.5, 0.5
TOLERANCE_S = 1.0
RACKS, STATES = 8, 10


@dataclass(slots=True)
class Tally:
    """Sums over frames, by how many people are in view."""

    hits: Counter[int] = field(default_factory=Counter)
    wanted: Counter[int] = field(default_factory=Counter)
    false: Counter[int] = field(default_factory=Counter)
    frames: Counter[int] = field(default_factory=Counter)
    events: list[int] = field(default_factory=lambda: [0, 0, 0])
    shelf_false: int = 0
    shelf_pictures: int = 0

    def figures(self) -> dict[str, float]:
        """Shares, and false persons for 100 pictures."""
        figures: dict[str, float] = {}
        for name, groups in (("", (HARDLY, *GROUPS)), *((f"_{n}_in_view", (n,)) for n in GROUPS)):
            hits, wanted, false = (
                sum(kept[n] for n in groups) for kept in (self.hits, self.wanted, self.false)
            )
            figures[f"recall{name}"] = round(hits / wanted, 3)
            figures[f"precision{name}"] = round(hits / (hits + false), 3)
        hits, missed, false = self.events
        return {
            **figures,
            "false_per_100_empty_doors": round(100 * self.false[0] / self.frames[0], 2),
            "false_per_100_shelves": round(100 * self.shelf_false / self.shelf_pictures, 2),
            "event_f1": round(2 * hits / (2 * hits + missed + false), 3),
            "events_missed": missed,
            "events_false": false,
        }


def main() -> dict[str, Any]:
    detectors = {name: Detector(VisionModel.model_validate({"name": name})) for name in sorted(PACKED)}
    tallies = {name: Tally() for name in detectors}
    began = process_time()
    for seed in range(SEEDS):
        watch_door(seed, detectors, tallies)
    for seed in range(RACKS):
        watch_shelf(seed, detectors, tallies)
    figures = {f"{name}_{key}": value for name in detectors for key, value in tallies[name].figures().items()}
    first = next(iter(tallies.values()))
    return {
        **{f"frames_with_{n}_in_view": first.frames[n] for n in (0, *GROUPS)},
        "shelf_pictures": first.shelf_pictures,
        "true_crossings": SEEDS * sum(GROUPS),
        **figures,
        "cpu_s": round(process_time() - began),
    }


def watch_door(seed: int, detectors: dict[str, Detector], tallies: dict[str, Tally]) -> None:
    """One entrance: a single visitor, then two together, then three."""
    scene, walks = DoorScene(seed), visits(seed)
    (x1, y1), (x2, y2) = scene.line
    line = CountingLine.model_validate({"id": "door", "from": [x1, y1], "to": [x2, y2]})
    trackers = {name: Tracker(RULES[detector.family]) for name, detector in detectors.items()}
    height, width = scene.render(0.0, walks).shape[:2]
    counters = {name: LineCounter([line], (width, height)) for name in detectors}
    crossings: dict[str, list[Crossing]] = {name: [] for name in detectors}
    end_s = max(walk.ends_at_s for walk in walks) + QUIET_S
    for number in range(int(end_s * PER_S)):
        at_s = number / PER_S
        picture, seen = streamed(scene.render(at_s, walks)), scene.seen(at_s, walks)
        for name, detector in detectors.items():
            boxes = detector.people(picture)
            score(believed(boxes, detector), seen, tallies[name])
            crossings[name] += counters[name].update(trackers[name].update(boxes, at_s), at_s)
    truth = Truth.model_validate(
        {
            "clip": "drawn",
            "line": [x1, y1, x2, y2],
            "window_s": [0, end_s],
            "tolerance_s": TOLERANCE_S,
            "events": [{"t_s": walk.crosses_at_s, "direction": walk.direction} for walk in walks],
        }
    )
    for name, tally in tallies.items():
        agreement = compare(crossings[name], truth)
        found = (agreement.hits, agreement.missed, agreement.false)
        tally.events = [sum(pair) for pair in zip(tally.events, found, strict=True)]


def visits(seed: int) -> list[Walk]:
    random = Random(seed)
    walks: list[Walk] = []
    for group, size in enumerate(GROUPS):
        for number in range(size):
            start_s = QUIET_S + group * GROUP_GAP_S + number * WALK_GAP_S
            under_way = [walk for walk in walks if walk.ends_at_s > start_s]
            walks.append(random_walk(random, random.choice(("entered", "exited")), start_s, under_way))
    return walks


def watch_shelf(seed: int, detectors: dict[str, Detector], tallies: dict[str, Tally]) -> None:
    """One rack, filled at random again and again; nobody stands before it."""
    random = Random(f"{seed}/shelf")
    spots = list(stocked(random))
    scene = ShelfScene(seed, spots)
    for state in range(STATES):
        counts = {spot.facing: random.randint(0, spot.capacity) for spot in spots}
        picture = streamed(scene.render(float(state), counts))
        for name, detector in detectors.items():
            tallies[name].shelf_false += len(believed(detector.people(picture), detector))
            tallies[name].shelf_pictures += 1


def stocked(random: Random) -> Iterator[Spot]:
    for board in range(random.randint(2, 4)):
        x_mm = 0.0
        while x_mm < 1080:
            width_mm = random.choice((90.0, 120.0, 180.0, 240.0))
            gtin = f"0690{random.randrange(10**10):010d}"
            yield Spot(f"{board}-{x_mm:.0f}", f"S{board}", x_mm, width_mm, random.randint(4, 24), gtin)
            x_mm += width_mm


def streamed(picture: Picture) -> Picture:
    """The picture after the camera's JPEG."""
    import cv2

    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)


def believed(boxes: Boxes, detector: Detector) -> Boxes:
    return boxes[boxes[:, 4] >= RULES[detector.family].sure_score]


def score(boxes: Boxes, seen: Sequence[Seen], tally: Tally) -> None:
    """Best detections first, each to the true box that it overlaps most and that nobody has yet."""
    wanted = [visitor.share >= LEAST_SEEN for visitor in seen]
    view = min(sum(wanted), GROUPS[-1]) if any(wanted) or not seen else HARDLY
    shared = overlaps(boxes, np.array([v.box for v in seen], np.float32).reshape(-1, 4))
    taken: set[int] = set()
    for row in shared:
        free = [(iou, wanted[i], i) for i, iou in enumerate(row) if iou >= IOU and i not in taken]
        if not free:
            tally.false[view] += not near_unwanted(row, wanted)
            continue
        _, counts, best = max(free)
        taken.add(best)
        tally.hits[view] += counts
    tally.wanted[view] += sum(wanted)
    tally.frames[view] += 1


def near_unwanted(row: Any, wanted: Sequence[bool]) -> bool:
    """Whether a detection lies on somebody who is hardly to be seen: no error, and no merit."""
    return any(iou > 0.1 and not want for iou, want in zip(row, wanted, strict=True))


if __name__ == "__main__":
    print(json.dumps(main()))
