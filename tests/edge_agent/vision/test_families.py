"""Output families: known numbers become known boxes, and the shades arrive as each family wants them.

The models are small, real and made here: what they give is known. All take 320x320; the picture is 1280x960,
so that it is shrunk to a quarter, or stretched.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent.config.cameras import Family, VisionModel
from edge_agent.contract.errors import ModelError
from edge_agent.vision.detect import Detector

PERSON = (400, 200, 560, 680)
"""In pixels of the picture: 160 wide, 480 high, around (480, 440)."""
WIDTH, HEIGHT = 1280, 960
CELLS = 40 * 40 + 20 * 20 + 10 * 10
SURE = 0.75
CELL_8 = 13 * 40 + 15
"""The cell of stride 8 in column 15 and row 13."""
CELL_16 = 40 * 40 + 6 * 20 + 7
"""The cell of stride 16 in column 7 and row 6; its middle is at (120, 104)."""

KnownModel = Callable[..., Path]


@dataclass(frozen=True)
class Known:
    """Outputs that hold one PERSON of score SURE, and which number is that score."""

    family: Family
    outputs: dict[str, Any]
    score_in: str
    score_at: tuple[int, ...]
    sized: str | None = None

    @property
    def model(self) -> dict[str, Any]:
        return {"outputs": self.outputs, "sized": self.sized}


def yolo_columns(classes: int = 80) -> Any:
    """[1, 4 + classes, cells]: nobody, with the centres all over the input."""
    columns = np.zeros((1, 4 + classes, CELLS), np.float32)
    columns[0, 0], columns[0, 1] = (np.arange(CELLS) * 7) % 320, np.linspace(0, 319, CELLS)
    columns[0, 2:4] = 12
    return columns


def yolov8() -> Known:
    columns = yolo_columns()
    columns[0, :5, 77] = (120, 110, 40, 120, SURE)
    return Known("yolov8", {"output0": columns}, "output0", (0, 4, 77))


def yolov9_transposed() -> Known:
    return Known("yolov9", {"output0": yolov8().outputs["output0"].transpose(0, 2, 1)}, "output0", (0, 77, 4))


def yolo11_of_two_classes_transposed() -> Known:
    """[1, cells, 6] is not taken for an end-to-end export."""
    columns = yolo_columns(classes=2)
    columns[0, :5, 77] = (120, 110, 40, 120, SURE)
    return Known("yolo11", {"output0": columns.transpose(0, 2, 1)}, "output0", (0, 77, 4))


def yolo11_end_to_end() -> Known:
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 0] = (100, 50, 140, 170, SURE, 0)
    rows[0, 1] = (10, 10, 60, 90, 0.9, 16)
    return Known("yolo11", {"output0": rows}, "output0", (0, 0, 4))


def yolox() -> Known:
    raw = np.zeros((1, CELLS, 85), np.float32)
    raw[0, CELL_8, :6] = (0, 0.75, math.log(40 / 8), math.log(120 / 8), 1, SURE)
    return Known("yolox", {"output": raw}, "output", (0, CELL_8, 5))


def nanodet() -> Known:
    raw = np.full((1, CELLS, 1 + 4 * 8), -100, np.float32)
    raw[..., 0] = 0
    raw[0, CELL_16, 0] = SURE
    for edge, pixels in enumerate((20, 54, 20, 66)):
        whole, part = divmod(pixels / 16, 1)
        bins = raw[0, CELL_16, 1 + 8 * edge : 9 + 8 * edge]
        bins[int(whole)], bins[int(whole) + 1] = math.log(1 - part), math.log(part)
    return Known("nanodet", {"output": raw}, "output", (0, CELL_16, 0))


def ssd() -> Known:
    boxes, scores = np.zeros((1, 50, 4), np.float32), np.zeros((1, 50, 90), np.float32)
    boxes[0, 3] = (200 / HEIGHT, 400 / WIDTH, 680 / HEIGHT, 560 / WIDTH)
    scores[0, 3, 0] = SURE
    return Known("ssd", {"boxes": boxes, "scores": scores}, "scores", (0, 3, 0))


def shares() -> Any:
    boxes = np.full((1, 300, 4), 0.5, np.float32)
    boxes[0, 9] = (480 / WIDTH, 440 / HEIGHT, 160 / WIDTH, 480 / HEIGHT)
    return boxes


def logits(classes: int, person: int) -> Any:
    numbers = np.full((1, 300, classes), -9, np.float32)
    numbers[0, 9, person] = math.log(SURE / (1 - SURE))
    return numbers


def rf_detr() -> Known:
    return Known("rf-detr", {"dets": shares(), "labels": logits(91, 1)}, "labels", (0, 9, 1))


def d_fine() -> Known:
    boxes, scores = np.zeros((1, 300, 4), np.float32), np.zeros((1, 300), np.float32)
    labels = np.full((1, 300), 56, np.int64)
    boxes[0, :2] = (400 / WIDTH, 200 / HEIGHT, 560 / WIDTH, 680 / HEIGHT)
    scores[0, :2], labels[0, 1] = (0.95, SURE), 0
    return Known(
        "d-fine", {"labels": labels, "boxes": boxes, "scores": scores}, "scores", (0, 1), sized="boxes"
    )


def d_fine_raw() -> Known:
    return Known("d-fine", {"logits": logits(80, 0), "pred_boxes": shares()}, "logits", (0, 9, 0))


KNOWN = [
    yolov8,
    yolov9_transposed,
    yolo11_of_two_classes_transposed,
    yolo11_end_to_end,
    yolox,
    nanodet,
    ssd,
    rf_detr,
    d_fine,
    d_fine_raw,
]


def blank(blue: int = 0, green: int = 0, red: int = 0) -> Any:
    return np.full((HEIGHT, WIDTH, 3), (blue, green, red), np.uint8)


def detector(path: Path, family: Family, **more: Any) -> Detector:
    return Detector(VisionModel.model_validate({"path": path, "family": family, **more}))


@pytest.mark.parametrize("known", [pytest.param(make(), id=make.__name__) for make in KNOWN])
def test_known_numbers_become_the_known_box_in_pixels_of_the_picture(
    known: Known, known_model: KnownModel
) -> None:
    people = detector(known_model(**known.model), known.family).people(blank())
    assert people.shape == (1, 5)
    assert people[0, :4] == pytest.approx(PERSON, abs=0.1)
    assert people[0, 4] == pytest.approx(SURE, abs=1e-3)


@pytest.mark.parametrize("known", [pytest.param(make(), id=make.__name__) for make in KNOWN])
def test_a_model_under_any_other_family_is_an_error_that_names_its_own(
    known: Known, known_model: KnownModel
) -> None:
    path = known_model(**known.model)
    same = (
        {"yolov8", "yolov9", "yolo11"}
        if known.family.startswith("yolo") and known.family != "yolox"
        else set()
    )
    for family in {make().family for make in KNOWN} - {known.family, *same}:
        with pytest.raises(ModelError, match=f"family {family}|usual one") as caught:
            detector(path, family)
        assert known.family in caught.value.hint, family


# What the first channel of the input holds for a picture of blue 10, green 20, red 200.
RED = 200 / 255
ARRIVES = {
    "yolov8": (yolov8, RED),
    "yolo11": (yolo11_end_to_end, RED),
    "yolox": (yolox, 10.0),
    "nanodet": (nanodet, (10 - 103.53) / 57.375),
    "ssd": (ssd, 200 / 127.5 - 1),
    "rf-detr": (rf_detr, (RED - 0.485) / 0.229),
    "d-fine": (d_fine, RED),
    "d-fine raw": (d_fine_raw, RED),
}


def told_light(
    known: Known, known_model: KnownModel, at: tuple[int, int, int], gain: float, **more: Any
) -> float:
    """The score of the person when it is `gain` times one value of the input; a logit of it for a DETR."""
    outputs = {key: value.copy() for key, value in known.outputs.items()}
    outputs[known.score_in][known.score_at] = 0
    mask = np.zeros_like(outputs[known.score_in])
    mask[known.score_at] = 1
    lit = {known.score_in: (mask, at, gain)}
    path = known_model(outputs, sized=known.sized, lit=lit)
    ((*_, score),) = detector(path, known.family, **more).people(blank(10, 20, 200)).tolist()
    if known.score_in in ("labels", "logits"):
        return math.log(score / (1 - score)) / gain
    return score / gain


@pytest.mark.parametrize("name", ARRIVES)
def test_shades_arrive_in_the_order_and_scale_of_the_family(name: str, known_model: KnownModel) -> None:
    make, expected = ARRIVES[name]
    assert told_light(make(), known_model, (0, 5, 5), 0.6 / expected) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("make", "margin"), [(yolov8, 114 / 255), (yolox, 114.0), (nanodet, -103.53 / 57.375)]
)
def test_the_margin_has_the_shade_of_the_family(
    make: Callable[[], Known], margin: float, known_model: KnownModel
) -> None:
    under_the_picture = (0, 241, 319)
    found = told_light(make(), known_model, under_the_picture, 0.6 / margin)
    assert found == pytest.approx(margin, abs=0.01)


def test_a_normalisation_of_ones_own_replaces_that_of_the_family(known_model: KnownModel) -> None:
    own = {"mean": [0, 0, 100], "sd": [1, 1, 50], "channels": "bgr"}
    light = told_light(yolov8(), known_model, (2, 5, 5), 0.3, normalisation=own)
    assert light == pytest.approx((200 - 100) / 50, abs=0.01)


def test_doubtful_boxes_of_a_detr_may_reach_out_of_the_picture(known_model: KnownModel) -> None:
    """RF-DETR's boxes are not clipped; rfdetr/models/lwdetr.py, bbox_reparam."""
    known = rf_detr()
    known.outputs["dets"][0, 20] = (1.1, -0.2, 0.4, 1.6)
    people = detector(known_model(**known.model), "rf-detr").people(blank())
    assert people[:, :4].tolist() == [pytest.approx(PERSON, abs=0.1)]


