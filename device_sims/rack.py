"""The empty rack, painted once, seen straight from the front: boards, rails with price tags, frame, floor."""

from __future__ import annotations

from random import Random

import numpy as np
from numpy.typing import NDArray

from device_sims.looks import Bgr
from device_sims.shelf_layout import (
    BOARD_DEPTH_MM,
    FRAME_MM,
    RAIL_MM,
    Board,
    Layout,
    Place,
)
from device_sims.shelf_view import Front

Pixels = NDArray[np.uint8]

_TAG_MM = (52.0, 34.0)
_WALL: Bgr = (150, 156, 158)
_FLOOR: Bgr = (176, 178, 178)
_FRAME: Bgr = (66, 62, 58)
_RAIL: Bgr = (214, 214, 210)
_BACK: Bgr = (92, 88, 82)
_PROMOTED: Bgr = (48, 214, 250)
_PAPER: Bgr = (236, 240, 240)
_INK: Bgr = (38, 34, 32)


def paint_rack(layout: Layout, front: Front, seed: int) -> Pixels:
    """The rack without goods, BGR."""
    brush = _Brush(front)
    _surroundings(brush, layout)
    for board in layout.boards:
        _bay(brush, layout, board)
    random = Random(f"{seed}/tags")
    for place in layout.places:
        _tag(brush, place, promoted=random.random() < 0.15)
    return brush.canvas


def overhead_light(rows: int) -> NDArray[np.float64]:
    """How much light each row of a bay gets (rows,), from the top: the board above shades it."""
    return np.interp(np.linspace(0, 1, rows), (0.0, 0.10, 0.35, 1.0), (0.62, 0.80, 1.0, 1.0))


