"""Draws one posed body into a picture: light, soft edges, its shadow on the floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device_sims.body import Body
from device_sims.garments import SIDES
from device_sims.perspective import Perspective

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

SOFTNESS = 2
"""Figures are drawn this many times larger and averaged down."""

CEILING_LIGHT = np.array([-0.25, -0.45, 0.86])
DOOR_LIGHT = np.array([0.15, 0.95, 0.28])
SHADOW_DRIFT = np.array([0.22, -0.30])
"""Metres that a shadow moves along the floor for each metre of height above it."""


@dataclass(frozen=True, slots=True)
class Sprite:
    """A cut-out with premultiplied colours (h, w, 3), cover (h, w, 3) 0..255, and its top left corner."""

    left: int
    top: int
    colour: Pixels
    cover: Pixels


def draw_figure(body: Body, corners: Floats, view: Perspective) -> Sprite | None:
    """The body with `corners` (n, 3) in the world as `view` sees it; None when it is outside the picture."""
    import cv2

    fine = view.enlarged(SOFTNESS)
    pixels, _ = fine.project(corners)
    box = _box(pixels, fine)
    if box is None:
        return None
    left, top, right, bottom = box
    quads = corners[body.faces]
    normals, towards_eye, distance = _facing(quads, view.eye)
    seen = np.flatnonzero(towards_eye > 0)
    order = seen[np.argsort(body.outer[seen] - distance[seen])]
    shades = _shade(body.colours[order], normals[order]).tolist()
    outlines = np.round((pixels - (left, top))[body.faces[order]] * 8).astype(np.int32)
    canvas = np.zeros((bottom - top, right - left, 4), np.uint8)
    for outline, shade in zip(outlines, shades, strict=True):
        cv2.fillConvexPoly(canvas, outline, shade, lineType=cv2.LINE_8, shift=3)
    small = cv2.resize(
        canvas, ((right - left) // SOFTNESS, (bottom - top) // SOFTNESS), interpolation=cv2.INTER_AREA
    )
    small = cv2.GaussianBlur(small, (3, 3), 0.55)
    cover = cv2.cvtColor(small[:, :, 3], cv2.COLOR_GRAY2BGR)
    return Sprite(left // SOFTNESS, top // SOFTNESS, np.ascontiguousarray(small[:, :, :3]), _bytes(cover))


def draw_shadow(body: Body, corners: Floats, view: Perspective) -> Sprite | None:
    """The soft shadow of the body on the floor, darkest where it touches; black with cover."""
    import cv2

    flat = corners.copy()
    flat[:, :2] += corners[:, 2:3] * SHADOW_DRIFT
    flat[:, 2] = 0.0
    pixels, _ = view.project(flat)
    box = _box(pixels, view, margin=8)
    if box is None:
        return None
    left, top, right, bottom = box
    mask = np.zeros((bottom - top, right - left), np.uint8)
    rings = np.round(pixels - (left, top)).astype(np.int32).reshape(-1, SIDES, 2)
    heights = corners[:, 2].reshape(-1, SIDES).mean(axis=1)
    for ring in sorted(body.links, key=lambda ring: -heights[ring]):
        outline = cv2.convexHull(rings[ring : ring + 2].reshape(-1, 2))
        cv2.fillConvexPoly(mask, outline, max(130.0 - 55.0 * float(heights[ring]), 20.0))
    cover = _bytes(cv2.cvtColor(_bytes(cv2.GaussianBlur(mask, (0, 0), 3.0)), cv2.COLOR_GRAY2BGR))
    return Sprite(left, top, np.zeros_like(cover), cover)


def blend(picture: Pixels, sprite: Sprite) -> tuple[int, int, int, int]:
    """Lay `sprite` over `picture` in place; returns the touched box (left, top, right, bottom)."""
    import cv2

    height, width = sprite.cover.shape[:2]
    box = (sprite.left, sprite.top, sprite.left + width, sprite.top + height)
    under = picture[box[1] : box[3], box[0] : box[2]]
    through = cv2.multiply(under, cv2.bitwise_not(sprite.cover), scale=1 / 255)
    under[:] = cv2.add(through, sprite.colour)
    return box


def _bytes(array: object) -> Pixels:
    return np.asarray(array, dtype=np.uint8)


def _box(pixels: Floats, view: Perspective, margin: int = 2) -> tuple[int, int, int, int] | None:
    """The part of the picture around `pixels`, on whole output pixels; None when there is none."""
    step = SOFTNESS
    low = np.floor(pixels.min(axis=0) / step - margin).astype(int) * step
    high = np.ceil(pixels.max(axis=0) / step + margin).astype(int) * step
    left, top = max(int(low[0]), 0), max(int(low[1]), 0)
    right, bottom = min(int(high[0]), view.width_px), min(int(high[1]), view.height_px)
    return (left, top, right, bottom) if right - left >= step and bottom - top >= step else None


def _facing(quads: Floats, eye: Floats) -> tuple[Floats, Floats, Floats]:
    """Unit outward normals (F, 3), how much each face looks at the eye (F,), and its distance (F,)."""
    normals = np.cross(quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    rays = eye - quads.mean(axis=1)
    return normals, np.sum(normals * rays, axis=1), np.linalg.norm(rays, axis=1)


def _shade(colours: Floats, normals: Floats) -> Floats:
    """BGRA per face: a bright sky above, ceiling lamps, daylight from the door behind."""
    sky = 0.46 + 0.16 * normals[:, 2]
    lamps = 0.52 * np.clip(normals @ CEILING_LIGHT, 0, 1)
    door = 0.34 * np.clip(normals @ DOOR_LIGHT, 0, 1)
    lit = colours * (sky + lamps)[:, None] + np.array([255.0, 248.0, 240.0]) * 0.25 * door[:, None]
    lit += colours * door[:, None]
    return np.column_stack([np.clip(lit, 0, 255), np.full(len(lit), 255.0)])
