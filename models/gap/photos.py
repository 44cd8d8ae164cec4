"""Real shelf photos with boxed gaps, and variants of them: a gap filled up, a gap copied to another place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from gap.scene import Picture, Scene, quad, quads
from gap.textures import Textures

Boxes = npt.NDArray[np.float32]
_TRIES = 40
_LIVELY = 70.0


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo with its empty places and the doubtful ones, [n, 4] left, top, right, bottom in pixels."""

    picture: Picture
    gaps: Boxes
    partial: Boxes

    def scene(self) -> Scene:
        """The photo as it is."""
        return Scene(
            self.picture, *(quads([quad(*box) for box in part]) for part in (self.gaps, self.partial))
        )


def read(folder: Path, split: str) -> list[Photo]:
    """The photos of one `split` (train or val) of the shelf-gaps folder."""
    labels = json.loads((folder / "labels.json").read_text())["images"]
    return [
        Photo(cv2.imread(str(folder / one["image"])), _boxes(one["boxes"]), _boxes(one["partial_boxes"]))
        for one in labels
        if one["split"] == split
    ]


def lend_patches(random: np.random.Generator, photos: list[Photo], textures: Textures) -> None:
    """Give the generator real gaps, and real packages cut from where no gap is."""
    for photo in photos:
        for left, top, right, bottom in photo.gaps.astype(int):
            textures.gap_patches.append(photo.picture[max(0, top) : bottom, max(0, left) : right])
        for _ in range(6):
            x, y = random.integers(0, 560, 2)
            w, h = random.integers(50, 120, 2)
            patch = photo.picture[y : y + h, x : x + w]
            if _free(photo, (x, y, x + w, y + h)) and float(patch.std()) > _LIVELY * 0.8:
                textures.shelf_patches.append(patch)


def varied(random: np.random.Generator, photo: Photo) -> Scene:
    """The photo with some gaps filled by what stands beside them and perhaps a gap copied elsewhere."""
    picture, gaps = photo.picture.copy(), []
    for gap in photo.gaps:
        if random.random() < 0.35 and _fill(picture, photo, gap):
            continue
        gaps.append(gap)
    if gaps and random.random() < 0.4:
        copied = _copy(random, picture, photo, gaps[random.integers(len(gaps))])
        gaps += copied
    return Photo(picture, _boxes(gaps), photo.partial).scene()


def _fill(picture: Picture, photo: Photo, gap: Boxes) -> bool:
    """Cover the gap with the strip to its left or right; False where there is none."""
    left, top, right, bottom = gap.astype(int)
    width = right - left
    for from_left in (left - width - 2, right + 2):
        strip = (from_left, top, from_left + width, bottom)
        if from_left >= 0 and from_left + width <= picture.shape[1] and _free(photo, strip):
            seam = np.zeros((bottom - top, width, 1), np.float32)
            seam[2:-2, 2:-2] = 1
            seam = cv2.GaussianBlur(seam, (0, 0), 1.5)[..., None]
            under = picture[top:bottom, left:right]
            source = photo.picture[top:bottom, from_left : from_left + width]
            under[:] = (seam * source + (1 - seam) * under).astype(np.uint8)
            return True
    return False


def _copy(random: np.random.Generator, picture: Picture, photo: Photo, gap: Boxes) -> list[Boxes]:
    """Lay the gap at another place of the same row where products stand."""
    left, top, right, bottom = gap.astype(int)
    top, left = max(0, top), max(0, left)
    for _ in range(_TRIES):
        x = int(random.integers(0, max(1, picture.shape[1] - (right - left))))
        place = (x, top, x + right - left, bottom)
        if _free(photo, place):
            picture[top:bottom, x : x + right - left] = photo.picture[top:bottom, left:right]
            return [np.float32(place)]
    return []


def _free(photo: Photo, place: tuple[int, int, int, int]) -> bool:
    """Whether no box of the photo touches `place`."""
    boxes = np.concatenate([photo.gaps, photo.partial])
    apart = (boxes[:, 0] >= place[2]) | (boxes[:, 2] <= place[0])
    apart |= (boxes[:, 1] >= place[3]) | (boxes[:, 3] <= place[1])
    return bool(apart.all())


def _boxes(boxes: list[Boxes]) -> Boxes:
    return np.asarray(boxes, np.float32).reshape(-1, 4)
