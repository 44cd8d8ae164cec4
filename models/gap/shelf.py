"""A whole shelf picture: rows of a bay, what stands around it, what hangs or walks in front of it."""

from __future__ import annotations

import numpy as np

from gap.clutter import backdrop, in_front
from gap.row import Filling, Row, filling, stock
from gap.scene import NO_QUADS, Quads, Scene, quads
from gap.textures import Textures
from gap.walls import Canvas, Fittings, fittings, interior, rail

_BEHIND = 0.3


def shelf(random: np.random.Generator, textures: Textures) -> Scene:
    """A shelf by chance, seen straight from the front; `camera.seen` turns and lights it."""
    width, height = int(random.integers(380, 641)), int(random.integers(300, 561))
    canvas = backdrop(random, width, height)
    left, top, right, bottom = _bay(random, width, height)
    rows = int(random.choice([1, 2, 3, 4, 5, 6, 7, 9], p=[0.06, 0.12, 0.2, 0.2, 0.16, 0.12, 0.09, 0.05]))
    fit = fittings(random, width, height, (bottom - top) / rows)
    full = filling(random)
    made = Row(canvas, 0)
    y = top - int((bottom - top) / rows * random.uniform(0, 0.9)) * int(top == 0)
    while y < bottom - 12:
        tall = int((bottom - top) / rows * random.uniform(0.75, 1.3))
        row = _one_row(random, canvas[:, left:right], (y, tall), fit, textures, full)
        made.add(row, np.float32([left, 0]))
        y += tall
    _hide(made, in_front(random, canvas, textures))
    truth = (quads(places) for places in (made.gaps, made.ignored, made.stocked))
    return Scene(np.clip(canvas, 0, 255).astype(np.uint8), *truth)


def _hide(made: Row, hidden: list[Quads]) -> None:
    """Gaps mostly behind something are no longer to be found, whole facings no longer to be asked about."""
    for places in (made.gaps, made.stocked):
        behind = [place for place in places if any(_covered(place, cover) > _BEHIND for cover in hidden)]
        places[:] = [place for place in places if not any(place is one for one in behind)]
        made.ignored += behind
    made.ignored += hidden


def _covered(place: Quads, cover: Quads) -> float:
    """The share of the upright rectangle `place` that the rectangle `cover` hides."""
    common = np.minimum(place[2], cover[2]) - np.maximum(place[0], cover[0])
    return float(np.prod(np.maximum(common, 0)) / np.prod(place[2] - place[0]))


def no_shelf(random: np.random.Generator) -> Scene:
    """Floor, ceiling, walls, posters and people without any shelf."""
    canvas = backdrop(random, int(random.integers(380, 641)), int(random.integers(300, 561)))
    return Scene(np.clip(canvas, 0, 255).astype(np.uint8), NO_QUADS, NO_QUADS)


def _bay(random: np.random.Generator, width: int, height: int) -> tuple[int, int, int, int]:
    """Where the shelf is: mostly the whole picture, else with floor, ceiling or an aisle beside it."""
    left = int(width * random.uniform(0, 0.2)) if random.random() < 0.25 else 0
    top = int(height * random.uniform(0, 0.25)) if random.random() < 0.35 else 0
    right = width - (int(width * random.uniform(0, 0.2)) if random.random() < 0.25 else 0)
    bottom = height - (int(height * random.uniform(0, 0.4)) if random.random() < 0.4 else 0)
    return left, top, right, bottom


def _one_row(
    random: np.random.Generator,
    bay: Canvas,
    at: tuple[int, int],
    fit: Fittings,
    textures: Textures,
    full: Filling,
) -> Row:
    """Draw the row that begins at `at` (y, height), and its board; the picture's edge may cut it."""
    y, tall = at
    edge = max(3, int(tall * random.uniform(0.05, 0.2)))
    inside = interior(random, fit, y, y + max(8, tall - edge), bay.shape[1])
    row = Row(inside, y)
    stock(random, row, fit, textures, full)
    _shade(random, inside)
    _guard(random, inside)
    _lay(bay, inside, y)
    _lay(bay, rail(random, fit, edge, bay.shape[1]), y + inside.shape[0])
    return row


def _shade(random: np.random.Generator, inside: Canvas) -> None:
    """The shadow of the board above: darkest at the top, also on the products."""
    reach = random.uniform(0.15, 1)
    down = np.clip(np.linspace(0, 1, inside.shape[0]) / reach, 0, 1)
    darkest = random.uniform(0.4, 1)
    inside *= (darkest + (1 - darkest) * down)[:, None, None].astype(np.float32)


def _guard(random: np.random.Generator, inside: Canvas) -> None:
    """A low wire fence or glass lip at the front edge of some shelves, dividers on others."""
    height = inside.shape[0]
    if random.random() < 0.12:
        high = max(3, int(height * random.uniform(0.1, 0.3)))
        wire = random.uniform(80, 240)
        inside[-high :: max(3, high // 2)] = wire
        inside[-high:, :: max(5, int(height * random.uniform(0.1, 0.6)))] = wire
    elif random.random() < 0.08:
        high = max(2, int(height * random.uniform(0.08, 0.25)))
        inside[-high:] = inside[-high:] * 0.6 + random.uniform(60, 230) * 0.4


def _lay(bay: Canvas, part: Canvas, y: int) -> None:
    top, bottom = max(0, y), min(bay.shape[0], y + part.shape[0])
    if bottom > top:
        bay[top:bottom] = part[top - y : bottom - y]
