"""Stands products on one shelf row and leaves gaps: the truth is made here."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from gap.products import KINDS, Sprite, sprite
from gap.scene import Quads, quad
from gap.textures import Textures
from gap.walls import Canvas, Fittings

_NARROWEST = 7


@dataclass(frozen=True, slots=True)
class Filling:
    """How full the rows are: chances of a gap and of a facing pushed back, loose spacing, widest gap."""

    gap: float
    pushed_back: float
    spacing: float
    widest: int


@dataclass(slots=True)
class Run:
    """A stretch of the row: one facing, or a gap where `face` is None."""

    left: float
    right: float
    size: tuple[int, int] = (0, 0)
    face: Sprite | None = None
    depth: float = 0.0
    levels: int = 1


@dataclass(slots=True)
class Row:
    """A row's inside on the picture, from `top` down to its board, and what was found true of it."""

    inside: Canvas
    top: int
    gaps: list[Quads] = field(default_factory=list)
    ignored: list[Quads] = field(default_factory=list)
    stocked: list[Quads] = field(default_factory=list)

    def add(self, other: Row, shift: Quads) -> None:
        """Take over the truth of another row, moved by `shift` x, y."""
        self.gaps += [place + shift for place in other.gaps]
        self.ignored += [place + shift for place in other.ignored]
        self.stocked += [place + shift for place in other.stocked]


def filling(random: np.random.Generator) -> Filling:
    """A shop by chance: from completely full to half empty."""
    return Filling(
        gap=float(random.choice([0, 0.04, 0.1, 0.2, 0.45], p=[0.15, 0.25, 0.3, 0.2, 0.1])),
        pushed_back=float(random.choice([0, 0.05, 0.15])),
        spacing=float(random.choice([0.0, 0.03, 0.15], p=[0.4, 0.4, 0.2])),
        widest=int(random.integers(1, 5)),
    )


def stock(random: np.random.Generator, row: Row, fit: Fittings, textures: Textures, full: Filling) -> None:
    """Draw products into `row` and write down its gaps."""
    runs = _plan(random, row, textures, full)
    for run in sorted(runs, key=lambda r: -abs((r.left + r.right) / 2 - fit.eye[0])):
        if run.face is None:
            _fill_with_real(random, row, textures, run)
            _leave_over(random, row, fit, textures, run)
        else:
            _draw(random, row, fit, run, run.face)
    heights = [run.size[1] * run.levels for run in runs]
    for place, run in enumerate(runs):
        _judge(random, row, run, max(heights[max(0, place - 1) : place + 2]))


