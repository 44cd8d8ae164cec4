"""Asks a model what it takes and gives, before anything is believed of it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_agent.config.cameras import FAMILIES, VisionModel
from edge_agent.contract.errors import ModelError
from edge_agent.vision.families.picture import COARSEST_STRIDE, Floats, Size
from edge_agent.vision.model import Family, Session, unusable

NAME_IT = f"name the family that the model was exported from: {', '.join(FAMILIES[:-1])} or {FAMILIES[-1]}"


def run(session: Session, tensor: Any) -> list[Any]:
    """All outputs of a model with one input."""
    return session.run(None, {session.get_inputs()[0].name: tensor})


def try_out(session: Session, feed: dict[str, Any], family: Family) -> list[Any]:
    """The outputs for `feed`. ModelError when the model does not take it."""
    try:
        return session.run(None, feed)
    except unusable() as error:
        taken = ", ".join(f"{tensor.dtype} {list(tensor.shape)}" for tensor in feed.values())
        raise ModelError(
            f"this is not a model of family {family}: it does not take {taken}", hint=NAME_IT
        ) from error


def try_empty(session: Session, size: Size, family: Family) -> list[Any]:
    """The outputs of a model with one input for an empty picture; errors as for `try_out`."""
    return try_out(session, {session.get_inputs()[0].name: np.zeros(size.shape, np.float32)}, family)


def input_size(session: Session, family: Family, chosen: VisionModel, *, usual: int | None) -> Size:
    """The size of the only input [1, 3, height, width]; errors as for `size_of`."""
    if len(session.get_inputs()) != 1:
        shapes = ", ".join(str(given.shape) for given in session.get_inputs())
        raise ModelError(f"family {family} has one input; this model has {shapes}", hint=NAME_IT)
    return size_of(session.get_inputs()[0].shape, family, chosen, usual=usual)


def size_of(shape: Sequence[int | str], family: Family, chosen: VisionModel, *, usual: int | None) -> Size:
    """The size of an input of this `shape`; where it is free, what was `chosen`, else the `usual` side.

    ModelError when the shape is not that of a colour picture, or differs from what was chosen.
    """
    if len(shape) != 4 or shape[1] != 3 or (isinstance(shape[0], int) and shape[0] != 1):
        raise ModelError(
            f"family {family} needs an input [1, 3, height, width]; this model has {list(shape)}",
            hint=NAME_IT,
        )
    wanted = chosen.input_size or ((usual, usual) if usual is not None else None)
    height, width = shape[2:]
    if isinstance(height, int) and isinstance(width, int):
        if chosen.input_size is not None and chosen.input_size != (width, height):
            raise ModelError(
                f"this model takes {width}x{height} only", hint="remove model.input_size from the camera"
            )
        return Size(height, width)
    if wanted is None:
        raise ModelError(
            f"a model of family {family} that takes any size of picture has no usual one",
            hint="say model.input_size: [width, height]",
        )
    return Size(wanted[1], wanted[0], is_free=True)


def person_class(chosen: VisionModel, classes: int, *, usual: int = 0) -> int:
    """The column of people among a model's `classes`. ModelError when it has no such class."""
    person = usual if chosen.person_class is None else chosen.person_class
    if person >= classes:
        raise ModelError(
            f"this model has {classes} classes, so there is no class {person}",
            hint=f"set model.person_class to that of people: 0 to {classes - 1}",
        )
    return person


def cells(size: Size) -> int:
    """How many output cells the strides 8, 16 and 32 have for a picture of `size`."""
    return sum(-(-size.height // stride) * -(-size.width // stride) for stride in (8, 16, COARSEST_STRIDE))


@functools.lru_cache(maxsize=16)
def grid(height: int, width: int) -> Floats:
    """Column, row and stride of each output cell, [cells, 3]; not to be written to."""
    levels = []
    for stride in (8, 16, COARSEST_STRIDE):
        rows, columns = np.indices((-(-height // stride), -(-width // stride)), np.float32).reshape(2, -1)
        levels.append(np.stack([columns, rows, np.full_like(rows, stride)], axis=1))
    return np.concatenate(levels)


def are_shares(numbers: Floats) -> bool:
    """Whether all numbers lie between 0 and 1, so far as float16 can tell."""
    return numbers.size == 0 or bool(numbers.min() >= -1e-3 and numbers.max() <= 1 + 1e-3)


def wrong(family: Family, outputs: Sequence[Any], wanted: str) -> ModelError:
    """The error for outputs that are not those of the family."""
    found = ", ".join(str(list(output.shape)) for output in outputs)
    return ModelError(
        f"this is not a model of family {family}: it gives {found}, wanted {wanted}", hint=NAME_IT
    )
