"""Known output families of detectors: how each wants its picture and what its numbers mean.

A family turns one BGR picture into candidate boxes, before overlapping ones are merged: float32
[n, 5] with left, top, right, bottom in pixels of the picture and the score of being a person.
"""

from __future__ import annotations

from typing import Protocol

from edge_agent.config.cameras import FAMILIES, VisionModel
from edge_agent.contract.errors import ModelError
from edge_agent.vision.families.d_fine import DFine
from edge_agent.vision.families.nanodet import NanoDet
from edge_agent.vision.families.picture import Boxes, Picture
from edge_agent.vision.families.rf_detr import RfDetr
from edge_agent.vision.families.ssd import Ssd
from edge_agent.vision.families.yolo import Yolo
from edge_agent.vision.families.yolox import Yolox
from edge_agent.vision.model import Family, Session

__all__ = ["Boxes", "Decoder", "Picture", "decoder"]


class Decoder(Protocol):
    """One loaded detector of a family."""

    def candidates(self, picture: Picture, lowest_score: float) -> Boxes:
        """Boxes of people that score at least `lowest_score`."""
        ...


_KINDS: dict[Family, type[Ssd | NanoDet | Yolox | Yolo | RfDetr | DFine]] = {
    "ssd": Ssd,
    "nanodet": NanoDet,
    "yolox": Yolox,
    "yolov8": Yolo,
    "yolov9": Yolo,
    "yolo11": Yolo,
    "rf-detr": RfDetr,
    "d-fine": DFine,
}


def decoder(session: Session, family: Family, chosen: VisionModel) -> Decoder:
    """A decoder of `family` for `session`, as `chosen` wants it.

    ModelError when the model does not take or give what the family does; its hint names the families
    that the model looks like.
    """
    try:
        return _KINDS[family](session, family, chosen)
    except ModelError as error:
        alike = _alike(session, chosen, but=family)
        if not alike:
            raise
        raise ModelError(
            error.message, hint=f"it looks like {' or '.join(alike)}: set model.family to that"
        ) from error


def _alike(session: Session, chosen: VisionModel, *, but: Family) -> list[Family]:
    """The other families whose decoder takes the model."""
    fits = {kind: _takes(kind, session, chosen) for kind in set(_KINDS.values()) - {_KINDS[but]}}
    return [family for family in FAMILIES if fits.get(_KINDS[family])]


def _takes(
    kind: type[Ssd | NanoDet | Yolox | Yolo | RfDetr | DFine], session: Session, chosen: VisionModel
) -> bool:
    family = next(family for family in FAMILIES if _KINDS[family] is kind)
    try:
        kind(session, family, chosen)
    except ModelError:
        return False
    return True
