"""Draws on a shelf photo what was found in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edge_agent.contract.errors import ConfigError
from edge_agent.vision.families import Picture
from edge_agent.vision.shelf_photos import PhotoFound, is_gap
from edge_agent.vision.slot import Corners

_STOCKED, _GAP, _SUGGESTED = (80, 180, 60), (40, 40, 230), (0, 170, 255)


def overlay(found: PhotoFound, facings: Mapping[str, Corners]) -> Picture:
    """A copy of the photo: drawn places green or, with a gap, red; suggested boxes thin and orange."""
    import cv2

    canvas = found.picture.copy()
    unit = max(1, round(max(canvas.shape[:2]) / 700))
    for left, top, right, bottom, _score in found.boxes:
        cv2.rectangle(canvas, (round(left), round(top)), (round(right), round(bottom)), _SUGGESTED, unit)
    for facing, seen in found.facings.items():
        colour = _GAP if is_gap(seen) else _STOCKED
        points = np.round(np.array(facings[facing])).astype(np.int32)
        cv2.polylines(canvas, [points], isClosed=True, color=colour, thickness=2 * unit)
        x, y = (int(side) for side in points.min(axis=0))
        cv2.putText(
            canvas,
            f"{facing} {seen.fill:.0%}",
            (x + 2 * unit, y + 12 * unit),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.4 * unit,
            colour,
            unit,
            cv2.LINE_AA,
        )
    return canvas


def write_overlay(picture: Picture, path: Path) -> None:
    """As JPEG or PNG by the path's suffix. ConfigError when it cannot be written."""
    import cv2

    _, encoded = cv2.imencode(path.suffix, picture)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", hint="see --overlay") from error
