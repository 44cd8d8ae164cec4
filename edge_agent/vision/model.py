"""Loads an ONNX person detector: a packed one by name, or the operator's own file of a known family."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge_agent.config import VisionModel
from edge_agent.contract.errors import AssetsMissing, ModelError

if TYPE_CHECKING:
    import onnxruntime

Family = Literal["ssd", "nanodet", "yolox"]

DEFAULT = "nanodet"
PACKED: dict[str, Family] = {"coco-ssd": "ssd", "nanodet": "nanodet"}
FOLDER = Path(__file__).parent / "models"


def load(chosen: VisionModel) -> tuple[onnxruntime.InferenceSession, Family]:
    """The session and family of the `chosen` model.

    One thread: a second one is slower as soon as another process is busy. AssetsMissing when a packed
    model was not built; ModelError when the operator's file cannot be read.
    """
    path, family = locate(chosen)
    try:
        return _session(path), family
    except ModelError:
        raise
    except Exception as error:  # onnxruntime's errors share no base class below Exception
        raise ModelError(
            f"model {path.name} is not an ONNX model that runs here",
            hint="export it to ONNX, opset 11 or later, with float32 inputs and weights",
        ) from error


def locate(chosen: VisionModel) -> tuple[Path, Family]:
    """The file and family of the `chosen` model, without reading it; errors as for `load`."""
    if chosen.path is not None and chosen.family is not None:
        if not chosen.path.is_file():
            raise ModelError(f"model file {chosen.path} is not there", hint="check model.path of the camera")
        return chosen.path, chosen.family
    name = chosen.name or DEFAULT
    path = FOLDER / f"{name}.onnx"
    if not path.is_file():
        raise AssetsMissing(f"the packed model {name} was not built", hint="make setup")
    return path, PACKED[name]


def _session(path: Path) -> onnxruntime.InferenceSession:
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
