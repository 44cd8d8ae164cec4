"""Pairs of a stocked shelf and the same shelf with empty places, made from pictures whose gaps are known.

No fixed camera's pictures before and after are free to use, so the stocked picture is semi-synthetic: each
gap is filled from its neighbour. The picture itself is what the camera sees later: in other light (20 %
either way, a colour cast, a shade from one side), shifted by up to 4 pixels, turned by up to 1 degree, with
noise, as a JPEG. Half of the stocked slots hold another product than on the baseline.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import cv2
import numpy as np

from benchmarks.gaps.shelves import MODELS, Shelf, slots
from edge_agent.vision.families import Boxes, Picture

Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""

LEAST_SIDE = 24
SHARES = (0.25, 0.5, 0.75)
_TRIES = 60


@dataclass(frozen=True, slots=True)
class Pair:
    """`fills` by box: the true stocked share in the snapshots, 1.0 in the baseline for all."""

    name: str
    baseline: Picture
    snapshots: Sequence[Picture]
    fills: dict[Box, float]

    @property
    def polygons(self) -> dict[str, list[tuple[float, float]]]:
        """By a name that sorts as the boxes do."""
        return {f"{i:03d}": corners(box) for i, box in enumerate(self.fills)}


def photo_pairs(folder: Path, *, seed: int, snapshots: int = 1, partly: float = 0.0) -> Iterator[Pair]:
    """From the real photos of `shelf-gaps`; `partly` is the share of gaps that are filled in part."""
    for entry in json.loads((folder / "labels.json").read_text())["images"]:
        picture = cv2.imread(str(folder / entry["image"]), cv2.IMREAD_COLOR)
        pair = pair_of(
            f"{entry['scene']}/{entry['image']}",
            np.asarray(picture, np.uint8),
            [_whole(box) for box in entry["boxes"]],
            [_whole(box) for box in entry["partial_boxes"]],
            random=Random(f"{seed}/{entry['image']}"),
            snapshots=snapshots,
            partly=partly,
        )
        if pair is not None:
            yield pair


def shelf_pairs(
    shelves: Sequence[Shelf], *, seed: int, snapshots: int = 1, partly: float = 0.0
) -> Iterator[Pair]:
    """From pictures whose empty and stocked places are known, each cut into slots about as wide as high."""
    for number, shelf in enumerate(shelves):
        pair = pair_of(
            str(number),
            shelf.picture,
            _cut(shelf.gaps, shelf.picture),
            [_whole(box) for box in shelf.ignored],
            stocked=_cut(shelf.stocked, shelf.picture),
            random=Random(f"{seed}/{number}"),
            snapshots=snapshots,
            partly=partly,
        )
        if pair is not None:
            yield pair


def drawn_to_learn(data: Path, count: int) -> list[Shelf]:
    """Drawn shelves with the packages and none of the seeds that the gap net is trained on."""
    sys.path.insert(0, str(MODELS))
    from gap.camera import seen
    from gap.scene import bounds
    from gap.shelf import shelf
    from gap.textures import split

    textures, random = split(data / "grocery-textures")[0], np.random.default_rng(7001)
    scenes = [seen(random, shelf(random, textures), 416) for _ in range(count)]
    return [Shelf(s.picture, bounds(s.gaps), bounds(s.ignored), bounds(s.stocked)) for s in scenes]


def pair_of(
    name: str,
    picture: Picture,
    gaps: Sequence[Box],
    ignored: Sequence[Box],
    *,
    random: Random,
    snapshots: int = 1,
    partly: float = 0.0,
    stocked: Sequence[Box] | None = None,
) -> Pair | None:
    """A pair from one picture with gaps; None when none of them has a stocked neighbour to fill it from.

    `stocked`: where products stand; None where that is not known, and anything that is not missing counts.
    """
    width = picture.shape[1]
    taken, fills = [*gaps, *ignored], dict[Box, float]()
    before, now = picture.copy(), picture.copy()
    for gap in gaps:
        source = _neighbour(gap, taken, width)
        if min(_sides(gap)) < LEAST_SIDE or source is None:
            continue
        _paste(before, gap, picture, source)
        fills[gap] = random.choice(SHARES) if random.random() < partly else 0.0
        if fills[gap]:
            part = (gap[0], gap[1], gap[0] + round((gap[2] - gap[0]) * fills[gap]), gap[3])
            now[part[1] : part[3], part[0] : part[2]] = before[part[1] : part[3], part[0] : part[2]]
        for _ in range(2 if stocked is None else 0):
            _stocked(before, picture, taken, fills, gap, random)
    for box in random.sample(stocked or [], min(len(stocked or []), 2 * len(fills) + 2)):
        if min(_sides(box)) >= LEAST_SIDE and all(_common(box, other) == 0 for other in [*taken, *fills]):
            fills[box] = 1.0
            _swap(before, picture, taken, box, random)
    if not fills:
        return None
    return Pair(name, before, [jittered(now, random) for _ in range(snapshots)], fills)


def jittered(picture: Picture, random: Random) -> Picture:
    """The same shelf as the camera shows it at another time."""
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), random.uniform(-1, 1), 1.0)
    turn[:, 2] += random.uniform(-4, 4), random.uniform(-4, 4)
    moved = cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    light = random.uniform(0.8, 1.2) * np.array([random.uniform(0.93, 1.07) for _ in range(3)])
    shade = 1 + random.uniform(-0.12, 0.12) * np.linspace(-1, 1, width)[None, :, None]
    noise = np.random.default_rng(random.getrandbits(32)).normal(0, 3, picture.shape)
    lit = np.clip(moved * light * shade + random.uniform(-8, 8) + noise, 0, 255).astype(np.uint8)
    _, jpeg = cv2.imencode(".jpg", lit, [cv2.IMWRITE_JPEG_QUALITY, random.randint(60, 85)])
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)


def corners(box: Box) -> list[tuple[float, float]]:
    """Clockwise from the top left."""
    left, top, right, bottom = box
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _stocked(
    before: Picture,
    picture: Picture,
    taken: Sequence[Box],
    fills: dict[Box, float],
    like: Box,
    random: Random,
) -> None:
    """One more slot as large as `like` where nothing is missing; every other one held another product."""
    box = _free(like, [*taken, *fills], picture, random, near=like)
    if box is None:
        return
    fills[box] = 1.0
    _swap(before, picture, taken, box, random)


def _swap(before: Picture, picture: Picture, taken: Sequence[Box], box: Box, random: Random) -> None:
    """Half of the time the baseline shows another product in the box."""
    if random.random() < 0.5 and (other := _free(box, taken, picture, random)) is not None:
        _paste(before, box, picture, other)


def _free(
    like: Box, taken: Sequence[Box], picture: Picture, random: Random, *, near: Box | None = None
) -> Box | None:
    (wide, high), (height, width) = _sides(like), picture.shape[:2]
    for _ in range(_TRIES):
        top = random.randint(0, height - high)
        if near is not None:
            top = min(max(0, near[1] + random.randint(-high // 3, high // 3)), height - high)
        left = random.randint(0, width - wide)
        box = (left, top, left + wide, top + high)
        if all(_common(box, other) == 0 for other in taken):
            return box
    return None


def _neighbour(gap: Box, taken: Sequence[Box], width: int) -> Box | None:
    left, top, right, bottom = gap
    for steps in (1, 2, 3):
        for step in (-steps * (right - left), steps * (right - left)):
            box = (left + step, top, right + step, bottom)
            if box[0] >= 0 and box[2] <= width and all(_common(box, other) == 0 for other in taken):
                return box
    return None


def _paste(onto: Picture, box: Box, picture: Picture, source: Box) -> None:
    """Copy `source` into `box` of the same size, with soft edges."""
    wide, high = _sides(box)
    soft = np.zeros((high, wide), np.float32)
    soft[2:-2, 2:-2] = 1
    soft = cv2.GaussianBlur(soft, (5, 5), 0)[:, :, None]
    place = onto[box[1] : box[3], box[0] : box[2]]
    place[:] = picture[source[1] : source[3], source[0] : source[2]] * soft + place * (1 - soft)


def _sides(box: Box) -> tuple[int, int]:
    return box[2] - box[0], box[3] - box[1]


def _common(a: Box, b: Box) -> int:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(0, wide) * max(0, high)


def _cut(places: Boxes, picture: Picture) -> list[Box]:
    """Into slots, as far as they lie within the picture."""
    height, width = picture.shape[:2]
    low, high = np.zeros(4, np.float32), np.array([width, height, width, height], np.float32)
    return [_whole(box) for box in slots(np.clip(places, low, high))]


def _whole(box: Sequence[float]) -> Box:
    left, top, right, bottom = (int(side) for side in box)
    return left, top, right, bottom
