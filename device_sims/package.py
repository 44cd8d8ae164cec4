"""One package as the camera sees it: its shape and the light on it."""

from __future__ import annotations

from random import Random

import numpy as np
from numpy.typing import NDArray

from device_sims.figure import Sprite
from device_sims.product_look import ProductLook
from device_sims.product_print import CAP, print_of

Floats = NDArray[np.float32]

LIGHT_FROM = -0.45
"""Where on a round package, -1 left to 1 right, the lamps of the aisle mirror."""
_CAN = ((0.0, 0.80), (0.03, 0.88), (0.07, 1.0), (0.90, 1.0), (0.96, 0.86), (1.0, 0.84))
_BOTTLE = (
    *((0.0, 0.80), (0.02, 0.92), (0.06, 1.0), (0.28, 1.0), (0.32, 0.96), (0.62, 0.96), (0.68, 1.0)),
    *((0.76, 0.92), (0.84, 0.66), (0.90, 0.42), (CAP - 0.004, 0.40), (CAP, 0.47), (1.0, 0.46)),
)
"""Outlines: at which share of the height how much of the greatest width."""
_LID = np.array([188, 186, 182], np.float32)


def draw_package(look: ProductLook, px_per_mm: float, *, sine_down: float, turn: float) -> Sprite:
    """The package at `px_per_mm`, looked down upon at an angle with this sine; negative from below.

    `turn` in radians counts for round packages. The sprite's `left` and `top` are those of the cut-out with
    the origin at the middle of the ground that it stands on.
    """
    if look.is_round:
        return _round(look, px_per_mm, sine_down, turn)
    return _flat(look, px_per_mm, sine_down)


def _round(look: ProductLook, px_per_mm: float, sine: float, turn: float) -> Sprite:
    """A solid of revolution; whatever faces the camera lies lower in the picture, seen from above."""
    import cv2

    radius, height = look.width_mm / 2 * px_per_mm, look.height_mm * px_per_mm
    above, below = height + abs(sine) * radius + 1, abs(sine) * radius + 1
    rows, reach = int(np.ceil(above + below)), int(np.ceil(radius)) + 1
    up = (above - np.arange(rows, dtype=np.float32))[:, None]
    across = np.arange(-reach, reach + 1, dtype=np.float32)[None, :]
    sheet = print_of(look, max(round(2 * np.pi * radius), 8), max(round(height), 8))
    half = np.maximum(_profile(look, np.clip(up / height, 0, 1)) * radius, 1.0)
    share = np.clip(across / half, -1, 1)
    facing = np.sqrt(1 - share**2)
    at = up + half * facing * sine
    half = np.maximum(_profile(look, np.clip(at / height, 0, 1)) * radius, 1.0)
    share = np.clip(across / half, -1, 1)
    side = (np.clip(half - np.abs(across) + 0.5, 0, 1)).astype(np.float32)
    angle = np.arcsin(share) / (2 * np.pi) + 0.25 + turn / (2 * np.pi)
    column = (angle % 1.0) * (sheet.shape[1] - 1)
    row = np.clip((1 - at / height) * (sheet.shape[0] - 1), 0, sheet.shape[0] - 1)
    colour = np.asarray(
        cv2.remap(sheet, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR), np.float32
    )
    light = 0.44 + 0.56 * np.sqrt(np.clip(1 - share**2, 0, 1)) - 0.08 * share
    gleam = 0.34 * np.exp(-(((share - LIGHT_FROM) / 0.09) ** 2)) + 0.14 * np.exp(
        -(((share - 0.6) / 0.07) ** 2)
    )
    colour = colour * light[:, :, None] + 235 * gleam[:, :, None]
    cover = side * np.clip(at + 0.5, 0, 1) * np.clip(height - at + 0.5, 0, 1)
    lid = _disc(across, up - height, float(_profile(look, np.ones((1, 1), np.float32))[0, 0]) * radius, sine)
    top = _LID if look.kind == "can" else np.array(look.accent, np.float32) * 1.1
    colour = colour * (1 - lid[:, :, None]) + top * lid[:, :, None]
    return _sprite(colour, np.maximum(cover, lid), -reach, -round(above))


