"""What is seen where no product stands: back wall, shelf floor, the shelf above's underside."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gap.textures import colour

Canvas = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Fittings:
    """The shelf of one picture: shades of wall and boards, how far back it goes, what the wall is like.

    `eye` is the vanishing point x, y; `back` the scale of the back wall seen from there (front is 1).
    """

    eye: tuple[float, float]
    back: float
    wall: npt.NDArray[np.float32]
    board: npt.NDArray[np.float32]
    rail: npt.NDArray[np.float32]
    pattern: str
    pitch: int
    gloom: float


def fittings(random: np.random.Generator, width: int, height: int, row: float) -> Fittings:
    """Fittings by chance for a picture of `width` x `height` whose shelf rows are `row` pixels high."""
    eye = (width * random.uniform(-0.2, 1.2), height * random.uniform(-0.1, 1.1))
    pale = random.random() < 0.6
    wall = random.uniform(150, 245) if pale else random.uniform(15, 130)
    board = np.clip(wall + random.normal(0, 50), 30, 250)
    tint = random.uniform(0.92, 1.08, 3)
    painted = random.random() < 0.12
    return Fittings(
        eye=eye,
        back=random.uniform(0.6, 0.93),
        wall=np.float32(colour(random)) if painted else np.float32(wall * tint),
        board=np.float32(board * tint),
        rail=np.float32(colour(random))
        if random.random() < 0.3
        else np.float32(random.uniform(70, 245) * tint),
        pattern=str(
            random.choice(["plain", "plain", "plain", "slots", "slots", "pegs", "mesh", "panels", "cave"])
        ),
        pitch=int(max(3, row * random.uniform(0.04, 0.16))),
        gloom=random.uniform(0.6, 1.05) if random.random() < 0.7 else random.uniform(0.12, 0.6),
    )


def interior(random: np.random.Generator, fit: Fittings, top: int, bottom: int, width: int) -> Canvas:
    """The empty inside of a row between `top` and `bottom`, [bottom - top, width, 3]."""
    height = bottom - top
    inside = _wall(random, fit, height, width)
    inside *= np.linspace(random.uniform(0.3, 1), 1, height)[:, None, None] * fit.gloom
    eye_y = fit.eye[1]
    floor_from = int(np.clip(eye_y + (bottom - eye_y) * fit.back - top, 0, height))
    ceiling_to = int(np.clip(eye_y + (top - eye_y) * fit.back - top, 0, height))
    if floor_from < height:
        _floor(random, fit, inside[floor_from:])
    if ceiling_to > 0:
        shade = fit.board * random.uniform(0.25, 0.8)
        inside[:ceiling_to] = shade * np.linspace(1, 0.7, ceiling_to)[:, None, None]
    return inside


def _wall(random: np.random.Generator, fit: Fittings, height: int, width: int) -> Canvas:
    wall = np.empty((height, width, 3), np.float32)
    wall[:] = fit.wall
    pitch, depth = fit.pitch, random.uniform(0.4, 0.85)
    if fit.pattern == "pegs":
        for dy in range(max(1, pitch // 4)):
            wall[dy::pitch, :: max(2, pitch)] *= depth
    elif fit.pattern == "slots":
        apart = max(30, pitch * int(random.integers(8, 25)))
        for x in range(int(random.integers(apart)), width - 3, apart):
            wall[:, x : x + 2] *= 0.8
            wall[::3, x + 1 : x + 3] *= 0.3
    elif fit.pattern == "mesh":
        _mesh(random, wall, pitch)
    elif fit.pattern == "panels":
        wall[:, :: max(12, pitch * 5)] *= depth
        wall[:: max(8, pitch * 3)] *= depth
    elif fit.pattern == "cave":
        wall *= random.uniform(0.05, 0.3)
    return wall


def _mesh(random: np.random.Generator, wall: Canvas, pitch: int) -> None:
    """Wire, with whatever stands behind it as a dim blur."""
    height, width = wall.shape[:2]
    coarse = random.uniform(20, 150, (max(2, height // 20), max(2, width // 20), 3)).astype(np.float32)
    wall[:] = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * random.uniform(0.3, 1)
    wire = np.float32([random.uniform(60, 230)] * 3)
    wall[:: max(4, pitch * 2)] = wire
    wall[:, :: max(4, int(pitch * random.uniform(1, 2)))] = wire


def _floor(random: np.random.Generator, fit: Fittings, floor: Canvas) -> None:
    height = floor.shape[0]
    front = min(1.0, fit.gloom + random.uniform(0, 0.6))
    floor[:] = fit.board * np.linspace(fit.gloom * random.uniform(0.6, 1), front, height)[:, None, None]
    if random.random() < 0.4:
        apart = max(3, int(random.integers(4, 14)))
        floor[max(0, height - 2 - int(height * 0.2)) :: max(2, height // 2), ::apart] *= 0.5


def rail(random: np.random.Generator, fit: Fittings, height: int, width: int) -> Canvas:
    """The front edge of a board with its price tickets and promotions, [height, width, 3]."""
    edge = np.empty((height, width, 3), np.float32)
    edge[:] = fit.rail * np.linspace(random.uniform(0.9, 1.2), random.uniform(0.5, 1), height)[:, None, None]
    if random.random() < 0.5:
        edge[0] *= 1.3
    edge[-max(1, height // 6) :] *= random.uniform(0.3, 0.9)
    paper = random.choice([[250, 250, 250], [60, 230, 250], [40, 40, 220]], p=[0.75, 0.15, 0.1])
    if random.random() < 0.12:
        edge[1:-1] = colour(random)
    size, x = max(5, int(height * random.uniform(0.9, 2.2))), 0
    while random.random() < 0.97:
        x += int(size * random.uniform(1, 5))
        if x >= width - size:
            break
        _ticket(random, edge, (x, size), np.float32(paper) * random.uniform(0.85, 1))
    return edge


def _ticket(random: np.random.Generator, edge: Canvas, at: tuple[int, int], paper: Canvas) -> None:
    x, size = at
    pad = int(edge.shape[0] * random.uniform(0, 0.2))
    ticket = edge[pad : edge.shape[0] - pad, x : x + size]
    ticket[:] = paper
    rows, columns = ticket.shape[:2]
    if rows < 3 or columns < 5:
        return
    ink = float(random.uniform(0.1, 0.5))
    ticket[1 : max(2, rows // 2), 1 : columns // 2] *= ink
    ticket[rows // 2 :: 2, columns // 2 : -1] *= random.uniform(0.4, 0.9)
