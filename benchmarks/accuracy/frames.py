"""What the simulated store and the process that counts it say to each other over a pipe."""

from __future__ import annotations

from datetime import datetime
from typing import IO

import msgspec
from msgspec import Struct


class Briefing(Struct, frozen=True):
    """The store as its gateway knows it, and when counts are asked for: seconds since it was opened.

    `told`: a second planogram and habits for the estimator that is told the generator's parameters.
    """

    store_yaml: str
    told_yaml: str
    told: dict[str, float]
    opened_at: datetime
    samples_s: list[float]
    desks: bool
    """There are a till and goods-in, which a stock ledger can follow."""


class Published(Struct, frozen=True, array_like=True, tag=True):
    """One message of a device, as bytes."""

    at_s: float
    topic: str
    body: bytes


class CountedByHand(Struct, frozen=True, array_like=True, tag=True):
    """Staff counted a facing."""

    at_s: float
    facing: str
    on_hand: int


class Told(Struct, frozen=True, array_like=True):
    """What HQ would be told of a facing."""

    at: datetime
    facing: str
    on_hand: int | None
    change: int
    cause: str


Count = tuple[int | None, float]
"""A count and the probability that it is right; who claims nothing says 0."""
Asked = dict[str, dict[str, Count]]
"""Counter to facing to what it said when it was asked."""


class Report(Struct, frozen=True):
    """`asked`: one for each moment at which counts were asked for. `told` by the product's estimator."""

    asked: list[Asked]
    told: list[Told]


Heard = Published | CountedByHand
_SIZE = 4
_encode = msgspec.msgpack.Encoder().encode


def send(pipe: IO[bytes], body: Briefing | list[Heard] | Report) -> None:
    """Write one frame."""
    encoded = _encode(body)
    pipe.write(len(encoded).to_bytes(_SIZE) + encoded)
    pipe.flush()


def receive(pipe: IO[bytes]) -> bytes:
    """The next frame; empty when the other side has closed."""
    return pipe.read(int.from_bytes(pipe.read(_SIZE)))
