"""Turns a TensorFlow.js detection graph into ONNX, without TensorFlow.

TensorFlow keeps pictures as NHWC, ONNX as NCHW. Every tensor here carries the order of its axes, so
that TensorFlow's transposes cost nothing and ONNX nodes are written only where an order must be real.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper
from tfjs_constants import Constants
from tfjs_graph import Array, Graph, Node, Tensor

NHWC_AS_NCHW = (0, 3, 1, 2)


@dataclass(frozen=True, slots=True)
class Value:
    """An ONNX tensor. Its axis i holds axis `axes[i]` of the TensorFlow tensor; () means in order.

    `margins` (before and after each TensorFlow axis, filled with `fill`) are still to be added: ONNX
    convolutions and pools do it themselves.
    """

    name: str
    axes: tuple[int, ...] = ()
    margins: tuple[tuple[int, int], ...] = ()
    fill: float = 0.0


Rule = Callable[["Converter", Node], Value | list[Value]]
"""Writes one kind of TensorFlow node; a list where the node has several outputs."""


@dataclass(slots=True)
class Converter:
    """One conversion: `emit` writes `nodes` and `initializers`. `scales` replaces the fixed size of a
    resize by a factor, which lets pictures of other sizes through."""

    graph: Graph
    inputs: Mapping[Tensor, Value]
    rules: Mapping[str, Rule]
    scales: Mapping[str, float] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    constants: Constants = field(init=False)
    _done: dict[Tensor, Value] = field(init=False)

    def __post_init__(self) -> None:
        self.constants = Constants(self.graph)
        self._done = dict(self.inputs)

    def emit(self, tensor: Tensor) -> str:
        """Write all that `tensor` needs; returns its ONNX name, in TensorFlow's own order of axes."""
        pending = [tensor]
        while pending:
            current = pending[-1]
            missing = [t for t in self._sources(current) if t not in self._done]
            pending.extend(missing)
            if not missing:
                pending.pop()
                self._convert(current)
        return self.in_order(tensor)

    def value(self, tensor: Tensor) -> Value:
        """The ONNX form of `tensor`, already written, its margins still to be added."""
        return self._done[tensor]

    def in_order(self, tensor: Tensor) -> str:
        """The ONNX name of `tensor` with TensorFlow's own order of axes."""
        return self.with_axes(tensor, tuple(range(len(self.value(tensor).axes))))

    def with_axes(self, tensor: Tensor, axes: tuple[int, ...]) -> str:
        """The ONNX name of `tensor` with its axes in the order `axes`, transposed only if need be."""
        value = self.value(tensor)
        if value.margins:
            raise NotImplementedError(f"margins before {tensor[0]}")
        plain = value.axes or tuple(range(len(axes)))
        if plain == axes:
            return value.name
        return self.add("Transpose", [value.name], perm=[plain.index(axis) for axis in axes])

    def add(self, op: str, inputs: list[str], **attributes: object) -> str:
        """Write one node; returns the name of its only output."""
        return self.add_split(op, inputs, 1, **attributes)[0]

    def add_split(self, op: str, inputs: list[str], outputs: int, **attributes: object) -> list[str]:
        """Write one node with several outputs; returns their names."""
        name = f"{op}_{len(self.nodes)}"
        names = [name] if outputs == 1 else [f"{name}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=name, **attributes))
        return names

    def concat(self, names: list[str], axis: int, output: str) -> None:
        """Join tensors into the graph's output of that name."""
        self.nodes.append(helper.make_node("Concat", names, [output], axis=axis, name=output))

    def constant(self, array: Array) -> str:
        """Store an array; returns its name."""
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(
            numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        )
        return name

    def _sources(self, tensor: Tensor) -> list[Tensor]:
        if tensor in self._done or self.constants.get(tensor) is not None:
            return []
        return [t for t in self.graph.nodes[tensor[0]].inputs if self.constants.get(t) is None]

    def _convert(self, tensor: Tensor) -> None:
        if tensor in self._done:
            return
        constant = self.constants.get(tensor)
        if constant is not None:
            self._done[tensor] = Value(self.constant(constant))
            return
        node = self.graph.nodes[tensor[0]]
        if node.op not in self.rules:
            raise NotImplementedError(f"{node.op} at {node.name}")
        result = self.rules[node.op](self, node)
        for index, value in enumerate(result if isinstance(result, list) else [result]):
            self._done[(node.name, index)] = value
