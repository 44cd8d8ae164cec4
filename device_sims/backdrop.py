"""The empty entrance of a shop, painted once: floor, street, wall, door, shelves, plant and gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device_sims.figure import Sprite, blend
from device_sims.looks import Bgr
from device_sims.perspective import Perspective
from device_sims.walk import DOOR_Y_M

Pixels = NDArray[np.uint8]
Point = tuple[float, float, float]

FINE = 2
"""Everything is painted this many times larger and averaged down."""
FLOOR_PX_PER_M = 90
FLOOR_X_M, FLOOR_END_M = 7.0, 22.0
DOOR_HALF_M, DOOR_TOP_M, WALL_TOP_M, AISLE_M = 1.3, 2.25, 3.6, 3.0
SHELF_END_M, GATE_M, PLANT_M = DOOR_Y_M - 1.6, DOOR_Y_M - 1.25, (-1.85, 3.5)


@dataclass(frozen=True, slots=True)
class Occluder:
    """A thing that hides who is farther away than `y_m`."""

    y_m: float
    sprite: Sprite


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The picture without people, and what can stand in front of them, farthest first."""

    picture: Pixels
    occluders: tuple[Occluder, ...]


def paint_backdrop(view: Perspective, seed: int) -> Backdrop:
    """The entrance as `view` sees it; the seed varies goods, leaves and specks."""
    picture = _ground(view, seed)
    layers = [
        (DOOR_Y_M, _paint(view, Random(seed), _wall)),
        (DOOR_Y_M - 3.0, _paint(view, Random(seed + 1), _shelves)),
        (GATE_M, _paint(view, Random(seed + 2), _gates)),
        (PLANT_M[1], _paint(view, Random(seed + 3), _plant)),
    ]
    occluders = tuple(
        Occluder(depth, _soft_sprite(layer)) for depth, layer in sorted(layers, key=lambda layer: -layer[0])
    )
    lens = _vignette(view)
    lit = tuple(Occluder(o.y_m, _lit(o.sprite, lens)) for o in occluders)
    picture = np.clip(picture * lens, 0, 255).astype(np.uint8)
    for occluder in lit:
        blend(picture, occluder.sprite)
    return Backdrop(picture, lit)


class Brush:
    """Draws flat pieces of the world onto a large BGRA canvas."""

    def __init__(self, view: Perspective, random: Random) -> None:
        self.view = view.enlarged(FINE)
        self.random = random
        self.canvas = np.zeros((self.view.height_px, self.view.width_px, 4), np.uint8)

    def piece(self, corners: Sequence[Point], colour: Sequence[float], cover: int = 255) -> None:
        """A filled polygon; a `cover` below 255 lets through what is behind."""
        import cv2

        pixels, _ = self.view.project(np.array(corners, dtype=float))
        outline = [np.round(pixels * 16).astype(np.int32)]
        if cover == 255:
            cv2.fillPoly(self.canvas, outline, (*colour, 255), shift=4)
            return
        mask = np.zeros(self.canvas.shape[:2], np.uint8)
        cv2.fillPoly(mask, outline, cover, shift=4)
        share = mask[:, :, None] / 255.0
        glass = np.array([*colour, 255.0])
        self.canvas[:] = np.round(self.canvas * (1 - share) + glass * share)

    def upright(
        self, x: tuple[float, float], y: float, z: tuple[float, float], colour: Bgr, cover: int = 255
    ) -> None:
        """A rectangle that faces the camera."""
        self.piece([(x[0], y, z[0]), (x[1], y, z[0]), (x[1], y, z[1]), (x[0], y, z[1])], colour, cover)

    def sideways(
        self, x: float, y: tuple[float, float], z: tuple[float, float], colour: Sequence[float]
    ) -> None:
        """A rectangle that faces the aisle."""
        self.piece([(x, y[0], z[0]), (x, y[1], z[0]), (x, y[1], z[1]), (x, y[0], z[1])], colour)

    def box(
        self, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], colour: Bgr
    ) -> None:
        """A block: its sides, its top and its front, lit a little differently."""
        for plane in (x[0], x[1]):
            self.sideways(plane, y, z, _dimmed(colour, 0.72))
        self.piece(
            [(x[0], y[0], z[1]), (x[1], y[0], z[1]), (x[1], y[1], z[1]), (x[0], y[1], z[1])],
            _dimmed(colour, 1.15),
        )
        self.upright(x, y[0], z, colour)


