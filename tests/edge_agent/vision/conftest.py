"""Real video: the clips of the outside data, and the one that Debian's opencv-doc ships. Small real models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

_VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")


@pytest.fixture
def one_by_one(outside_data: Path) -> Path:
    """Six people come one after another, look at a shelf for a while, and leave to the right."""
    return outside_data / "video" / "one-by-one-person-detection.mp4"


@pytest.fixture
def vtest() -> Path:
    """Small people cross a square, up to ten in view, behind a sign and behind each other."""
    if not _VTEST.exists():
        pytest.skip("vtest.avi is not there: install Debian's package opencv-doc")
    return _VTEST


@pytest.fixture
def known_model(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small real ONNX model that takes a picture and gives known numbers.

    `outputs` are constants by name; `lit` adds `gain` times one value of the input tensor to one of them,
    where its mask is not 0: {output: (mask, (channel, y, x), gain)}; `sized` multiplies an output's last axis,
    of 4, by width, height, width, height of the second input.
    """

    def write(
        outputs: Mapping[str, Any],
        *,
        shape: Sequence[int | str] = (1, 3, 320, 320),
        lit: Mapping[str, tuple[Any, tuple[int, int, int], float]] | None = None,
        sized: str | None = None,
        name: str = "known.onnx",
    ) -> Path:
        told = {key: np.asarray(value) for key, value in outputs.items()}
        weights: dict[str, Any] = {f"{key}_fixed": value for key, value in told.items()}
        nodes = [helper.make_node("Identity", [f"{key}_fixed"], [f"{key}_told"]) for key in told]
        for key, (mask, (channel, y, x), gain) in (lit or {}).items():
            weights |= {
                "first": np.array([0, channel, y, x], np.int64),
                "behind": np.array([1, channel + 1, y + 1, x + 1], np.int64),
                "flat": np.array([1], np.int64),
                "mask": np.asarray(mask, np.float32) * np.float32(gain),
            }
            nodes += [
                helper.make_node("Slice", ["images", "first", "behind"], ["pixel"]),
                helper.make_node("Reshape", ["pixel", "flat"], ["light"]),
                helper.make_node("Mul", ["mask", "light"], ["added"]),
                helper.make_node("Add", [f"{key}_told", "added"], [key]),
            ]
        given = [helper.make_tensor_value_info("images", TensorProto.FLOAT, list(shape))]
        if sized is not None:
            given.append(helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, [1, 2]))
            nodes += [
                helper.make_node("Concat", ["orig_target_sizes", "orig_target_sizes"], ["four"], axis=1),
                helper.make_node("Cast", ["four"], ["edges"], to=TensorProto.FLOAT),
                helper.make_node("Mul", [f"{sized}_told", "edges"], [sized]),
            ]
        plain = set(told) - set(lit or {}) - {sized}
        nodes += [helper.make_node("Identity", [f"{key}_told"], [key]) for key in told if key in plain]
        results = [
            helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for key, value in told.items()
        ]
        constants = [numpy_helper.from_array(np.asarray(value), key) for key, value in weights.items()]
        graph = helper.make_graph(nodes, "known", given, results, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, str(tmp_path / name))
        return tmp_path / name

    return write
