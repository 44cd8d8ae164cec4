"""Loads an ONNX person detector: a packed one by name, or the operator's own file of a known family."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol

from edge_agent.config.cameras import Family, VisionModel
from edge_agent.contract.errors import AssetsMissing, ModelError

__all__ = ["DEFAULT", "FOLDER", "PACKED", "Family", "Session", "load", "locate", "unusable"]

DEFAULT = "nanodet"
PACKED: dict[str, Family] = {"coco-ssd": "ssd", "nanodet": "nanodet"}
_FATAL = 4
FOLDER = Path(__file__).parent / "models"


class Session(Protocol):
    """The part of `onnxruntime.InferenceSession` that is used."""

    def run(self, output_names: None, input_feed: dict[str, Any]) -> list[Any]:
        """All outputs for one set of inputs."""
        ...

    def get_inputs(self) -> list[Any]:
        """Name, shape and type of each input."""
        ...


def load(chosen: VisionModel) -> tuple[Session, Family]:
    """The session and family of the `chosen` model.

    AssetsMissing when a packed model was not built; ModelError when the operator's file cannot be read.
    """
    path, family = locate(chosen)
    return opened(path), family


def opened(path: Path) -> Session:
    """A session for the ONNX file at `path`; ModelError when it cannot be read.

    One thread: a second one is slower as soon as another process is busy.
    """
    runtime: Any = importlib.import_module("onnxruntime")
    runtime.set_default_logger_severity(_FATAL)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        session: Session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except unusable() as error:
        raise ModelError(
            f"model {path.name} is not an ONNX model that runs here",
            hint="export it to ONNX, opset 11 or later, with float32 inputs and weights",
        ) from error
    return session


def unusable() -> tuple[type[Exception], ...]:
    """What onnxruntime raises for a model or an input that it cannot use; they share no base class."""
    errors: Any = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    names = (
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NoSuchFile",
        "NotImplemented",
        "RuntimeException",
    )
    return (ValueError, *(getattr(errors, name) for name in names))


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
