"""The stocked shelf as a camera remembers it: edges inside the slots and a coarse outline, no picture.

What is kept are edge strengths in 256 steps: for each slot at most 96 pixels a side, and for the area of
the slots at most 320, blurred, to lay pictures over it. It was taken while nobody stood before the shelf.
"""

from __future__ import annotations

import logging
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge_agent.vision.families import Picture
from edge_agent.vision.families.picture import Floats
from edge_agent.vision.slot_signs import SlotView

_log = logging.getLogger(__name__)

_STRONGEST_EDGE = 1.0
FILE = "baseline.npz"


@dataclass(frozen=True, slots=True)
class Baseline:
    """`geometry` is that of the `Shelf` it was taken with; `file` the digest of the picture it came from."""

    geometry: str
    outline: Floats
    views: Mapping[str, SlotView]
    file: str = ""

    def with_views(self, views: Mapping[str, SlotView]) -> Baseline:
        """The same with other views of some facings."""
        return replace(self, views={**self.views, **views})


def save(baseline: Baseline, folder: Path) -> None:
    """Write it into `folder`, as a whole or not at all. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"outline": _packed(baseline.outline)}
    for facing, view in baseline.views.items():
        arrays[f"edges/{facing}"] = _packed(view.edges)
        arrays[f"empty/{facing}"] = _packed(view.empty)
    words = {"geometry": np.array(baseline.geometry), "photo": np.array(baseline.file)}
    part = folder / f"{FILE}.part"
    with part.open("wb") as out:
        np.savez_compressed(out, allow_pickle=False, **words, **arrays)
        out.flush()
        os.fsync(out.fileno())
    part.replace(folder / FILE)


def load(folder: Path, geometry: str) -> Baseline | None:
    """What was saved for this geometry; None without one, or when the slots were drawn anew since."""
    try:
        with (folder / FILE).open("rb") as file, np.load(file, allow_pickle=False) as kept:
            if str(kept["geometry"]) != geometry:
                return None
            names = [name.removeprefix("edges/") for name in kept.files if name.startswith("edges/")]
            views = {
                name: SlotView(_unpacked(kept[f"edges/{name}"]), _unpacked(kept[f"empty/{name}"]))
                for name in names
            }
            return Baseline(geometry, _unpacked(kept["outline"]), views, str(kept["photo"]))
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        _log.warning("%s is damaged, a new baseline is taken: %s", folder / FILE, error)
        return None


def _packed(values: Floats) -> Picture:
    return np.asarray(np.round(np.clip(values / _STRONGEST_EDGE, 0, 1) * 255), np.uint8)


def _unpacked(values: Picture) -> Floats:
    return np.asarray(values, np.float32) * np.float32(_STRONGEST_EDGE / 255)