def test_another_class_can_be_that_of_people(known_model: KnownModel) -> None:
    path = known_model(**rf_detr().model)
    assert detector(path, "rf-detr", person_class=2).people(blank()).shape == (0, 5)
    assert detector(path, "rf-detr", person_class=1).people(blank()).shape == (1, 5)
    end_to_end = known_model(**yolo11_end_to_end().model)
    ((left, top, *_, score),) = detector(end_to_end, "yolo11", person_class=16).people(blank())
    assert (left, top, score) == pytest.approx((40, 40, 0.9))


def test_a_class_that_the_model_lacks_says_which_there_are(known_model: KnownModel) -> None:
    path = known_model(**yolov8().model)
    with pytest.raises(ModelError, match="80 classes, so there is no class 80") as caught:
        detector(path, "yolov8", person_class=80)
    assert "0 to 79" in caught.value.hint


def test_a_fixed_size_cannot_be_chosen_otherwise(known_model: KnownModel) -> None:
    path = known_model(**yolov8().model)
    assert detector(path, "yolov8", input_size=(320, 320)).people(blank()).shape == (1, 5)
    with pytest.raises(ModelError, match="takes 320x320 only") as caught:
        detector(path, "yolov8", input_size=(640, 640))
    assert "model.input_size" in caught.value.hint


