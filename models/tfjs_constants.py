"""Works out, at conversion time, the tensors of a TensorFlow.js graph that do not depend on its input."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tfjs_graph import Array, Graph, Node, Tensor


class Constants:
    """The constant tensors of one graph, for a batch of one picture."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[Tensor, Array | None] = {}

    def get(self, tensor: Tensor) -> Array | None:
        """The value of `tensor`, or None when it depends on the picture."""
        if tensor not in self._known:
            self._known[tensor] = self._fold(tensor)
        return self._known[tensor]

    def need(self, tensor: Tensor) -> Array:
        """The value of `tensor`, which must be constant (a shape, an axis, a weight)."""
        value = self.get(tensor)
        if value is None:
            raise NotImplementedError(f"{tensor[0]} must be a constant")
        return value

    def _fold(self, tensor: Tensor) -> Array | None:
        name, index = tensor
        if name in self._graph.weights:
            return self._graph.weights[name]
        node = self._graph.nodes[name]
        if self._asks_batch_size(node):
            return np.array(1)
        fold = _FOLDS.get(node.op)
        if fold is None:
            return None
        values = [self.get(i) for i in node.inputs]
        if any(value is None for value in values):
            return None
        result = fold(node, [value for value in values if value is not None])
        return result[index] if isinstance(result, list) else result

    def _asks_batch_size(self, node: Node) -> bool:
        if node.op != "StridedSlice" or self._graph.nodes[node.inputs[0][0]].op != "Shape":
            return False
        return int(np.ravel(self.need(node.inputs[1]))[0]) == 0


def _unstack(node: Node, values: list[Array]) -> list[Array]:
    return list(np.moveaxis(values[0], node.integer("axis"), 0))


def _dense(_node: Node, values: list[Array]) -> Array:
    where, shape, filled, default = values
    dense = np.full(tuple(np.ravel(shape)), default)
    dense[tuple(np.atleast_2d(where).T)] = filled
    return dense


_FOLDS: dict[str, Callable[[Node, list[Array]], Array | list[Array]]] = {
    "Add": lambda _, v: v[0] + v[1],
    "AddV2": lambda _, v: v[0] + v[1],
    "Sub": lambda _, v: v[0] - v[1],
    "Mul": lambda _, v: v[0] * v[1],
    "Identity": lambda _, v: v[0],
    "Pack": lambda n, v: np.stack(v, axis=n.integer("axis")),
    "Unpack": _unstack,
    "Reshape": lambda _, v: v[0].reshape(v[1]),
    "Tile": lambda _, v: np.tile(v[0], v[1]),
    "Transpose": lambda _, v: v[0].transpose(v[1]),
    "SparseToDense": _dense,
}
