"""The gap net as an ONNX graph: features of YOLOX-nano down to stride 8, our own head at stride 4."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STRIDE = 4
CHANNELS = 6  # centre, distances to left, top, right, bottom, mask; all before their activation
_INPUT = "images"
FROZEN_TO, _STRIDE_8 = "721", "956"  # tensors of YOLOX-nano: dark2 (32 channels), the merged features (64)
_WIDE, _NARROW = 64, 32
_FIRST_SCORE = -4.0
_FIRST_DISTANCE = 2.0


def build(yolox: Path, random: np.random.Generator) -> Any:
    """An untrained gap net on the features of the `yolox` file: `images` [1, 3, height, width] BGR 0..255.

    Height and width are multiples of 32. Output `cells` [1, 6, height / 4, width / 4].
    """
    donor = onnx.load(str(yolox))
    kept = _needed(donor.graph.node, {FROZEN_TO, _STRIDE_8})
    names = {name for node in kept for name in node.input}
    weights = [weight for weight in donor.graph.initializer if weight.name in names]
    head, head_weights = _head(random)
    graph = helper.make_graph(
        [*kept, *head],
        "gap-net",
        [helper.make_tensor_value_info(_INPUT, TensorProto.FLOAT, [1, 3, "height", "width"])],
        [helper.make_tensor_value_info("cells", TensorProto.FLOAT, [1, CHANNELS, "rows", "columns"])],
        [*weights, *head_weights],
    )
    model = helper.make_model(graph, opset_imports=list(donor.opset_import), ir_version=6)
    onnx.checker.check_model(model)
    return model


def with_weights(model: Any, weights: dict[str, np.ndarray]) -> bytes:
    """The serialised `model` with the trained `weights` by name, float32."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for initializer in made.graph.initializer:
        if initializer.name in weights:
            array = weights[initializer.name].astype(np.float32)
            initializer.CopyFrom(numpy_helper.from_array(array, initializer.name))
    serialised: bytes = made.SerializeToString(deterministic=True)
    return serialised


def _needed(nodes: Iterable[Any], outputs: set[str]) -> list[Any]:
    """The nodes that `outputs` depend on, in their order."""
    wanted, kept = set(outputs), []
    for node in reversed(list(nodes)):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    return kept[::-1]


def _head(random: np.random.Generator) -> tuple[list[Any], list[Any]]:
    nodes: list[Any] = []
    weights: list[Any] = []

    def convolved(given: str, name: str, shape: tuple[int, int, int]) -> str:
        outputs, inputs, side = shape
        deviation = (2 / (inputs * side * side)) ** 0.5
        kernel = random.normal(0, deviation, (outputs, inputs, side, side)).astype(np.float32)
        bias = np.zeros(outputs, np.float32)
        if name == "head_cells":
            kernel *= 0.1
            bias[:] = [_FIRST_SCORE, *[_FIRST_DISTANCE] * 4, _FIRST_SCORE / 2]
        weights.append(numpy_helper.from_array(kernel, f"{name}_kernel"))
        weights.append(numpy_helper.from_array(bias, f"{name}_bias"))
        inputs_of_node = [given, f"{name}_kernel", f"{name}_bias"]
        output = "cells" if name == "head_cells" else name
        nodes.append(
            helper.make_node(
                "Conv", inputs_of_node, [output], name, kernel_shape=[side, side], pads=[side // 2] * 4
            )
        )
        return output

    def activated(given: str) -> str:
        nodes.append(helper.make_node("Sigmoid", [given], [f"{given}_gate"], f"{given}_gate"))
        nodes.append(helper.make_node("Mul", [given, f"{given}_gate"], [f"{given}_out"], f"{given}_out"))
        return f"{given}_out"

    coarse = activated(convolved(_STRIDE_8, "head_coarse", (_WIDE, 64, 3)))
    weights.append(numpy_helper.from_array(np.zeros(0, np.float32), "head_no_region"))
    weights.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "head_scales"))
    nodes.append(
        helper.make_node(
            "Resize",
            [coarse, "head_no_region", "head_scales"],
            ["head_up"],
            "head_up",
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
    )
    nodes.append(helper.make_node("Concat", ["head_up", FROZEN_TO], ["head_both"], "head_both", axis=1))
    fine = activated(convolved("head_both", "head_mixed", (_NARROW, _WIDE + 32, 1)))
    fine = activated(convolved(fine, "head_fine", (_NARROW, _NARROW, 3)))
    convolved(fine, "head_cells", (CHANNELS, _NARROW, 1))
    return nodes, weights
