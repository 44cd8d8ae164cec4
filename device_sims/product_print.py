"""The printed outside of a simulated package, unrolled flat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from device_sims.looks import Bgr
from device_sims.product_look import ProductLook

Pixels = NDArray[np.uint8]

LABEL = (0.30, 0.66)
"""From which to which share of its height a bottle is labelled."""
CAP = 0.93
"""The share of its height at which a bottle's cap begins."""
_METAL: Bgr = (196, 194, 190)
_BLACK: Bgr = (40, 36, 34)
_WHITE: Bgr = (238, 240, 240)


def print_of(look: ProductLook, width_px: int, height_px: int) -> Pixels:
    """BGR (height, width, 3): the whole way round of a round package, the front of another."""
    sheet = np.empty((height_px, width_px, 3), np.uint8)
    match look.kind:
        case "bottle":
            _bottle(sheet, look)
        case "can":
            sheet[:] = look.ground
            _twice(sheet, look)
            edge = max(round(height_px * 0.035), 1)
            sheet[:edge] = sheet[-edge:] = _METAL
        case "bag":
            _artwork(sheet, look)
            seal = max(round(height_px * 0.045), 2)
            sheet[:seal] = sheet[-seal:] = _mixed(look.ground, _WHITE, 0.35)
            sheet[:seal:3] = sheet[-seal::3] = _mixed(look.ground, _BLACK, 0.2)
        case "box":
            _artwork(sheet, look)
    return sheet


def _bottle(sheet: Pixels, look: ProductLook) -> None:
    height = len(sheet)
    sheet[:] = look.liquid
    air = slice(round((1 - CAP) * height), round((1 - CAP + 0.09) * height))
    sheet[air] = _mixed(look.liquid, (206, 206, 202), 0.55)
    sheet[: round((1 - CAP) * height)] = look.accent
    label = sheet[round((1 - LABEL[1]) * height) : round((1 - LABEL[0]) * height)]
    label[:] = look.ground
    _twice(label, look)
    label[:2] = label[-2:] = look.accent
    foot = round(0.06 * height)
    sheet[-foot:] = _mixed(look.liquid, _BLACK, 0.3)


def _twice(sheet: Pixels, look: ProductLook) -> None:
    """Front and back of what can be turned carry the same artwork."""
    half = sheet.shape[1] // 2
    art = np.empty((len(sheet), half, 3), np.uint8)
    _artwork(art, look)
    sheet[:, :half] = art
    sheet[:, half : 2 * half] = art


def _artwork(sheet: Pixels, look: ProductLook) -> None:
    """Ground, motif, brand and small print; `sheet` is contiguous."""
    import cv2

    height, width = sheet.shape[:2]
    sheet[:] = look.ground
    middle = (width // 2, round(height * 0.56))
    reach = round(min(width, height) * 0.30)
    match look.motif:
        case "disc":
            cv2.circle(sheet, middle, reach, look.accent, -1, cv2.LINE_AA)
            cv2.circle(sheet, middle, round(reach * 0.6), _mixed(look.accent, _WHITE, 0.5), -1, cv2.LINE_AA)
        case "band":
            top, bottom = round(height * 0.46), round(height * 0.72)
            cv2.rectangle(sheet, (0, top), (width, bottom), look.accent, -1)
            cv2.rectangle(sheet, (0, top), (width, top + max(height // 40, 1)), _WHITE, -1)
        case "slope":
            corners = [(0, height), (0, round(height * 0.72)), (width, round(height * 0.42)), (width, height)]
            cv2.fillPoly(sheet, [np.array(corners)], look.accent, cv2.LINE_AA)
        case "rays":
            for angle in np.arange(0, 2 * np.pi, np.pi / 6):
                beam = [
                    middle,
                    *(
                        (middle[0] + 2 * width * np.cos(a), middle[1] + 2 * width * np.sin(a))
                        for a in (angle, angle + np.pi / 12)
                    ),
                ]
                cv2.fillPoly(sheet, [np.array(beam, np.int32)], _mixed(look.ground, look.accent, 0.45))
            cv2.circle(sheet, middle, round(reach * 0.75), look.accent, -1, cv2.LINE_AA)
    _words(sheet, look)


def _words(sheet: Pixels, look: ProductLook) -> None:
    height, width = sheet.shape[:2]
    _text(
        sheet, look.brand, (0.5 * width, 0.27 * height), (0.56 if look.is_round else 0.74) * width, look.ink
    )
    for line, share in ((0.86, 0.5), (0.91, 0.36)):
        y, half = round(height * line), round(width * share / 2)
        sheet[y : y + max(height // 90, 1), width // 2 - half : width // 2 + half] = look.ink


def _text(sheet: Pixels, text: str, middle: tuple[float, float], width_px: float, colour: Bgr) -> None:
    import cv2

    font: Any = cv2.FONT_HERSHEY_DUPLEX
    (wide, tall), _ = cv2.getTextSize(text, font, 1.0, 2)
    scale = min(width_px / wide, 0.22 * len(sheet) / tall)
    at = (round(middle[0] - wide * scale / 2), round(middle[1] + tall * scale / 2))
    cv2.putText(sheet, text, at, font, scale, colour, max(round(scale * 2.6), 1), cv2.LINE_AA)


def _mixed(one: Bgr, other: Bgr, share: float) -> Bgr:
    blue, green, red = (round(a * (1 - share) + b * share) for a, b in zip(one, other, strict=True))
    return blue, green, red
