"""Family `ssd`: boxes as shares of the picture and a score for each class; the picture is stretched."""

from __future__ import annotations

from edge_agent.config.cameras import Normalisation, VisionModel
from edge_agent.vision.families.picture import Boxes, Picture, Shades, boxes_of, stretch
from edge_agent.vision.families.trial import are_shares, input_size, person_class, run, try_empty, wrong
from edge_agent.vision.model import Family, Session

_SIDE = 300
_HALVES = Normalisation(mean=(127.5, 127.5, 127.5), sd=(127.5, 127.5, 127.5), channels="rgb")


class Ssd:
    """Outputs `boxes` [1, n, 4], top, left, bottom, right from 0 to 1, and `scores` [1, n, classes].

    That is what our own conversion of SSDLite gives (models/coco-ssd.md); RGB from -1 to 1.
    """

    def __init__(self, session: Session, family: Family, chosen: VisionModel) -> None:
        self._session = session
        self._size = input_size(session, family, chosen, usual=_SIDE)
        self._shades = Shades(chosen.normalisation or _HALVES)
        outputs = try_empty(session, self._size, family)
        wanted = "boxes [1, n, 4] and scores [1, n, classes] between 0 and 1"
        if len(outputs) != 2:
            raise wrong(family, outputs, wanted)
        boxes, scores = outputs
        if boxes.ndim != 3 or scores.ndim != 3 or boxes.shape[2] != 4 or boxes.shape[1] != scores.shape[1]:
            raise wrong(family, outputs, wanted)
        if not are_shares(scores):
            raise wrong(family, outputs, wanted)
        self._person = person_class(chosen, scores.shape[2])

    def candidates(self, picture: Picture, lowest_score: float) -> Boxes:
        """See `Decoder`."""
        boxes, scores = run(self._session, self._shades.tensor(stretch(picture, self._size)))
        person = scores[0, :, self._person]
        kept = person >= lowest_score
        height, width = picture.shape[:2]
        top, left, bottom, right = boxes[0, kept].T
        return boxes_of((left * width, top * height, right * width, bottom * height), person[kept])
