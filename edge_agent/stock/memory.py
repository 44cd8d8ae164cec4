"""What is kept of a facing beside its belief, as text for the journal."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Memory(msgspec.Struct, omit_defaults=True):
    """What the journal keeps for the stock package.

    `carried`: count to probability where no plate weighs, `counted_at` by hand; `known`: items once counted,
    how many of them have no tag; `gaps`: cameras that see a gap; `run_rate` as that module writes it.
    """

    carried: list[tuple[int, float]] = []
    counted_at: datetime | None = None
    known: tuple[int, int] | None = None
    gaps: list[str] = []
    run_rate: str = ""


_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(Memory).decode


def write(memory: Memory) -> str:
    """As text; empty where there is nothing to keep."""
    text = _encode(memory).decode()
    return "" if text == "{}" else text


def read(text: str) -> Memory:
    """What was written; nothing where it is no text of ours."""
    try:
        return _decode(text) if text else Memory()
    except msgspec.DecodeError:
        return Memory()
