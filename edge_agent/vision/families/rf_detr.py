"""Family `rf-detr`: boxes as shares of the picture and logits for each class; the picture is stretched."""

from __future__ import annotations

from edge_agent.config.cameras import VisionModel
from edge_agent.vision.families.logits import are_boxes_and_logits, people_of
from edge_agent.vision.families.picture import IMAGENET_RGB, Boxes, Picture, Shades, stretch
from edge_agent.vision.families.trial import input_size, person_class, run, try_empty, wrong
from edge_agent.vision.model import Family, Session

_COCO_PERSON = 1
_WANTED = "dets [1, n, 4] from 0 to 1, then labels [1, n, classes] as logits"


class RfDetr:
    """Outputs `dets`, centre x, centre y, width, height from 0 to 1, and `labels`, a logit for each class.

    roboflow/rf-detr, rfdetr/deploy/export.py: those names, SquareResize, ImageNet's mean and deviation.
    Its COCO weights number classes by COCO's own ids, so that a person is 1; a fine-tuned model from 0.
    """

    def __init__(self, session: Session, family: Family, chosen: VisionModel) -> None:
        self._session = session
        self._size = input_size(session, family, chosen, usual=None)
        self._shades = Shades(chosen.normalisation or IMAGENET_RGB)
        outputs = try_empty(session, self._size, family)
        if len(outputs) != 2 or not are_boxes_and_logits(*outputs):
            raise wrong(family, outputs, _WANTED)
        self._person = person_class(chosen, outputs[1].shape[2], usual=_COCO_PERSON)

    def candidates(self, picture: Picture, lowest_score: float) -> Boxes:
        """See `Decoder`."""
        boxes, logits = run(self._session, self._shades.tensor(stretch(picture, self._size)))
        height, width = picture.shape[:2]
        person = logits[0, :, self._person]
        return people_of(boxes[0], person, width=width, height=height, lowest_score=lowest_score)