class _Brush:
    """Fills rectangles given in millimetres."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.canvas = np.empty((front.height_px, front.width_px, 3), np.uint8)

    def fill(self, x: tuple[float, float], z: tuple[float, float], *colours: Bgr) -> None:
        """One colour, or several from the top to the bottom that run into each other."""
        front = self.front
        rows = slice(max(round(front.y(z[1])), 0), max(round(front.y(z[0])), 0))
        columns = slice(max(round(front.x(x[0])), 0), max(round(front.x(x[1])), 0))
        area = self.canvas[rows, columns]
        if not area.size:
            return
        stops = np.linspace(0, 1, len(colours))
        share = np.linspace(0, 1, len(area))
        ramp = np.stack([np.interp(share, stops, [c[i] for c in colours]) for i in range(3)], axis=1)
        area[:] = np.round(ramp)[:, None]

    def text(self, words: str, x: tuple[float, float], z_mm: float, tall_mm: float, colour: Bgr) -> None:
        """Words that begin at x, end before the other, and stand on `z_mm`."""
        import cv2

        (wide, tall), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, 1.0, 2)
        scale = self.front.px_per_mm * min(tall_mm / tall, (x[1] - x[0]) / wide)
        at = (round(self.front.x(x[0])), round(self.front.y(z_mm)))
        cv2.putText(
            self.canvas,
            words,
            at,
            cv2.FONT_HERSHEY_DUPLEX,
            scale,
            colour,
            max(round(scale * 2), 1),
            cv2.LINE_AA,
        )


def _surroundings(brush: _Brush, layout: Layout) -> None:
    """Wall, floor, and the frame of the rack."""
    left, top, right, bottom = layout.outline_mm
    far = 10_000.0
    brush.fill((-far, far), (bottom, far), _WALL, _dimmed(_WALL, 0.94))
    for number in range(-20, 21):
        seam = (left + right) / 2 + number * 300.0
        brush.fill((seam, seam + 3), (bottom, far), _dimmed(_WALL, 0.86))
        brush.fill((seam + 3, seam + 5), (bottom, far), _dimmed(_WALL, 1.06))
    brush.fill((-far, far), (bottom, bottom + 70), _dimmed(_WALL, 0.62), _dimmed(_WALL, 0.5))
    brush.fill((-far, far), (-far, bottom), _dimmed(_FLOOR, 0.55), _FLOOR, _FLOOR)
    brush.fill((left - 5, right + 5), (bottom - 26, bottom), _dimmed(_FLOOR, 0.3), _dimmed(_FLOOR, 0.55))
    for side in (left, layout.right_mm):
        brush.fill(
            (side, side + FRAME_MM), (bottom, top), _dimmed(_FRAME, 1.3), _FRAME, _dimmed(_FRAME, 0.75)
        )
    for lamp in (left + FRAME_MM - 7, layout.right_mm + 1):
        brush.fill((lamp, lamp + 6), (0, layout.top_mm), (238, 236, 228), (206, 204, 196))
    brush.fill((layout.left_mm, layout.right_mm), (0, layout.top_mm), _dimmed(_FRAME, 0.8))
    brush.fill((left, right), (layout.top_mm, top), (132, 92, 44), (96, 62, 30))
    brush.fill((left, right), (layout.top_mm + 6, layout.top_mm + 16), (226, 222, 210))
    brush.text("DAILY FRESH", (layout.left_mm + 30, layout.right_mm), layout.top_mm + 42, 34, (232, 232, 226))
    brush.fill((left, right), (bottom, -RAIL_MM), _dimmed(_FRAME, 1.05), _dimmed(_FRAME, 0.6))
    for slot in range(4):
        z = bottom + 24 + slot * 16
        brush.fill((layout.left_mm + 60, layout.right_mm - 60), (z, z + 5), _dimmed(_FRAME, 0.3))


def _bay(brush: _Brush, layout: Layout, board: Board) -> None:
    """The room above one board, with its back wall in the dark, and the rail on its front."""
    front, across = brush.front, (layout.left_mm, layout.right_mm)
    floor, ceiling = board.floor_mm, board.floor_mm + board.clear_mm
    back = max(front.seen_at(floor, BOARD_DEPTH_MM), floor)
    brush.fill(across, (back, ceiling), _dimmed(_BACK, 0.35), _dimmed(_BACK, 0.62), _dimmed(_BACK, 0.7))
    step = 30.0 * front.nearness(BOARD_DEPTH_MM)
    for column in range(int((across[1] - across[0]) / step)):
        x = across[0] + (column + 0.5) * step
        brush.fill((x, x + 1.5), (back, ceiling), _dimmed(_BACK, 0.26), _dimmed(_BACK, 0.5))
    brush.fill(across, (floor, back), (74, 74, 72), (128, 128, 126), (196, 196, 192))
    under = min(front.seen_at(ceiling, BOARD_DEPTH_MM), ceiling)
    if front.eye_mm[0] < ceiling:
        brush.fill(across, (under, ceiling), (92, 92, 90), (40, 40, 38))
    bay = brush.canvas[
        round(front.y(ceiling)) : round(front.y(floor)), round(front.x(across[0])) : round(front.x(across[1]))
    ]
    bay[:] = np.round(bay * overhead_light(len(bay))[:, None, None])
    brush.fill(across, (floor - RAIL_MM, floor), _RAIL, _dimmed(_RAIL, 0.94), _dimmed(_RAIL, 0.8))
    brush.fill(across, (floor - 4, floor), (244, 244, 240))
    brush.fill(across, (floor - RAIL_MM, floor - RAIL_MM + 3), (96, 96, 94))


def _tag(brush: _Brush, place: Place, *, promoted: bool) -> None:
    """A paper tag under the middle of the place: price, name, bar code."""
    spot, (width, height) = place.spot, _TAG_MM
    width = min(width, spot.width_mm * 0.8)
    x, z = spot.x_mm + spot.width_mm * 0.5 - width / 2, place.floor_mm - RAIL_MM + 4
    brush.fill((x - 0.8, x + width + 0.8), (z - 1, z + height), (150, 150, 148))
    brush.fill((x, x + width), (z, z + height), _PROMOTED if promoted else _PAPER)
    random = Random(f"{spot.gtin}/price")
    price = f"{random.choice((2, 3, 4, 5, 6, 8, 9, 12))}.{random.choice(('50', '90', '00', '80'))}"
    brush.text(price, (x + 3, x + width * 0.68), z + 9, 13, _INK)
    brush.text(place.look.brand, (x + 3, x + width * 0.6), z + height - 8, 5, _INK)
    at = x + width * 0.45
    while at < x + width - 4:
        bar = random.uniform(0.5, 1.6)
        brush.fill((at, at + bar), (z + 2, z + 7), _INK)
        at += bar + random.uniform(0.7, 1.4)


def _dimmed(colour: Bgr, share: float) -> Bgr:
    blue, green, red = (min(round(c * share), 255) for c in colour)
    return blue, green, red
