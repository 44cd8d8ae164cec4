"""A plate's hypotheses as text for the journal, and back."""

from __future__ import annotations

from math import exp, log

import msgspec

from edge_agent.stock.gauss import Gauss
from edge_agent.stock.hypothesis import ACROSS, OTHER, Hypothesis, Item
from edge_agent.stock.plate_belief import PlateBelief

LEAST = 1e-3
"""What is less probable is forgotten at a restart."""
_DIGITS = 12
"""Entries of a covariance cancel: what is left of them is a millionth."""


class _Kept(msgspec.Struct, array_like=True):
    counts: list[int]
    foreign: str | None
    probability: float
    mean: list[float]
    cov: list[list[float]]
    since: list[int] = []


class _Plate(msgspec.Struct, array_like=True):
    items: list[tuple[str, str, float]]
    """Facing, GTIN and unit weight: a belief about other items is worth nothing."""
    hypotheses: list[_Kept]
    spreads: list[tuple[float, float, float]] = []
    """For each item its printed spread, the ratio of the learnt variance to that, and how much taught it."""
    tags: list[int | None] = []


_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(_Plate).decode


def write(belief: PlateBelief) -> str:
    """The hypotheses that matter."""
    kept = [
        _Kept(
            list(one.counts),
            one.foreign,
            _short(exp(one.log_weight)),
            [_short(value) for value in one.state.mean],
            [[_short(value) for value in row] for row in one.state.cov],
            list(one.since),
        )
        for one in belief.hypotheses
        if exp(one.log_weight) >= LEAST
    ]
    spreads = [(one.printed_sd_g, _short(one.ratio), _short(one.seen)) for one in belief.spreads]
    return _encode(_Plate(_items(belief), kept, spreads, belief.tags)).decode()


def read(text: str, belief: PlateBelief, at_s: float) -> bool:
    """Put back what was written; False, and nothing done, where it is about other items or no text of ours.

    `at_s` is when it was written, on the clock that the belief goes by.
    """
    try:
        plate = _decode(text)
    except msgspec.DecodeError:
        return False
    size = 2 + 2 * len(belief.items)
    sound = all(
        len(one.mean) == len(one.cov) == size and len(one.counts) == len(belief.items)
        for one in plate.hypotheses
    )
    if plate.items != _items(belief) or not plate.hypotheses or not sound:
        return False
    hypotheses = [
        Hypothesis(
            tuple(one.counts),
            one.foreign,
            log(one.probability),
            Gauss(one.mean, one.cov),
            tuple(one.since or one.counts),
        )
        for one in plate.hypotheses
        if one.foreign in (None, OTHER, ACROSS) or one.foreign in belief.neighbours
    ]
    hypotheses = [one for one in hypotheses if _fits(one, belief)]
    if hypotheses:
        belief.restore(hypotheses, at_s)
        for spread, (printed_sd_g, ratio, seen) in zip(belief.spreads, plate.spreads, strict=False):
            if printed_sd_g == spread.printed_sd_g:
                spread.ratio, spread.seen = ratio, seen
        belief.tags = plate.tags or belief.tags
    return bool(hypotheses)


def _fits(one: Hypothesis, belief: PlateBelief) -> bool:
    """So many have room (the planogram may have changed), and its weight varies by something."""
    room = all(0 <= n <= item.most for n, item in zip(one.counts, belief.items, strict=True))
    return room and one.state.expect(one.weights())[1] >= 0.0


def _items(belief: PlateBelief) -> list[tuple[str, str, float]]:
    return [_item(item) for item in belief.items]


def _item(item: Item) -> tuple[str, str, float]:
    return item.facing, item.gtin, item.unit_weight_g


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
