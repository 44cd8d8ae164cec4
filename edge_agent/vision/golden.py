"""The golden frame: two people at a door, whom a detector must find before it counts anybody.

It is drawn (models/golden_frame.py), so nobody is to be recognised. What fails on it would count nobody, or
everything: a wrong class, shades of another scale, a broken conversion. It does not notice red and blue
swapped, and says nothing of how well a detector does in a crowd.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from edge_agent.contract.errors import AssetsMissing, ModelError
from edge_agent.vision.detect import Detector, overlaps
from edge_agent.vision.families import Boxes, Picture

PICTURE = Path(__file__).with_name("golden.jpg")
PEOPLE = Path(__file__).with_name("golden.json")
LEAST_IOU = 0.5
MOST_FALSE = 1
_HINT = (
    "check person_class, normalisation and input_size of the camera's model; for a model that is trained for "
    "another view, such as from straight above, say model.checked: false"
)


def check_golden(detector: Detector, *, least_score: float) -> None:
    """Let the detector look at the golden frame.

    Each person must be found with IoU 0.5 and `least_score`, from which a new person is believed in, and at
    most one box of that score may show nobody. ModelError says what was found instead.
    """
    picture, people = golden_frame()
    boxes = detector.people(picture)
    boxes = boxes[boxes[:, 4] >= least_score]
    hits = overlaps(people, boxes) >= LEAST_IOU
    found = int(hits.any(axis=1).sum())
    if found < len(people):
        raise ModelError(
            f"it found {_count(found)} on the golden frame, where {len(people)} people stand", hint=_HINT
        )
    false = len(boxes) - found
    if false > MOST_FALSE:
        raise ModelError(f"it found {false} people on the golden frame where nobody stands", hint=_HINT)


def golden_frame() -> tuple[Picture, Boxes]:
    """The picture, and left, top, right, bottom of the people in it [n, 4]. AssetsMissing without it."""
    import cv2

    try:
        content = np.frombuffer(PICTURE.read_bytes(), np.uint8)
        people = json.loads(PEOPLE.read_text(encoding="utf-8"))["people"]
    except OSError as error:
        raise AssetsMissing(
            f"the golden frame is not there: {error.strerror}", hint="install again"
        ) from error
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8), np.array(people, np.float32)


def _count(found: int) -> str:
    return "nobody" if found == 0 else f"{found} of them"
