"""Which part of each published graph becomes our detector, and what is cut away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import tfjs_graph
from onnx import TensorProto, helper
from tfjs_graph import Graph
from tfjs_rules import RULES
from tfjs_to_onnx import NHWC_AS_NCHW, Converter, Value

OPSET = 17
IR_VERSION = 8


def coco_ssd(model_json: Path) -> bytes:
    """SSDLite-MobileNetV2: `image` [1, 3, 300, 300], RGB in -1..1 -> `boxes` [1, 1917, 4] as (top, left,
    bottom, right) in shares of the picture, and `scores` [1, 1917, 1]."""
    graph = _ssd_people_only(tfjs_graph.read(model_json))
    converter = Converter(graph, {("Preprocessor/sub", 0): Value("image", NHWC_AS_NCHW)}, RULES)
    outputs = {"boxes": "Postprocessor/Reshape_2", "scores": "Postprocessor/Slice"}
    for output, node in outputs.items():
        name = converter.emit((node, 0))
        converter.nodes.append(helper.make_node("Identity", [name], [output], name=output))
    return serialise(converter, [1, 3, 300, 300], {"boxes": [1, 1917, 4], "scores": [1, 1917, 1]})


def nanodet(model_json: Path) -> bytes:
    """NanoDet-g: `image` [1, 3, height, width], BGR less mean by deviation, sides multiples of 32 ->
    `output` [1, cells, 1 + 4 * 11], strides 8, 16 and 32: the score, then the distances to the
    left, top, right and bottom edges, each as logits over 0..10 strides."""
    graph = _nanodet_people_only(tfjs_graph.read(model_json))
    resizes = {"resize": 2.0, "resize_1": 2.0, "resize_2": 0.5, "resize_3": 0.5}
    scales = {f"PartitionedCall/{name}/ResizeBilinear": factor for name, factor in resizes.items()}
    converter = Converter(graph, {("input_1", 0): Value("image", (0, 1, 2, 3))}, RULES, scales)
    levels = []
    for scores, distances in (
        ("Identity", "Identity_3"),
        ("Identity_1", "Identity_4"),
        ("Identity_2", "Identity_5"),
    ):
        parts = [converter.emit((scores, 0)), converter.emit((distances, 0))]
        levels.append(converter.add("Concat", parts, axis=2))
    converter.concat(levels, axis=1, output="output")
    return serialise(converter, [1, 3, "height", "width"], {"output": [1, "cells", 45]})


CONVERSIONS: dict[str, Callable[[Path], bytes]] = {"coco_ssd": coco_ssd, "nanodet": nanodet}


def _ssd_people_only(graph: Graph) -> Graph:
    """Keep background and person of the 91 classes; predictors hold them interleaved by anchor."""
    weights = dict(graph.weights)
    for name, array in graph.weights.items():
        if "/ClassPredictor/" in name:
            by_anchor = array.reshape(*array.shape[:-1], -1, 91)[..., :2]
            weights[name] = by_anchor.reshape(*array.shape[:-1], -1)
    weights["BoxPredictor_0/stack_1/2"] = np.array(2, np.int32)
    return replace(graph, weights=weights)


def _nanodet_people_only(graph: Graph) -> Graph:
    """Keep person, the first of the 80 classes before the 44 distances."""
    weights = dict(graph.weights)
    kept = [0, *range(80, 124)]
    for name, array in graph.weights.items():
        if array.shape[-1:] == (124,):
            weights[name] = array[..., kept]
        elif array.shape == (1, 124, 1, 1):
            weights[name] = array[:, kept]
        elif array.shape == (2,) and tuple(array) == (80, 44):
            weights[name] = np.array([1, 44], np.int32)
        elif array.shape == (3,) and tuple(array) == (1, 80, -1):
            weights[name] = np.array([1, 1, -1], np.int32)
    return replace(graph, weights=weights)


def serialise(converter: Converter, image: list[int | str], outputs: dict[str, list[int | str]]) -> bytes:
    """The finished model with its one input `image`; the same bytes every time."""
    graph = helper.make_graph(
        converter.nodes,
        "people",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, image)],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in outputs.items()],
        converter.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name = "shelf-edge"
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
