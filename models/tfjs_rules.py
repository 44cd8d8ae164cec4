"""How each kind of TensorFlow.js node is written in ONNX."""

from __future__ import annotations

import numpy as np
from tfjs_graph import Node, Tensor
from tfjs_to_onnx import NHWC_AS_NCHW, Converter, Rule, Value

_BINARIES = {"Add": "Add", "AddV2": "Add", "AddN": "Add", "BiasAdd": "Add", "Sub": "Sub", "Mul": "Mul"}


def _activation(to: Converter, node: Node) -> Value:
    value = to.value(node.inputs[0])
    attributes = {"alpha": node.number("alpha", 0.2)} if node.op == "LeakyRelu" else {}
    return Value(to.add(node.op, [value.name], **attributes), value.axes)


def _relu6(to: Converter, node: Node) -> Value:
    value = to.value(node.inputs[0])
    limits = [to.constant(np.array(limit, np.float32)) for limit in (0, 6)]
    return Value(to.add("Clip", [value.name, *limits]), value.axes)


def _binary(to: Converter, node: Node) -> Value:
    axes = next(to.value(t).axes for t in node.inputs if to.constants.get(t) is None)
    names = [_operand(to, t, axes) for t in node.inputs]
    result = names[0]
    for name in names[1:]:
        result = to.add(_BINARIES[node.op], [result, name])
    return Value(result, axes)


def _operand(to: Converter, tensor: Tensor, axes: tuple[int, ...]) -> str:
    constant = to.constants.get(tensor)
    if constant is None:
        return to.with_axes(tensor, axes)
    if axes and constant.ndim:
        constant = constant.reshape((1,) * (len(axes) - constant.ndim) + constant.shape).transpose(axes)
    return to.constant(constant)


def _batch_norm(to: Converter, node: Node) -> Value:
    scale, shift, mean, variance = (to.constants.need(t) for t in node.inputs[1:5])
    factor = scale / np.sqrt(variance + node.number("epsilon", 1e-3))
    name = to.with_axes(node.inputs[0], NHWC_AS_NCHW)
    for op, channel in (("Mul", factor), ("Add", shift - mean * factor)):
        name = to.add(op, [name, to.constant(channel.astype(np.float32).reshape(1, -1, 1, 1))])
    return Value(name, NHWC_AS_NCHW)


def _convolution(to: Converter, node: Node) -> Value:
    kernel = to.constants.need(node.inputs[1])
    group = 1
    if node.op == "DepthwiseConv2dNative":
        height, width, group, multiplier = kernel.shape
        kernel = kernel.reshape(height, width, 1, group * multiplier)
    kernel = kernel.transpose(3, 2, 0, 1)
    name = to.add(
        "Conv",
        [_unpadded(to, node), to.constant(kernel)],
        group=group,
        kernel_shape=kernel.shape[2:],
        strides=node.integers("strides")[1:3],
        dilations=node.integers("dilations", (1, 1, 1, 1))[1:3],
        **_padding(to, node, fill=0.0),
    )
    return Value(name, NHWC_AS_NCHW)


def _max_pool(to: Converter, node: Node) -> Value:
    name = to.add(
        "MaxPool",
        [_unpadded(to, node)],
        kernel_shape=node.integers("ksize")[1:3],
        strides=node.integers("strides")[1:3],
        **_padding(to, node, fill=-np.inf),
    )
    return Value(name, NHWC_AS_NCHW)


def _unpadded(to: Converter, node: Node) -> str:
    value = to.value(node.inputs[0])
    if value.axes in (NHWC_AS_NCHW, ()):
        return value.name
    perm = [value.axes.index(axis) for axis in NHWC_AS_NCHW]
    return to.add("Transpose", [value.name], perm=perm)


def _padding(to: Converter, node: Node, fill: float) -> dict[str, object]:
    value = to.value(node.inputs[0])
    if not value.margins:
        return {"auto_pad": "SAME_UPPER" if node.text("padding") == "SAME" else "VALID"}
    batch, (top, bottom), (left, right), channels = value.margins
    if value.fill != fill or batch != (0, 0) or channels != (0, 0) or node.text("padding") != "VALID":
        raise NotImplementedError(f"margins of {node.name}")
    return {"pads": [top, left, bottom, right]}


