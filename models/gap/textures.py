"""Faces of packages: cut from photos, or printed by chance so that the photos' few brands do not matter."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from gap.scene import Picture

HELD_OUT = ("Soy-Milk", "Yoghurt", "Sour-Cream")
_WORDS = (
    "NATUR",
    "BIO",
    "Riso",
    "CLASSIC",
    "500g",
    "Extra",
    "MILD",
    "Fresh",
    "1L",
    "Choco",
    "2+1",
    "COLA",
    "75%",
)
_PRINT_SIDE = 96


class Textures:
    """Package photos of the data folder, either those to train on or those of the classes held out."""

    def __init__(self, folder: Path, classes: list[str]) -> None:
        paths = sorted(p for name in classes for p in (folder / "Packages" / name).rglob("*.jpg"))
        if not paths:
            raise FileNotFoundError(f"no package photos of {classes} under {folder}")
        self.paths = paths
        self._read: dict[Path, Picture] = {}
        self.shelf_patches: list[Picture] = []
        self.gap_patches: list[Picture] = []

    def face(self, random: np.random.Generator) -> Picture:
        """One package face: a photo's middle, a patch of real shelf, or a printed one; colours moved."""
        choice = random.random()
        if choice < 0.45:
            face = self._photo(random)
        elif choice < 0.6 and self.shelf_patches:
            face = self.shelf_patches[random.integers(len(self.shelf_patches))]
        else:
            return printed(random, self._photo(random))
        return recoloured(random, face) if random.random() < 0.6 else face

    def _photo(self, random: np.random.Generator) -> Picture:
        path = self.paths[random.integers(len(self.paths))]
        if path not in self._read:
            self._read[path] = cv2.resize(cv2.imread(str(path)), (224, 224), interpolation=cv2.INTER_AREA)
        photo = self._read[path]
        width, height = random.integers(45, 100), random.integers(60, 140)
        x, y = 112 + random.integers(-20, 21) - width // 2, 112 + random.integers(-20, 21) - height // 2
        return photo[max(0, y) : y + height, max(0, x) : x + width]


def split(folder: Path) -> tuple[Textures, Textures]:
    """Textures to train on and textures that training never sees."""
    names = sorted(path.name for path in (folder / "Packages").iterdir() if path.is_dir())
    return Textures(folder, [n for n in names if n not in HELD_OUT]), Textures(folder, list(HELD_OUT))


def recoloured(random: np.random.Generator, face: Picture) -> Picture:
    """The face with its hue turned and its saturation and brightness scaled."""
    hsv = cv2.cvtColor(face, cv2.COLOR_BGR2HSV).astype(np.int16)
    hsv[..., 0] = (hsv[..., 0] + random.integers(180)) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * random.uniform(0.3, 1.6), 0, 255)
    hsv[..., 2] = np.clip(hsv[..., 2] * random.uniform(0.5, 1.3), 0, 255)
    return np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR), np.uint8)


def colour(random: np.random.Generator, dullest: float = 0.0) -> tuple[int, int, int]:
    """A package colour: often strong, sometimes white, black or grey."""
    if random.random() < 0.3:
        grey = random.choice([random.uniform(10, 50), random.uniform(60, 180), random.uniform(200, 255)])
        shades = grey + random.uniform(-8, 8, 3)
    else:
        hsv = np.uint8(
            [[[random.integers(180), random.uniform(max(60, dullest), 255), random.uniform(60, 255)]]]
        )
        shades = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(float)
    blue, green, red = np.clip(shades, 0, 255).astype(int).tolist()
    return blue, green, red


def printed(random: np.random.Generator, inset: Picture) -> Picture:
    """A face of plain colour with bands, shapes, words and perhaps a photo; one in eight is almost plain."""
    side = _PRINT_SIDE
    face = np.full((side, side, 3), colour(random), np.uint8)
    if random.random() < 0.125:
        _word(random, face)
        return face
    for _ in range(random.integers(1, 5)):
        x, y = random.integers(-10, side, 2)
        w, h = random.integers(10, side, 2)
        if random.random() < 0.5:
            cv2.rectangle(face, (int(x), int(y)), (int(x + w), int(y + h)), colour(random), -1)
        else:
            cv2.ellipse(face, (int(x), int(y)), (int(w // 2), int(h // 2)), 0, 0, 360, colour(random), -1)
    if random.random() < 0.5:
        x, y = random.integers(0, side // 2, 2)
        w, h = random.integers(side // 4, side // 2, 2)
        face[y : y + h, x : x + w] = cv2.resize(inset, (int(w), int(h)))
    for _ in range(random.integers(1, 5)):
        _word(random, face)
    return face


def _word(random: np.random.Generator, face: Picture) -> None:
    at = (int(random.integers(0, 40)), int(random.integers(15, _PRINT_SIDE)))
    word = _WORDS[random.integers(len(_WORDS))]
    scale, thick = float(random.uniform(0.3, 1.1)), int(random.integers(1, 4))
    cv2.putText(face, word, at, int(random.integers(0, 4)), scale, colour(random), thick, cv2.LINE_AA)