def test_a_free_size_is_chosen_or_asked_for(known_model: KnownModel) -> None:
    free = (1, 3, "height", "width")
    yolo = known_model(yolov8().outputs, shape=free)
    assert detector(yolo, "yolov8", input_size=(320, 320)).people(blank())[0, :4] == pytest.approx(PERSON)
    detr = known_model(rf_detr().outputs, shape=free)
    with pytest.raises(ModelError) as caught:
        detector(detr, "rf-detr")
    assert caught.value.hint == "say model.input_size: [width, height]"


@pytest.mark.parametrize("shape", [(1, 1, 320, 320), (2, 3, 320, 320), (1, 3, 320), (1, 320, 320, 3)])
@pytest.mark.parametrize("make", [yolov8, yolox, nanodet, ssd, rf_detr, d_fine])
def test_an_input_that_is_no_colour_picture_is_a_clear_error(
    make: Callable[[], Known], shape: tuple[int, ...], known_model: KnownModel
) -> None:
    known = make()
    with pytest.raises(ModelError, match=r"needs an input \[1, 3, height, width\]"):
        detector(known_model(known.outputs, shape=shape, sized=known.sized), known.family)


@pytest.mark.parametrize(
    ("family", "outputs"),
    [
        ("yolov8", {"output0": np.zeros((1, 84, CELLS), np.float32)}),  # all centres in one place
        ("yolov8", {"output0": yolo_columns() + np.float32(2)}),  # no shares
        ("yolov8", {"output0": yolo_columns(), "output1": np.zeros((1, 32, 80, 80), np.float32)}),  # masks
        ("yolo11", {"output0": np.full((1, 300, 6), 0.5, np.float32)}),  # a class of 0.5
        ("rf-detr", {"dets": shares() * 320, "labels": logits(91, 1)}),  # boxes in pixels
        ("rf-detr", {"labels": logits(91, 1), "dets": shares()[:, :200]}),
        ("d-fine", {"labels": np.zeros((1, 300), np.int64), "boxes": shares()}),
        ("yolox", {"output": np.full((1, CELLS, 85), 2, np.float32)}),  # objectness of 2
        ("nanodet", {"output": np.full((1, CELLS, 34), 3, np.float32)}),
        ("ssd", {"boxes": shares(), "scores": np.full((1, 300, 90), 7, np.float32)}),
        ("ssd", {"boxes": shares()}),
    ],
)
def test_outputs_that_are_no_familys_say_what_is_wanted(
    family: Family, outputs: dict[str, Any], known_model: KnownModel
) -> None:
    with pytest.raises(ModelError, match=f"not a model of family {family}: it gives .* wanted") as caught:
        detector(known_model(outputs), family)
    assert "rf-detr or d-fine" in caught.value.hint


def test_a_model_that_fails_on_a_live_picture_says_so(known_model: KnownModel) -> None:
    """It reads a pixel far down, which only the square picture has that it was tried with."""
    nothing = np.zeros((1, 3549, 45), np.float32)
    free = (1, 3, "height", "width")
    path = known_model({"output": nothing}, shape=free, lit={"output": (nothing, (0, 400, 0), 1.0)})
    detector = Detector(VisionModel(path=path, family="nanodet", checked=False))
    with pytest.raises(ModelError, match="fails on a picture of 1280x720"):
        detector.people(np.zeros((720, 1280, 3), np.uint8))
