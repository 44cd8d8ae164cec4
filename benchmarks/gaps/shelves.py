"""The pictures to judge the gap net on: four real photos, a real bay kept out of training, drawn shelves."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

MODELS = Path(__file__).parents[2] / "models"
LABELS = Path(__file__).with_name("shelf_photo_labels.json")
DRAWN_SEED, DRAWN = 9001, 120
_WIDTH_OF_SLOT = 1.0  # of its height

Boxes = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Shelf:
    """A picture with its empty, doubtful and stocked places, [n, 4] left, top, right, bottom in pixels."""

    picture: npt.NDArray[np.uint8]
    gaps: Boxes
    ignored: Boxes
    stocked: Boxes


def real(data: Path) -> list[Shelf]:
    """Four photos of one chain, labelled by eye; 13 gaps."""
    photos = json.loads(LABELS.read_text())["photos"]
    folder = data / "shelves"
    return [
        Shelf(_read(folder / one["image"]), *(boxes(one[kind]) for kind in ("gaps", "ignored", "stocked")))
        for one in photos
    ]


def other_bay(data: Path) -> list[Shelf]:
    """Ten photos of the bay of cans that training never saw; much alike."""
    folder = data / "shelf-gaps"
    labels = json.loads((folder / "labels.json").read_text())["images"]
    return [
        Shelf(_read(folder / one["image"]), boxes(one["boxes"]), boxes(one["partial_boxes"]), boxes([]))
        for one in labels
        if one["split"] == "val"
    ]


def drawn(data: Path, count: int = DRAWN) -> list[Shelf]:
    """Drawn shelves with other seeds and packages of classes that training never saw."""
    sys.path.insert(0, str(MODELS))
    from gap.camera import seen
    from gap.scene import bounds
    from gap.shelf import shelf
    from gap.textures import split

    textures = split(data / "grocery-textures")[1]
    random = np.random.default_rng(DRAWN_SEED)
    scenes = [seen(random, shelf(random, textures), 416) for _ in range(count)]
    return [Shelf(s.picture, bounds(s.gaps), bounds(s.ignored), bounds(s.stocked)) for s in scenes]


def slots(places: Boxes) -> Boxes:
    """The places cut into slots about as wide as high, as a facing is."""
    cut = []
    for left, top, right, bottom in places:
        count = max(1, round((right - left) / (bottom - top) / _WIDTH_OF_SLOT))
        edges = np.linspace(left, right, count + 1)
        cut += [(a, top, b, bottom) for a, b in pairwise(edges)]
    return boxes(cut)


def boxes(given: Iterable[Any]) -> Boxes:
    """[n, 4], also where nothing is given."""
    return np.array(list(given), np.float32).reshape(-1, 4)


def _read(path: Path) -> npt.NDArray[np.uint8]:
    picture = cv2.imread(str(path))
    if picture is None:
        raise SystemExit(f"{path} is not there")
    return np.asarray(picture, np.uint8)
