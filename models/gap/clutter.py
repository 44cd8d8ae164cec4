"""What is around a shelf and before it: floor, ceiling, posters, people, carts, glass doors."""

from __future__ import annotations

import cv2
import numpy as np

from gap.scene import Quads, quad
from gap.textures import Textures, colour
from gap.walls import Canvas


def backdrop(random: np.random.Generator, width: int, height: int) -> Canvas:
    """A shop without a shelf: ceiling, wall and floor, perhaps posters and people."""
    canvas = np.empty((height, width, 3), np.float32)
    horizon = int(height * random.uniform(0.1, 0.75))
    canvas[:horizon] = colour(random)
    canvas[horizon:] = np.float32([random.uniform(60, 230)] * 3) * random.uniform(0.85, 1.1, 3)
    canvas *= np.linspace(random.uniform(0.6, 1.1), random.uniform(0.6, 1.1), height)[:, None, None]
    _tiles(random, canvas, horizon)
    for _ in range(random.integers(0, 6)):
        _panel(random, canvas, horizon)
    if random.random() < 0.3:
        person(random, canvas)
    return canvas


def _tiles(random: np.random.Generator, canvas: Canvas, horizon: int) -> None:
    height, width = canvas.shape[:2]
    if random.random() < 0.3 or height - horizon < 10:
        return
    ink = float(random.uniform(20, 200))
    vanish = (int(width * random.uniform(0, 1)), int(horizon - height * random.uniform(0, 1)))
    apart = int(random.integers(25, 120))
    for x in range(-2 * width, 3 * width, apart):
        cv2.line(canvas[horizon:], (vanish[0], vanish[1] - horizon), (x, height - horizon), [ink] * 3, 1)
    y = float(horizon)
    while y < height:
        cv2.line(canvas, (0, int(y)), (width, int(y)), [ink] * 3, 1)
        y += 8 + (y - horizon) * random.uniform(0.2, 0.4)


def _panel(random: np.random.Generator, canvas: Canvas, horizon: int) -> None:
    """A poster, lamp, door or dark opening: a plain rectangle that is not a gap."""
    height, width = canvas.shape[:2]
    x, y = int(random.integers(-20, width)), int(random.integers(-20, max(1, horizon)))
    w, h = int(random.integers(15, width // 2)), int(random.integers(8, max(9, height // 3)))
    cv2.rectangle(canvas, (x, y), (x + w, y + h), colour(random), -1)
    if random.random() < 0.4:
        cv2.rectangle(canvas, (x, y), (x + w, y + h), colour(random), int(random.integers(1, 4)))
    if random.random() < 0.4:
        _lettering(random, canvas, (x + 2, y + h // 2), h / 60)


def _lettering(random: np.random.Generator, canvas: Canvas, at: tuple[int, int], scale: float) -> None:
    letters = np.zeros(canvas.shape[:2], np.uint8)
    cv2.putText(letters, "SALE 50", at, 0, scale, 255, 2, cv2.LINE_AA)
    canvas[letters > 128] = colour(random)


def in_front(random: np.random.Generator, canvas: Canvas, textures: Textures) -> list[Quads]:
    """Draw what stands between camera and shelf; the places that it hides."""
    hidden: list[Quads] = []
    if random.random() < 0.12:
        hidden.append(person(random, canvas))
    if random.random() < 0.06:
        hidden.append(_cart(random, canvas))
    if random.random() < 0.1:
        _glass(random, canvas)
    if random.random() < 0.15:
        _wobblers(random, canvas, textures)
    return hidden


def person(random: np.random.Generator, canvas: Canvas) -> Quads:
    """A rough figure seen from behind: legs, coat, head; its bounding quad."""
    height, width = canvas.shape[:2]
    tall = height * random.uniform(0.5, 1.3)
    wide = tall * random.uniform(0.22, 0.35)
    x, top = random.uniform(0, width), height * random.uniform(0, 0.5)
    coat, legs = colour(random), colour(random)
    head = tall * 0.08
    hips, feet = top + tall * 0.55, top + tall
    cv2.rectangle(canvas, _at(x - wide * 0.35, hips), _at(x + wide * 0.35, feet), legs, -1)
    body = [(x - wide * 0.3, top + 2 * head), (x + wide * 0.3, top + 2 * head)]
    body += [(x + wide * 0.5, hips), (x - wide * 0.5, hips)]
    cv2.fillPoly(canvas, [np.int32(body)], coat, cv2.LINE_AA)
    skin = np.float32([120, 150, 200]) * random.uniform(0.3, 1.1)
    cv2.circle(canvas, _at(x, top + head), max(2, int(head)), skin.tolist(), -1, cv2.LINE_AA)
    return quad(x - wide / 2, top, x + wide / 2, feet)


def _cart(random: np.random.Generator, canvas: Canvas) -> Quads:
    height, width = canvas.shape[:2]
    x, y = int(random.uniform(0, width)), int(height * random.uniform(0.5, 0.9))
    side = int(width * random.uniform(0.15, 0.4))
    wire, pitch = [float(random.uniform(60, 220))] * 3, max(4, side // 14)
    for offset in range(0, side, pitch):
        cv2.line(canvas, (x + offset, y), (x + offset - side // 6, y + side), wire, 1)
        cv2.line(canvas, (x, y + offset), (x + side, y + offset), wire, 1)
    cv2.line(canvas, (x, y), (x + side, y), colour(random), max(2, side // 20))
    return quad(x, y, x + side, y + side)


def _glass(random: np.random.Generator, canvas: Canvas) -> None:
    """The doors of a fridge: haze, slanted reflections, frames."""
    height, width = canvas.shape[:2]
    canvas *= random.uniform(0.75, 1)
    canvas += random.uniform(0, 25)
    shine = np.zeros((height, width), np.float32)
    for _ in range(random.integers(1, 5)):
        x, w, slant = random.uniform(-0.2, 1) * width, random.uniform(8, width / 3), random.uniform(-80, 80)
        strip = np.int32([[x, 0], [x + w, 0], [x + w + slant, height], [x + slant, height]])
        cv2.fillPoly(shine, [strip], float(random.uniform(10, 90)))
    canvas += cv2.GaussianBlur(shine, (0, 0), random.uniform(1, 12))[..., None]
    frame = np.float32([random.uniform(10, 200)] * 3)
    for x in np.arange(random.uniform(0, width), width, width * random.uniform(0.35, 0.9)):
        canvas[:, int(x) : int(x + random.uniform(6, 30))] = frame * random.uniform(0.8, 1.1)


def _wobblers(random: np.random.Generator, canvas: Canvas, textures: Textures) -> None:
    """Promotion cards that hang before the products."""
    height, width = canvas.shape[:2]
    for _ in range(random.integers(1, 5)):
        side = int(random.integers(12, 60))
        x, y = int(random.integers(0, max(1, width - side))), int(random.integers(0, max(1, height - side)))
        card = cv2.resize(textures.face(random), (side, side)).astype(np.float32)
        part = canvas[y : y + side, x : x + side]
        part[:] = card[: part.shape[0], : part.shape[1]]


def _at(x: float, y: float) -> tuple[int, int]:
    return int(x), int(y)
