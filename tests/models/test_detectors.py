"""Building the packed detectors: the converter against plain arithmetic, and what is built already."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import onnxruntime
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The recipes as `models/build.py` sees them."""
    monkeypatch.syspath_prepend(str(ROOT / "models"))
    import recipes

    return recipes


def node(name: str, op: str, *inputs: str, **attributes: Any) -> dict[str, Any]:
    return {"name": name, "op": op, "input": list(inputs), "attr": attributes}


def written(folder: Path, nodes: list[dict[str, Any]], weights: dict[str, np.ndarray]) -> Path:
    """A TensorFlow.js graph model as its converter writes it, with float16 weights."""
    manifest, shard = [], b""
    for name, array in weights.items():
        nodes.append(node(name, "Const"))
        entry: dict[str, Any] = {"name": name, "shape": list(array.shape), "dtype": str(array.dtype)}
        if array.dtype == np.float32:
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        manifest.append(entry)
        shard += array.astype(np.float16 if "quantization" in entry else array.dtype).tobytes()
    (folder / "net.bin").write_bytes(shard)
    document = {
        "modelTopology": {"node": nodes},
        "weightsManifest": [{"paths": ["net.bin"], "weights": manifest}],
    }
    path = folder / "net.json"
    path.write_text(json.dumps(document))
    return path


def strides(step: int) -> dict[str, Any]:
    return {"list": {"i": ["1", str(step), str(step), "1"]}}


def test_a_padded_convolution_between_transposes_is_what_arithmetic_says(
    recipes: Any, tmp_path: Path
) -> None:
    from tfjs_graph import read
    from tfjs_rules import RULES
    from tfjs_to_onnx import Converter, Value

    random = np.random.default_rng(3)
    kernel = random.normal(size=(3, 3, 2, 4)).astype(np.float16).astype(np.float32)
    bias = random.normal(size=(4,)).astype(np.float16).astype(np.float32)
    path = written(
        tmp_path,
        [
            node("picture", "Placeholder"),
            node("padded", "Pad", "picture", "margins"),
            node("nhwc", "Transpose", "padded", "to_nhwc"),
            node("conv", "Conv2D", "nhwc", "kernel", padding={"s": list(b"VALID")}, strides=strides(2)),
            node("biased", "BiasAdd", "conv", "bias"),
            node("active", "LeakyRelu", "biased", alpha={"f": 0.1}),
            node("nchw", "Transpose", "active", "to_nchw"),
            node("flat", "Reshape", "nchw", "shape"),
        ],
        {
            "kernel": kernel,
            "bias": bias,
            "margins": np.array([[0, 0], [0, 0], [1, 1], [1, 1]], np.int32),
            "to_nhwc": np.array([0, 2, 3, 1], np.int32),
            "to_nchw": np.array([0, 3, 1, 2], np.int32),
            "shape": np.array([1, 4, -1], np.int32),
        },
    )
    converter = Converter(read(path), {("picture", 0): Value("image", (0, 1, 2, 3))}, RULES)
    output = converter.emit(("flat", 0))
    assert "Transpose" not in [n.op_type for n in converter.nodes]

    converter.concat([output], axis=0, output="flat")
    made = recipes.serialise(converter, [1, 2, 6, 8], {"flat": [1, 4, 12]})
    session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
    picture = random.normal(size=(1, 2, 6, 8)).astype(np.float32)
    assert np.allclose(session.run(None, {"image": picture})[0], by_hand(picture, kernel, bias), atol=1e-4)


def by_hand(picture: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    padded = np.pad(picture[0], ((0, 0), (1, 1), (1, 1)))
    result = np.empty((4, 3, 4))
    for row in range(3):
        for column in range(4):
            patch = padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            result[:, row, column] = np.einsum("chw,hwco->o", patch, kernel) + bias
    return np.where(result > 0, result, 0.1 * result).reshape(1, 4, 12)


def test_an_unknown_operation_is_named(recipes: Any, tmp_path: Path) -> None:
    from tfjs_graph import read
    from tfjs_rules import RULES
    from tfjs_to_onnx import Converter, Value

    path = written(tmp_path, [node("picture", "Placeholder"), node("odd", "Frobnicate", "picture")], {})
    converter = Converter(read(path), {("picture", 0): Value("image")}, RULES)
    with pytest.raises(NotImplementedError, match="Frobnicate at odd"):
        converter.emit(("odd", 0))


def test_what_is_built_already_is_left_alone_within_a_second() -> None:
    models = ROOT / "edge_agent" / "vision" / "models"
    before = {path.name: path.stat().st_mtime_ns for path in models.glob("*.onnx")}
    if len(before) < 2:
        pytest.skip("the models are not built: make setup")
    started = monotonic()
    done = subprocess.run(
        [sys.executable, ROOT / "models" / "build.py"], capture_output=True, text=True, check=True
    )
    assert monotonic() - started < 5, "a fifth of it on a machine that is not busy"
    assert done.stdout.split("\n")[:2] == ["coco-ssd.onnx: already built", "nanodet.onnx: already built"]
    assert {path.name: path.stat().st_mtime_ns for path in models.glob("*.onnx")} == before
