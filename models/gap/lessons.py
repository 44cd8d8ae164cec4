"""The batches of the training: each is made from its number and the seed alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gap.camera import seen
from gap.photos import Photo, lend_patches, read, varied
from gap.scene import Scene
from gap.shelf import no_shelf, shelf
from gap.targets import Target, target
from gap.textures import Textures, split

SIDE = 256  # cuts at the scale of whole pictures of 416: cheaper, and no context is learned by heart
_VIEWS = 2  # of each drawn shelf: drawing one costs more than looking at it
_DRAWN, _REAL = 3, 2


@dataclass(frozen=True, slots=True)
class Batch:
    """`pictures` float32 [n, 3, SIDE, SIDE] BGR 0..255, and what the net must answer for each."""

    pictures: npt.NDArray[np.float32]
    wanted: list[Target]


class Lessons:
    """Drawn shelves, pictures without a shelf, and the real photos of the train split."""

    def __init__(self, data: Path, seed: int) -> None:
        self._seed = seed
        self._textures: Textures = split(data / "grocery-textures")[0]
        self._photos: list[Photo] = read(data / "shelf-gaps", "train")
        lend_patches(np.random.default_rng(seed), self._photos, self._textures)

    def batch(self, number: int) -> Batch:
        """Batch `number`: 6 views of drawn shelves (now and then of none) and 2 of real photos."""
        random = np.random.default_rng([self._seed, number])
        scenes: list[Scene] = []
        for _ in range(_DRAWN):
            drawn = no_shelf(random) if random.random() < 0.06 else shelf(random, self._textures)
            scenes += [seen(random, drawn, SIDE) for _ in range(_VIEWS)]
        for _ in range(_REAL):
            photo = self._photos[random.integers(len(self._photos))]
            scenes.append(seen(random, varied(random, photo), SIDE))
        pictures = np.stack([scene.picture.transpose(2, 0, 1) for scene in scenes]).astype(np.float32)
        return Batch(pictures, [target(scene) for scene in scenes])
