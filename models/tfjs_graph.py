"""Reads a TensorFlow.js graph model (`model.json` and its weight shards) into nodes and arrays."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Tensor = tuple[str, int]
"""A node's name and which of its outputs."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of the graph. Attributes keep the form of the file: `{"i": "2"}`, `{"s": [83, ...]}`."""

    name: str
    op: str
    inputs: tuple[Tensor, ...]
    attributes: dict[str, Any]

    def integers(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """A list of integers such as `strides`."""
        listed = self.attributes.get(name, {}).get("list") or {}
        return tuple(int(v) for v in listed.get("i") or ()) or default

    def integer(self, name: str, default: int = 0) -> int:
        """One integer such as `num_split`."""
        return int(self.attributes.get(name, {}).get("i", default))

    def number(self, name: str, default: float) -> float:
        """One number such as `epsilon`."""
        return float(self.attributes.get(name, {}).get("f", default))

    def flag(self, name: str) -> bool:
        """One boolean such as `align_corners`."""
        return bool(self.attributes.get(name, {}).get("b", False))

    def text(self, name: str, default: str = "") -> str:
        """One string such as `padding`; the format stores it as bytes or as base64."""
        raw = self.attributes.get(name, {}).get("s")
        if raw is None:
            return default
        return bytes(raw).decode() if isinstance(raw, list) else base64.b64decode(raw).decode()


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by name, and the values of the `Const` ones."""

    nodes: dict[str, Node]
    weights: dict[str, Array]


def read(model_json: Path) -> Graph:
    """The graph of `model_json`; its weight shards lie beside it. float16 weights become float32."""
    document = json.loads(model_json.read_text(encoding="utf-8"))
    nodes = {}
    for raw in document["modelTopology"]["node"]:
        inputs = tuple(_tensor(i) for i in raw.get("input") or () if not i.startswith("^"))
        nodes[raw["name"]] = Node(raw["name"], raw["op"], inputs, raw.get("attr", {}))
    weights: dict[str, Array] = {}
    for group in document["weightsManifest"]:
        shards = b"".join((model_json.parent / path).read_bytes() for path in group["paths"])
        weights.update(_weights(group["weights"], shards))
    return Graph(nodes, weights)


def _tensor(text: str) -> Tensor:
    name, _, index = text.partition(":")
    return name, int(index or 0)


def _weights(specifications: list[dict[str, Any]], shards: bytes) -> dict[str, Array]:
    found, offset = {}, 0
    for spec in specifications:
        stored = spec.get("quantization", {}).get("dtype", spec["dtype"])
        count = int(np.prod(spec["shape"], dtype=np.int64))
        array = np.frombuffer(shards, stored, count, offset)
        offset += array.nbytes
        if "scale" in spec.get("quantization", {}):
            array = array * spec["quantization"]["scale"] + spec["quantization"]["min"]
        found[spec["name"]] = array.astype(spec["dtype"]).reshape(spec["shape"])
    return found