def _paint(view: Perspective, random: Random, what: Any) -> Pixels:
    brush = Brush(view, random)
    what(brush)
    return brush.canvas


def _ground(view: Perspective, seed: int) -> Pixels:
    """Tiles inside, a mat at the door, pavement and road outside."""
    import cv2

    noise = np.random.default_rng(seed)
    scale = FLOOR_PX_PER_M
    height, width = int(FLOOR_END_M * scale), int(2 * FLOOR_X_M * scale)
    floor = np.empty((height, width, 3), np.float32)
    floor[:] = (172, 184, 192)
    door, tile = int(DOOR_Y_M * scale), int(0.6 * scale)
    tones = noise.normal(0, 4.0, (height // tile + 1, width // tile + 1)).astype(np.float32)
    floor += np.kron(tones, np.ones((tile, tile), np.float32))[:height, :width, None]
    clouds = cv2.resize(
        noise.normal(0, 6, (height // 120, width // 120)).astype(np.float32),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )
    floor += np.asarray(clouds)[:, :, None]
    floor[::tile] = floor[1::tile] = (140, 150, 156)
    floor[:, ::tile] = floor[:, 1::tile] = (140, 150, 156)
    specks = noise.random((height, width)) < 0.02
    floor[specks] -= 22
    _street(floor, noise, scale, door)
    mat = (
        slice(int(GATE_M * scale), door),
        slice(width // 2 - int(1.1 * scale), width // 2 + int(1.1 * scale)),
    )
    floor[mat] = (62, 60, 58)
    floor[mat][:, ::6] = (74, 72, 70)
    glow = np.clip(1.22 - (DOOR_Y_M - np.arange(height) / scale) * 0.055, 0.86, 1.18).astype(np.float32)
    floor[:door] *= glow[:door, None, None]
    _contact_shadows(floor, scale)
    big = view.enlarged(FINE)
    corners_m = np.array([(-2.5, 2.0), (2.5, 2.0), (5.0, 16.0), (-5.0, 16.0)])
    target, _ = big.project(np.column_stack([corners_m, np.zeros(4)]))
    source = (corners_m + np.array([FLOOR_X_M, 0.0])) * scale
    warp = cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32))
    picture = cv2.warpPerspective(
        np.clip(floor, 0, 255),
        warp,
        (big.width_px, big.height_px),
        flags=cv2.INTER_LINEAR,
        borderValue=(196, 196, 190),
    )
    return np.asarray(cv2.resize(picture, (view.width_px, view.height_px), interpolation=cv2.INTER_AREA))


def _contact_shadows(floor: NDArray[np.float32], scale: int) -> None:
    """Less light along the gondolas and under the plant."""
    y, x = np.mgrid[0 : floor.shape[0], 0 : floor.shape[1]].astype(np.float32) / scale
    x -= FLOOR_X_M
    aisle = np.clip((AISLE_M - np.abs(x)) / 0.5, 0, 1)
    aisle[y > SHELF_END_M] = 1
    pot = np.clip(np.hypot(x - PLANT_M[0] - 0.1, y - PLANT_M[1] + 0.1) / 0.55, 0, 1)
    floor *= ((0.72 + 0.28 * aisle) * (0.6 + 0.4 * pot))[:, :, None]


def _street(floor: NDArray[np.float32], noise: np.random.Generator, scale: int, door: int) -> None:
    kerb, far = door + int(3.2 * scale), door + int(9.0 * scale)
    floor[door:kerb] = (205, 210, 212)
    slab = int(0.9 * scale)
    floor[door:kerb:slab] = (178, 184, 186)
    floor[door:kerb, ::slab] = (178, 184, 186)
    floor[kerb : kerb + int(0.2 * scale)] = (226, 228, 228)
    floor[kerb + int(0.2 * scale) : far] = (150, 148, 146)
    floor[far:] = (200, 202, 200)
    floor[door:] += noise.normal(0, 4, floor[door:].shape[:2]).astype(np.float32)[:, :, None]


def _wall(brush: Brush) -> None:
    y, side = DOOR_Y_M, DOOR_HALF_M
    wall, frame, glass = (206, 214, 216), (70, 66, 62), (196, 186, 160)
    brush.upright((-9, -side), y, (0, WALL_TOP_M), wall)
    brush.upright((side, 9), y, (0, WALL_TOP_M), wall)
    brush.upright((-side, side), y, (DOOR_TOP_M, WALL_TOP_M), wall)
    for x in (-1, 1):
        low, high = sorted((x * (side + 0.12), x * 3.9))
        brush.upright((low, high), y, (0.0, 0.32), _dimmed(wall, 0.82))
        brush.upright((low, high), y, (0.32, DOOR_TOP_M), glass)
        for pane in (0.2, 0.52, 0.86):
            start = low + (high - low) * pane
            brush.piece(
                [
                    (start, y, 0.32),
                    (start + 0.22, y, 0.32),
                    (start + 0.52, y, DOOR_TOP_M),
                    (start + 0.3, y, DOOR_TOP_M),
                ],
                (222, 216, 198),
            )
        middle = (low + high) / 2
        for post in (low, middle, high):
            brush.upright((post - 0.035, post + 0.035), y, (0.3, DOOR_TOP_M), frame)
        brush.upright(
            (middle + 0.18, middle + 0.80), y, (0.95, 1.85), (92, 92, 206) if x < 0 else (96, 168, 96)
        )
        brush.upright((middle + 0.26, middle + 0.72), y, (1.45, 1.72), (226, 232, 236))
        brush.upright((x * side - 0.07, x * side + 0.07), y, (0, DOOR_TOP_M), frame)
    brush.upright((-4.0, 4.0), y, (DOOR_TOP_M, DOOR_TOP_M + 0.22), frame)
    brush.upright((-1.0, 1.0), y - 0.02, (DOOR_TOP_M + 0.34, DOOR_TOP_M + 0.62), (74, 120, 52))


def _shelves(brush: Brush) -> None:
    """A gondola on each side of the aisle with rows of packages."""
    start, end, x = 2.0, SHELF_END_M, AISLE_M
    packs: tuple[Bgr, ...] = (
        (60, 60, 190),
        (190, 120, 50),
        (70, 150, 70),
        (60, 170, 220),
        (210, 210, 214),
        (120, 70, 130),
        (90, 150, 200),
    )
    for sign in (-1, 1):
        low, high = sorted((sign * x, sign * (x + 0.9)))
        brush.box((low, high), (start, end), (0.0, 1.5), (150, 152, 156))
        for row in range(4):
            floor = 0.12 + row * 0.36
            brush.sideways(sign * x, (start, end), (floor - 0.05, floor), (196, 198, 202))
            brush.sideways(sign * x, (start, end), (floor, floor + 0.3), (84, 82, 80))
            at = start + 0.03
            while at < end - 0.15:
                colour, width = brush.random.choice(packs), brush.random.uniform(0.07, 0.16)
                tall = brush.random.uniform(0.18, 0.28)
                for _ in range(brush.random.randint(2, 5)):
                    if at + width > end - 0.03:
                        break
                    brush.sideways(sign * x, (at, at + width * 0.92), (floor, floor + tall), colour)
                    brush.sideways(
                        sign * x,
                        (at + width * 0.2, at + width * 0.75),
                        (floor + tall * 0.3, floor + tall * 0.6),
                        _dimmed(colour, 1.35),
                    )
                    at += width


def _gates(brush: Brush) -> None:
    """Anti-theft pedestals: a slim frame with a glass panel."""
    near, far = GATE_M, GATE_M + 0.45
    for x in (-1.45, 1.45):
        brush.piece([(x, near, 0.1), (x, far, 0.1), (x, far, 1.45), (x, near, 1.45)], (214, 210, 196), 120)
        brush.box((x - 0.05, x + 0.05), (near, near + 0.06), (0.0, 1.5), (196, 198, 200))
        brush.box((x - 0.07, x + 0.07), (near - 0.05, far + 0.05), (0.0, 0.10), (88, 86, 84))


def _plant(brush: Brush) -> None:
    x, y = PLANT_M
    for step in range(12):
        angle = step / 12 * 2 * np.pi
        nearer, next_angle = np.sin(angle) < 0.1, angle + 2 * np.pi / 12
        if nearer:
            ring = [
                (x + 0.20 * np.cos(a) * s, y + 0.20 * np.sin(a) * s, z)
                for a, s, z in (
                    (angle, 0.8, 0.0),
                    (next_angle, 0.8, 0.0),
                    (next_angle, 1.0, 0.42),
                    (angle, 1.0, 0.42),
                )
            ]
            brush.piece(ring, _dimmed((92, 104, 122), 0.75 + 0.3 * np.cos(angle)))
    leaves = sorted((brush.random.uniform(0, 2 * np.pi), brush.random.uniform(0.2, 1.25)) for _ in range(46))
    leaves.sort(key=lambda leaf: -np.sin(leaf[0]))
    for angle, lift in leaves:
        _leaf(brush, (x, y, 0.40), angle, lift)


def _leaf(brush: Brush, root: Point, angle: float, lift: float) -> None:
    length, wide = brush.random.uniform(0.45, 0.8), brush.random.uniform(0.035, 0.06)
    out, up = np.array([np.cos(angle), np.sin(angle) * 0.6, 0.0]), np.array([0.0, 0.0, 1.0])
    across = np.array([-np.sin(angle), np.cos(angle), 0.15])
    spine = [
        np.array(root)
        + out * length * share * np.cos(lift * (1 - 0.4 * share))
        + up * length * share * np.sin(lift) * (1.25 - 0.45 * share)
        for share in (0.0, 0.3, 0.65, 1.0)
    ]
    widths = (0.01, wide, wide * 0.8, 0.0)
    tone = brush.random.uniform(0.7, 1.25)
    for sign, shade in ((1, 1.0), (-1, 0.78)):
        edge = [p + across * w * sign for p, w in zip(spine, widths, strict=True)]
        brush.piece([tuple(p) for p in (*spine, *reversed(edge))], _dimmed((62, 120, 58), tone * shade))


def _dimmed(colour: Bgr, share: float) -> Bgr:
    blue, green, red = (min(round(c * share), 255) for c in colour)
    return blue, green, red


def _soft_sprite(layer: Pixels) -> Sprite:
    """The painted layer, cut to what it covers and averaged down, with premultiplied colours."""
    import cv2

    cover = layer[:, :, 3:4].astype(np.float32) / 255
    layer = np.concatenate([np.round(layer[:, :, :3] * cover).astype(np.uint8), layer[:, :, 3:4]], axis=2)
    small = np.asarray(
        cv2.resize(layer, None, fx=1 / FINE, fy=1 / FINE, interpolation=cv2.INTER_AREA), np.uint8
    )
    left, top, width, height = cv2.boundingRect(np.ascontiguousarray(small[:, :, 3]))
    cut = small[top : top + height, left : left + width]
    colour = np.ascontiguousarray(cut[:, :, :3])
    return Sprite(left, top, colour, np.ascontiguousarray(np.repeat(cut[:, :, 3:4], 3, axis=2)))


def _lit(sprite: Sprite, lens: NDArray[np.float32]) -> Sprite:
    height, width = sprite.colour.shape[:2]
    part = lens[sprite.top : sprite.top + height, sprite.left : sprite.left + width]
    return Sprite(sprite.left, sprite.top, np.round(sprite.colour * part).astype(np.uint8), sprite.cover)


def _vignette(view: Perspective) -> NDArray[np.float32]:
    """How much light each pixel gets, (h, w, 1): darker towards the corners."""
    y, x = np.mgrid[0 : view.height_px, 0 : view.width_px].astype(np.float32)
    away = np.hypot(x / view.width_px - 0.5, y / view.height_px - 0.5)
    return np.asarray(1.04 - 0.42 * away**2, np.float32)[:, :, None]
