"""What a camera makes of a scene: view, light, colour, blur, noise, compression, margins."""

from __future__ import annotations

import cv2
import numpy as np

from gap.scene import NO_QUADS, Picture, Quads, Scene, bounds

_SEEN = 0.4
_SMALLEST = 7.0
_MARGINS = ((114, 114, 114), (0, 0, 0), (255, 255, 255), (40, 40, 40))


def seen(random: np.random.Generator, scene: Scene, side: int) -> Scene:
    """The scene as a camera would show it, [side, side, 3]: cut, tilted, perhaps with empty margins."""
    view = _view(random, scene.picture.shape, side)
    margin = _MARGINS[random.integers(len(_MARGINS))]
    edge = cv2.BORDER_REPLICATE if random.random() < 0.3 else cv2.BORDER_CONSTANT
    shrinks = abs(np.linalg.det(view[:2, :2])) ** 0.5
    picture = scene.picture
    if shrinks < 0.8:
        picture = cv2.GaussianBlur(picture, (0, 0), 0.4 / shrinks)
    picture = cv2.warpPerspective(picture, view, (side, side), borderMode=edge, borderValue=margin)
    gaps, lost = _moved(scene.gaps, view, side)
    ignored, also_ignored = _moved(scene.ignored, view, side)
    stocked, _ = _moved(scene.stocked, view, side)
    return Scene(lit(random, picture), gaps, np.concatenate([lost, ignored, also_ignored]), stocked)


def _view(random: np.random.Generator, shape: tuple[int, ...], side: int) -> Quads:
    """Scale 0.5-2 about fitting, stretch, mirror, turn, tilt."""
    height, width = shape[:2]
    whole, filled = side / max(height, width), side / min(height, width)
    zoom = filled * float(np.exp(random.uniform(np.log(0.9), np.log(1.9))))
    if random.random() < 0.25:
        zoom = whole * random.uniform(0.8, 1.3)
    stretch = float(np.exp(random.normal(0, 0.15)))
    mirror = -1 if random.random() < 0.5 else 1
    turn = np.deg2rad(random.normal(0, 4) if random.random() < 0.8 else random.uniform(-15, 15))
    centre = np.float32([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    scale = np.diag(np.float32([mirror * zoom * stretch, zoom / stretch, 1]))
    cos, sin = np.cos(turn), np.sin(turn)
    turned = np.float32([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    tilt = np.eye(3, dtype=np.float32)
    if random.random() < 0.6:
        tilt[2, :2] = random.normal(0, 0.12, 2) / side
        tilt[0, 1] = random.normal(0, 0.05)
    free = [max(0.0, (length * zoom - side) / 2) + side * 0.08 for length in (width, height)]
    shift = [side / 2 + random.uniform(-reach, reach) for reach in free]
    place = np.float32([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]])
    made: Quads = (place @ tilt @ turned @ scale @ centre).astype(np.float32)
    return made


def _moved(corners: Quads, view: Quads, side: int) -> tuple[Quads, Quads]:
    """The quads in the new picture: those still seen well, and the bits of those that are not."""
    if not len(corners):
        return NO_QUADS, NO_QUADS
    moved = cv2.perspectiveTransform(corners.reshape(-1, 1, 2), view).reshape(-1, 4, 2)
    whole = bounds(moved)
    cut = bounds(np.clip(moved, 0, side))
    width, height = cut[:, 2] - cut[:, 0], cut[:, 3] - cut[:, 1]
    area = np.maximum(1e-3, (whole[:, 2] - whole[:, 0]) * (whole[:, 3] - whole[:, 1]))
    visible = (width > 1) & (height > 1)
    good = (width * height > _SEEN * area) & (np.minimum(width, height) >= _SMALLEST)
    return moved[good], moved[visible & ~good]


def lit(random: np.random.Generator, picture: Picture) -> Picture:
    """Another exposure, white balance, sharpness, noise and JPEG quality."""
    if random.random() < 0.08:
        picture = _hue_moved(random, picture)
    if random.random() < 0.25:
        picture = _coarser(random, picture)
    shades = picture.astype(np.float32)
    if random.random() < 0.5:
        shades *= _light(random, *picture.shape[:2])
    gain = random.uniform(60, 165) / max(20.0, float(np.median(shades))) if random.random() < 0.7 else 1.0
    cast = np.clip(gain, 0.5, 2.5) * random.normal(1, 0.045, 3)
    shades = (shades * cast + random.uniform(-15, 15)).astype(np.float32)
    if random.random() < 0.4:
        shades = 255 * (np.clip(shades, 0, 255) / 255) ** random.uniform(0.6, 1.5)
    if random.random() < 0.4:
        shades = cv2.GaussianBlur(shades, (0, 0), random.uniform(0.3, 1.3))
    if random.random() < 0.6:
        shades = shades + random.standard_normal(shades.shape, np.float32) * np.float32(random.uniform(1, 8))
    made = np.clip(shades, 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(35, 96))]
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", made, quality)[1], 1), np.uint8)


def _hue_moved(random: np.random.Generator, picture: Picture) -> Picture:
    hsv = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV).astype(np.int16)
    hsv[..., 0] = (hsv[..., 0] + random.integers(180)) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * random.uniform(0, 1.4), 0, 255)
    return np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR), np.uint8)


def _coarser(random: np.random.Generator, picture: Picture) -> Picture:
    """As if from a smaller picture."""
    height, width = picture.shape[:2]
    share = random.uniform(0.4, 0.9)
    small = cv2.resize(picture, (int(width * share), int(height * share)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _light(random: np.random.Generator, height: int, width: int) -> Quads:
    """Uneven light: lamps and shadows as a smooth field, [height, width, 1]."""
    coarse = random.uniform(0.6, 1.3, (int(random.integers(2, 5)), int(random.integers(2, 5))))
    field = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(field[..., None], np.float32)