def _disc(across: Floats, up: Floats, radius: float, sine: float) -> Floats:
    """Cover of the upper end of a round package; nothing when it is seen from below."""
    if sine <= 0.02:
        return np.zeros((len(up), across.shape[1]), np.float32)
    away = np.sqrt((across / radius) ** 2 + (up / (radius * sine)) ** 2)
    return np.clip((1 - away) * radius * sine + 0.5, 0, 1).astype(np.float32)


def _profile(look: ProductLook, share: Floats) -> Floats:
    """Half width at a share of the height, 1 at its widest."""
    heights, widths = zip(*(_CAN if look.kind == "can" else _BOTTLE), strict=True)
    return np.asarray(np.interp(share, heights, widths), np.float32)


def _flat(look: ProductLook, px_per_mm: float, sine: float) -> Sprite:
    """A box with its upper side, or a bag: a cushion between two seals."""
    width, height = max(round(look.width_mm * px_per_mm), 4), max(round(look.height_mm * px_per_mm), 4)
    front = print_of(look, width, height).astype(np.float32)
    if look.kind == "bag":
        colour, cover = _cushion(look, front)
        return _sprite(colour, cover, -(width // 2), -height)
    across = np.linspace(0.0, 1.0, width, dtype=np.float32)[None, :, None]
    front *= 0.99 - 0.12 * across
    front[:, :2] *= 0.8
    front[:, -2:] *= 0.7
    upper = round(max(sine, 0.0) * look.depth_mm * px_per_mm)
    top = np.empty((upper, width, 3), np.float32)
    top[:] = np.array(look.ground, np.float32) * 0.62 + 70
    cover = np.ones((height + upper, width), np.float32)
    for row in range(upper):
        inset = round((upper - row) * 0.12)
        cover[row, :inset] = cover[row, width - inset :] = 0
    return _sprite(np.concatenate([top, front]), cover, -(width // 2), -height - upper)


def _cushion(look: ProductLook, front: Floats) -> tuple[Floats, Floats]:
    import cv2

    height, width = front.shape[:2]
    noise = np.random.default_rng(Random(f"{look.gtin}/creases").getrandbits(32))
    z = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None]
    u = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :]
    full = np.clip(np.sin(np.pi * z), 0, 1) ** 0.5
    waves = np.interp(z[:, 0], np.linspace(0, 1, 14), noise.normal(0, 0.02, 14))[:, None]
    edge = 0.98 - 0.07 * full**2 + waves
    cover = np.clip((edge - np.abs(u)) * width / 2 + 0.5, 0, 1).astype(np.float32)
    creases = cv2.resize(
        noise.normal(0, 1, (9, 7)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    slope = np.asarray(cv2.Sobel(creases, cv2.CV_32F, 1, 1, ksize=5), np.float32)
    slope /= max(float(np.abs(slope).max()), 1e-6)
    light = 0.62 + 0.36 * full * np.sqrt(np.clip(1 - u**2, 0, 1)) + 0.16 * slope
    gleam = 0.30 * np.exp(-(((u + 0.5 - 0.15 * np.asarray(creases)) / 0.10) ** 2)) * full
    return front * light[:, :, None] + 225 * gleam[:, :, None], cover


def _sprite(colour: Floats, cover: Floats, left: int, top: int) -> Sprite:
    solid = np.repeat(np.round(np.clip(cover, 0, 1) * 255)[:, :, None], 3, axis=2)
    lit = np.clip(colour, 0, 255) * (solid / 255)
    return Sprite(left, top, np.ascontiguousarray(lit.astype(np.uint8)), solid.astype(np.uint8))