def _plan(random: np.random.Generator, row: Row, textures: Textures, full: Filling) -> list[Run]:
    """Facings and gaps from left to right; two gaps never touch."""
    height, width = row.inside.shape[:2]
    runs: list[Run] = []
    tall = random.uniform(0.45, 1.0)
    slim = random.uniform(0.35, 1.2)
    kinds = random.choice(KINDS, 3)
    x = -random.uniform(0, height * 0.3)
    while x < width:
        size = _size(random, height, tall, slim)
        last_was_gap = bool(runs) and runs[-1].face is None
        if random.random() < full.gap and not last_was_gap:
            wide = size[0] * random.uniform(0.75, 0.75 + full.widest)
            if random.random() < 0.08:
                wide = width * random.uniform(0.3, 1.1)
            runs.append(Run(x, x + wide))
        else:
            runs.append(_facing(random, x, size, str(random.choice(kinds)), textures))
            runs[-1].levels = int(random.integers(1, max(1, height // size[1]) + 1))
            if random.random() < full.pushed_back:
                runs[-1].depth = random.uniform(0.3, 0.9)
        x = runs[-1].right + size[0] * random.uniform(0, full.spacing)
    return runs


def _size(random: np.random.Generator, height: int, tall: float, slim: float) -> tuple[int, int]:
    product = int(height * np.clip(tall * random.uniform(0.8, 1.15), 0.2, 0.97))
    if random.random() < 0.12:
        product = int(height * random.uniform(0.2, 0.5))
    wide = int(product * np.clip(slim * random.uniform(0.6, 1.4), 0.25, 2.2))
    return max(6, wide), max(6, product)


def _facing(
    random: np.random.Generator, x: float, size: tuple[int, int], kind: str, textures: Textures
) -> Run:
    columns = int(random.integers(1, 5))
    face = sprite(random, textures.face(random), size, kind)
    return Run(x, x + size[0] * columns, size, face, depth=random.uniform(0, 0.06))


def _draw(random: np.random.Generator, row: Row, fit: Fittings, run: Run, face: Sprite) -> None:
    """The columns of a facing, those far from the eye first; behind each front item stands another."""
    columns = np.arange(run.left, run.right - 1, run.size[0])
    for x in sorted(columns, key=lambda left: -abs(left + run.size[0] / 2 - fit.eye[0])):
        own = run.depth + random.uniform(0, 0.03)
        for level in range(run.levels - int(random.random() < 0.1 and run.levels > 1)):
            for depth in (own + 0.35, own):
                if depth < 1:
                    place(random, row, fit, face, (x, level * run.size[1], depth))


def place(
    random: np.random.Generator, row: Row, fit: Fittings, face: Sprite, at: tuple[float, float, float]
) -> None:
    """Draw `face` at left x, height above the board and depth (0 front, 1 back wall), with the side seen."""
    x, above, depth = at
    height = row.inside.shape[0]
    tall, wide = face.shape[:2]
    front, rear = (1 - (1 - fit.back) * min(1.0, d) for d in (depth, depth + 0.3))
    corners = quad(x, height - above - tall, x + wide, height - above)
    eye = np.float32([fit.eye[0], fit.eye[1] - row.top])
    near, far = eye + (corners - eye) * front, eye + (corners - eye) * rear
    dim = float(1 - 0.75 * depth * random.uniform(0.6, 1)) * random.uniform(0.92, 1.05)
    _side(row.inside, near, far, face, dim)
    left, top, right, bottom = np.round([*near[0], *near[2]]).astype(int)
    scaled = cv2.resize(face, (max(1, right - left), max(1, bottom - top)), interpolation=cv2.INTER_AREA)
    paste(row.inside, scaled, (left, top), dim)


def _side(inside: Canvas, near: Quads, far: Quads, face: Sprite, dim: float) -> None:
    shade = np.asarray(face[face.shape[0] // 2, :, :3], np.float32).mean(axis=0) * dim
    sides = [(0, 3, 0.55), (1, 2, 0.55), (0, 1, 0.9)]
    for first, second, light in sides:
        shape = np.int32([near[first], near[second], far[second], far[first]])
        cv2.fillConvexPoly(inside, shape, (shade * light).tolist(), cv2.LINE_AA)


def paste(canvas: Canvas, face: Sprite, at: tuple[int, int], dim: float) -> None:
    """Lay the sprite on the canvas with its left top corner at `at`, cut at the canvas's edges."""
    left, top = max(0, at[0]), max(0, at[1])
    right, bottom = (min(at[i] + face.shape[1 - i], canvas.shape[1 - i]) for i in (0, 1))
    if right <= left or bottom <= top:
        return
    part = face[top - at[1] : bottom - at[1], left - at[0] : right - at[0]]
    cover = part[..., 3:].astype(np.float32) / 255
    under = canvas[top:bottom, left:right]
    under += cover * (part[..., :3] * np.float32(dim) - under)


def _leave_over(random: np.random.Generator, row: Row, fit: Fittings, textures: Textures, run: Run) -> None:
    """Sometimes something small is left deep in a wide gap, or a ticket or carton lies on its floor."""
    height, wide = row.inside.shape[0], run.right - run.left
    if wide < height * 0.5 or random.random() > 0.3:
        return
    size = (int(wide * random.uniform(0.1, 0.35)), int(height * random.uniform(0.08, 0.6)))
    left = random.uniform(run.left, run.right - size[0])
    face = sprite(
        random, textures.face(random), (max(3, size[0]), max(3, size[1])), str(random.choice(KINDS))
    )
    place(random, row, fit, face, (left, 0, random.uniform(0.55, 0.95)))


def _fill_with_real(random: np.random.Generator, row: Row, textures: Textures, run: Run) -> None:
    """Some gaps look as one does in a real photo."""
    height, width = row.inside.shape[:2]
    left, right = int(max(0, run.left)), int(min(width, run.right))
    if textures.gap_patches and right - left >= _NARROWEST and random.random() < 0.15:
        patch = textures.gap_patches[random.integers(len(textures.gap_patches))]
        row.inside[:, left:right] = cv2.resize(patch, (right - left, height), interpolation=cv2.INTER_AREA)


def _judge(random: np.random.Generator, row: Row, run: Run, tallest: int) -> None:
    """A gap reaches as high as its neighbours do, or to the board above where they leave little head room."""
    height, width = row.inside.shape[:2]
    left, right = max(0.0, run.left), min(float(width), run.right)
    if right - left < _NARROWEST:
        return
    if run.face is not None:
        if run.depth > 0.25:
            row.ignored.append(_lifted(row, left, 0, right))
        else:
            row.stocked.append(_lifted(row, left, height - run.size[1], right))
        return
    room = max(0.0, height - tallest) if tallest else 0.0
    top = room * random.uniform(0.2, 0.9) if room > 0.15 * height else room * random.uniform(0, 0.5)
    row.gaps.append(_lifted(row, left, top, right))
    if top > 3:
        row.ignored.append(quad(left, row.top, right, row.top + top))


def _lifted(row: Row, left: float, top: float, right: float) -> Quads:
    return quad(left, row.top + top, right, row.top + row.inside.shape[0])
