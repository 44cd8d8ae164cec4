"""Runs the ONNX graph of the gap net in torch, so that its weights can be trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

Operation = Callable[[list[Tensor], dict[str, Any]], Tensor]


class GraphNet(nn.Module):
    """Every float weight of the graph is a parameter; only the operations of YOLOX and our head are known."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._nodes = [_Step(node) for node in model.graph.node]
        self._input = model.graph.input[0].name
        self._output = model.graph.output[0].name
        used = {name for step in self._nodes if step.kind == "Conv" for name in step.inputs[1:]}
        arrays = {weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer}
        self._constants = {name: array for name, array in arrays.items() if name not in used}
        self.weights = nn.ParameterDict(
            {f"w_{name}": nn.Parameter(torch.tensor(arrays[name].copy())) for name in sorted(used)}
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """`cells` of a batch of BGR pictures 0..255, [n, 3, height, width]."""
        values: dict[str, Tensor] = {self._input: pictures}
        for step in self._nodes:
            values[step.output] = step.run(self._given(step, values))
        return values[self._output]

    def freeze(self, tensor: str) -> None:
        """Keep the weights that lead up to `tensor`, in the order of the graph, as they are."""
        for step in self._nodes:
            if step.kind == "Conv":
                for name in step.inputs[1:]:
                    self.weights[f"w_{name}"].requires_grad_(False)
            if step.output == tensor:
                return

    def trained(self) -> dict[str, np.ndarray]:
        """The weights by their name in the graph."""
        return {name[2:]: weight.detach().numpy() for name, weight in self.weights.items()}

    def _given(self, step: _Step, values: dict[str, Tensor]) -> list[Any]:
        return [
            values[name]
            if name in values
            else self.weights[f"w_{name}"]
            if f"w_{name}" in self.weights
            else self._constants[name]
            for name in step.inputs
        ]


class _Step:
    def __init__(self, node: Any) -> None:
        self.kind = node.op_type
        self.inputs = list(node.input)
        self.output = node.output[0]
        self._attributes = {a.name: list(a.ints) or a.i for a in node.attribute if a.type in (2, 7)}
        self._operation = _OPERATIONS[self.kind]

    def run(self, given: list[Any]) -> Tensor:
        return self._operation(given, self._attributes)


def _conv(given: list[Any], attributes: dict[str, Any]) -> Tensor:
    picture, kernel, bias = given
    return functional.conv2d(
        picture,
        kernel,
        bias,
        stride=attributes.get("strides", [1, 1]),
        padding=attributes["pads"][:2],
        groups=attributes.get("group", 1),
    )


def _slice(given: list[Any], _: dict[str, Any]) -> Tensor:
    picture, starts, _ends, axes, steps = given
    taken = [slice(None)] * 4
    for start, axis, step in zip(starts, axes, steps, strict=True):
        taken[axis] = slice(int(start), None, int(step))
    return picture[tuple(taken)]


def _max_pool(given: list[Any], attributes: dict[str, Any]) -> Tensor:
    return functional.max_pool2d(
        given[0], attributes["kernel_shape"], attributes["strides"], attributes["pads"][:2]
    )


def _resize(given: list[Any], _: dict[str, Any]) -> Tensor:
    return functional.interpolate(given[0], scale_factor=2, mode="nearest")


_OPERATIONS: dict[str, Operation] = {
    "Conv": _conv,
    "Slice": _slice,
    "MaxPool": _max_pool,
    "Resize": _resize,
    "Sigmoid": lambda given, _: torch.sigmoid(given[0]),
    "Mul": lambda given, _: given[0] * given[1],
    "Add": lambda given, _: given[0] + given[1],
    "Concat": lambda given, attributes: torch.cat(given, attributes["axis"]),
}
