"""Draws one product as it stands on a shelf: box, can, bottle, jar, tub, carton or bag, with its outline."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from gap.scene import Picture
from gap.textures import colour

Sprite = npt.NDArray[np.uint8]  # BGRA [h, w, 4]
Floats = npt.NDArray[np.float32]

KINDS = ("box", "box", "can", "bottle", "jar", "tub", "carton", "bag", "bag")
_LONGEST = 400


def sprite(random: np.random.Generator, face: Picture, size: tuple[int, int], kind: str) -> Sprite:
    """A product of `kind` with `face` on it, `size` (width, height) pixels."""
    width, height = (int(np.clip(side, 3, _LONGEST)) for side in size)
    body = cv2.resize(face, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    outline = np.ones((height, width), np.float32)
    body, outline = _SHAPES[kind](random, body, outline)
    made = np.dstack([np.clip(body, 0, 255), 255 * outline])
    return made.astype(np.uint8)


def _round(random: np.random.Generator, width: int) -> Floats:
    """Brightness across a cylinder, with a bright streak."""
    across = np.linspace(-1, 1, width, dtype=np.float32)
    shade = 0.35 + 0.65 * np.sqrt(np.clip(1 - across**2, 0, 1)) ** random.uniform(0.5, 1.2)
    streak = np.exp(-(((across - random.uniform(-0.6, 0.6)) / random.uniform(0.05, 0.2)) ** 2))
    made: Floats = (shade + random.uniform(0, 0.7) * streak)[None, :, None].astype(np.float32)
    return made


def _box(random: np.random.Generator, body: Floats, outline: Floats) -> tuple[Floats, Floats]:
    edge = max(1, body.shape[1] // 25)
    body[:, :edge] *= random.uniform(0.5, 1.2)
    body[:, -edge:] *= random.uniform(0.4, 1.0)
    body[:edge] *= random.uniform(0.8, 1.3)
    if random.random() < 0.25:
        _tray(random, body)
    return body, outline


def _tray(random: np.random.Generator, body: Floats) -> None:
    """The low front of a shelf-ready carton."""
    lip = int(body.shape[0] * random.uniform(0.08, 0.3))
    if lip:
        body[-lip:] = np.array(colour(random), np.float32) * np.linspace(1, 0.8, lip)[:, None, None]


def _can(random: np.random.Generator, body: Floats, outline: Floats) -> tuple[Floats, Floats]:
    height, width = outline.shape
    rim = max(1, int(height * random.uniform(0.02, 0.08)))
    metal = np.float32([random.uniform(120, 230)] * 3)
    body[:rim], body[-rim:] = metal, metal * 0.8
    body *= _round(random, width)
    return body, outline * _corners(width, height, max(1, width // 10))


def _bottle(random: np.random.Generator, body: Floats, outline: Floats) -> tuple[Floats, Floats]:
    height, width = outline.shape
    liquid = np.array(colour(random), np.float32)
    label_top, label_end = int(height * random.uniform(0.3, 0.5)), int(height * random.uniform(0.75, 1))
    body[:label_top] = liquid
    body[label_end:] = liquid
    cap = int(height * random.uniform(0.05, 0.13))
    body[:cap] = colour(random)
    neck, shoulder = random.uniform(0.2, 0.5), random.uniform(0.12, 0.35)
    down = np.linspace(0, 1, height)[:, None]
    rise = np.clip((down - shoulder * 0.5) / (shoulder * 0.7), 0, 1)
    half = neck + (1 - neck) * (rise * rise * (3 - 2 * rise))
    outline *= (np.abs(np.linspace(-1, 1, width))[None] <= half).astype(np.float32)
    return body * _round(random, width), outline


def _jar(random: np.random.Generator, body: Floats, outline: Floats) -> tuple[Floats, Floats]:
    height, width = outline.shape
    lid = int(height * random.uniform(0.1, 0.25))
    body[:lid] = colour(random)
    body[lid : lid + max(1, height // 20)] *= 0.5
    return body * _round(random, width), outline * _corners(width, height, max(1, width // 6))


def _tub(random: np.random.Generator, body: Floats, outline: Floats) -> tuple[Floats, Floats]:
    height, width = outline.shape
    lid = int(height * random.uniform(0.1, 0.3))
    body[:lid] = colour(random)
    half = np.where(np.arange(height) < lid, 1, np.linspace(0.97, random.uniform(0.75, 1), height))[:, None]
    outline *= (np.abs(np.linspace(-1, 1, width))[None] <= half).astype(np.float32)
    return body * _round(random, width), outline


def _carton(random: np.random.Generator, body: Floats, outline: Floats) -> tuple[Floats, Floats]:
    height, width = outline.shape
    roof = int(height * random.uniform(0.1, 0.2))
    half = np.clip(np.linspace(random.uniform(0.6, 0.9), 1 + height / max(1, roof) * 0.3, height), 0, 1)
    outline *= (np.abs(np.linspace(-1, 1, width))[None] <= half[:, None]).astype(np.float32)
    body[:roof] *= random.uniform(0.6, 1.2)
    if random.random() < 0.5:
        cv2.circle(body, (width // 2, roof // 2 + 1), max(1, width // 6), colour(random), -1)
    return _box(random, body, outline)


def _bag(random: np.random.Generator, body: Floats, outline: Floats) -> tuple[Floats, Floats]:
    height, width = outline.shape
    crinkle = random.normal(0, random.uniform(0.1, 0.4), (random.integers(3, 9), random.integers(2, 6)))
    folds = cv2.resize(crinkle.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    body *= (1 + folds)[..., None]
    gloss = cv2.resize(np.abs(random.normal(0, 1, (7, 5))).astype(np.float32), (width, height)) > 1.7
    body[gloss] += random.uniform(10, 80)
    wave = 1 - np.abs(np.sin(np.linspace(0, 9 * random.random(), height) + 6 * random.random())) * 0.12
    swell = 0.86 + 0.14 * np.sin(np.linspace(0.2, np.pi - 0.2, height))
    outline *= (np.abs(np.linspace(-1, 1, width))[None] <= (wave * swell)[:, None]).astype(np.float32)
    seam = max(1, int(height * random.uniform(0.03, 0.1)))
    body[:seam] *= random.uniform(0.7, 1.3)
    return body * (0.75 + 0.25 * _round(random, width)), outline


def _corners(width: int, height: int, radius: int) -> Floats:
    """A rectangle with rounded corners as 0 and 1."""
    mask = np.zeros((height, width), np.uint8)
    cv2.rectangle(mask, (0, radius), (width, max(radius, height - radius - 1)), 1, -1)
    cv2.rectangle(mask, (radius, 0), (max(radius, width - radius - 1), height), 1, -1)
    for x in (radius, width - radius - 1):
        for y in (radius, height - radius - 1):
            cv2.circle(mask, (x, y), radius, 1, -1)
    return mask.astype(np.float32)


_Shape = Callable[[np.random.Generator, Floats, Floats], tuple[Floats, Floats]]
_SHAPES: dict[str, _Shape] = {
    "box": _box,
    "can": _can,
    "bottle": _bottle,
    "jar": _jar,
    "tub": _tub,
    "carton": _carton,
    "bag": _bag,
}
