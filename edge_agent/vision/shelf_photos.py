"""Finds empty places in single photos: free boxes as suggestions, and the places that somebody drew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from edge_agent.config.cameras import Outline
from edge_agent.contract.errors import ConfigError
from edge_agent.contract.planogram import Identifier
from edge_agent.vision.families import Boxes, Picture
from edge_agent.vision.gap_net import GapNet
from edge_agent.vision.gap_vote import OPENS_AT
from edge_agent.vision.photo import read_photo
from edge_agent.vision.shelf import Shelf, shelf_of
from edge_agent.vision.shelf_baseline import Baseline
from edge_agent.vision.slot import Corners
from edge_agent.vision.slot_score import SlotSeen
from edge_agent.vision.snapshot import baseline_of, snapshot_of

LEAST_TOLD, LIKELY = 0.2, 0.4
"""Programs get all boxes with their scores, people the likely ones. At IoU 0.3, on 14 photos that the net
never saw, with 23 gaps: 22 found and 82 false ones from the first score on, 18 and 7 from the second."""
_FACINGS = TypeAdapter(dict[Identifier, Outline])


@dataclass(frozen=True, slots=True)
class PhotoFound:
    """`boxes` [n, 5] are suggestions: left, top, right, bottom in pixels and the score, best first."""

    picture: Picture
    boxes: Boxes
    facings: Mapping[str, SlotSeen]

    @property
    def likely(self) -> Boxes:
        """The boxes to show to people, [n, 5]."""
        return self.boxes[self.boxes[:, 4] >= LIKELY]

    def facts(self, image: str) -> dict[str, object]:
        """As `edge-agent shelf-gaps --json` prints it."""
        return {
            "image": image,
            "gaps": [
                {"box": [round(float(side), 1) for side in box[:4]], "score": round(float(box[4]), 3)}
                for box in self.boxes
            ],
            "facings": {
                facing: {"fill": round(seen.fill, 3), "gap": is_gap(seen)}
                for facing, seen in self.facings.items()
            },
        }


def is_gap(seen: SlotSeen) -> bool:
    """Whether one photo is enough to call the place empty; a camera waits for three of five."""
    return seen.score >= OPENS_AT


class ShelfPhotos:
    """Judges photos by drawn places, beside a photo of the stocked shelf if there is one."""

    def __init__(self, facings: Mapping[str, Corners], baseline: Path | None = None) -> None:
        """Raises ConfigError when the baseline is no photo, AssetsMissing or ModelError for the net."""
        self._net, self._facings = GapNet(), facings
        self._stocked = read_photo(baseline) if baseline is not None and facings else None
        self._name = baseline.name if baseline is not None else ""
        self._taken: Baseline | None = None

    def look(self, picture: Picture) -> PhotoFound:
        """One BGR photo. ConfigError when a place reaches beyond it, or the baseline has another size."""
        boxes = self._net.look(picture).boxes
        boxes = boxes[boxes[:, 4] >= LEAST_TOLD]
        if not self._facings:
            return PhotoFound(picture, boxes, {})
        height, width = picture.shape[:2]
        shelf = shelf_of(self._facings, (width, height))
        snapshot = snapshot_of(self._net, shelf, picture, self._baseline(shelf))
        if (why := snapshot.alignment.moved) is not None:
            raise ConfigError(f"it does not lie over the baseline: {why}", hint="draw the places anew")
        return PhotoFound(picture, boxes, snapshot.seen)

    def _baseline(self, shelf: Shelf) -> Baseline | None:
        """Taken once: all photos that fit it have one size."""
        if self._stocked is None:
            return None
        shelf.fits(self._stocked, self._name)
        if self._taken is None:
            self._taken = baseline_of(self._net, shelf, self._stocked)
        return self._taken


def read_facings(path: Path) -> dict[str, Outline]:
    """Facing to polygon from a JSON or YAML file, bare or under `facings:` as in store.yaml. ConfigError."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is not there", hint="see --facings") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="see --facings") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is neither JSON nor YAML: {error}", hint=_SHAPE) from error
    inner = values.get("facings") if isinstance(values, dict) else None
    try:
        return _FACINGS.validate_python(inner if isinstance(inner, dict) else values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: {where}: {first['msg']}".replace(": : ", ": "), hint=_SHAPE) from error


_SHAPE = "write {A1-01: [[10, 10], [90, 10], [90, 200], [10, 200]], …}: corners in pixels of the photo"