def _pad(to: Converter, node: Node) -> Value:
    value = to.value(node.inputs[0])
    margins = tuple((int(before), int(after)) for before, after in to.constants.need(node.inputs[1]))
    fill = float(to.constants.need(node.inputs[2])) if len(node.inputs) > 2 else 0.0
    return Value(value.name, value.axes or tuple(range(len(margins))), margins, fill)


def _transpose(to: Converter, node: Node) -> Value:
    value = to.value(node.inputs[0])
    perm = [int(i) for i in to.constants.need(node.inputs[1])]
    axes = value.axes or tuple(range(len(perm)))
    margins = tuple(value.margins[i] for i in perm) if value.margins else ()
    return Value(value.name, tuple(perm.index(axis) for axis in axes), margins, value.fill)


def _reshape(to: Converter, node: Node) -> Value:
    shape = to.constants.need(node.inputs[1]).astype(np.int64)
    return Value(to.add("Reshape", [to.in_order(node.inputs[0]), to.constant(shape)]))


def _squeeze(to: Converter, node: Node) -> Value:
    axes = np.array(node.integers("squeeze_dims"), np.int64)
    return Value(to.add("Squeeze", [to.in_order(node.inputs[0]), to.constant(axes)]))


def _concat(to: Converter, node: Node) -> Value:
    *parts, last = node.inputs
    axis, axes = int(to.constants.need(last)), to.value(parts[0]).axes
    names = [to.with_axes(part, axes) for part in parts]
    return Value(to.add("Concat", names, axis=axes.index(axis) if axes else axis), axes)


def _split(to: Converter, node: Node) -> list[Value]:
    value = to.value(node.inputs[0])
    sizes = to.constants.need(node.inputs[1]).astype(np.int64)
    axis = int(to.constants.need(node.inputs[2]))
    axis = value.axes.index(axis) if value.axes else axis
    names = to.add_split("Split", [value.name, to.constant(sizes)], len(sizes), axis=axis)
    return [Value(name, value.axes) for name in names]


def _slice(to: Converter, node: Node) -> Value:
    begin, size = (to.constants.need(t).astype(np.int64) for t in node.inputs[1:3])
    end = np.where(size < 0, np.iinfo(np.int64).max, begin + size)
    return Value(to.add("Slice", [to.in_order(node.inputs[0]), to.constant(begin), to.constant(end)]))


def _unpack(to: Converter, node: Node) -> list[Value]:
    name, axis, count = to.in_order(node.inputs[0]), node.integer("axis"), node.integer("num")
    index = [to.constant(np.array(i, np.int64)) for i in range(count)]
    return [Value(to.add("Gather", [name, i], axis=axis)) for i in index]


def _pack(to: Converter, node: Node) -> Value:
    axis = node.integer("axis")
    where = to.constant(np.array([axis], np.int64))
    names = [to.add("Unsqueeze", [to.in_order(t), where]) for t in node.inputs]
    return Value(to.add("Concat", names, axis=axis))


def _resize(to: Converter, node: Node) -> Value:
    if not node.flag("half_pixel_centers"):
        raise NotImplementedError(f"corners of {node.name}")
    factor = to.scales[node.name]
    scales = to.constant(np.array([1, 1, factor, factor], np.float32))
    name = to.add("Resize", [to.with_axes(node.inputs[0], NHWC_AS_NCHW), "", scales], mode="linear")
    return Value(name, NHWC_AS_NCHW)


def _identity(to: Converter, node: Node) -> Value:
    return to.value(node.inputs[0])


RULES: dict[str, Rule] = {
    **dict.fromkeys(_BINARIES, _binary),
    **dict.fromkeys(("Relu", "LeakyRelu", "Sigmoid", "Exp"), _activation),
    **dict.fromkeys(("Conv2D", "DepthwiseConv2dNative"), _convolution),
    **dict.fromkeys(("Pad", "PadV2"), _pad),
    "ConcatV2": _concat,
    "FusedBatchNorm": _batch_norm,
    "Identity": _identity,
    "MaxPool": _max_pool,
    "Pack": _pack,
    "Relu6": _relu6,
    "Reshape": _reshape,
    "ResizeBilinear": _resize,
    "Slice": _slice,
    "SplitV": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unpack": _unpack,
}
