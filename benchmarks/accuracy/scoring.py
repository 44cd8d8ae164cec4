"""Counts and changes against the truth: exact shares, calibration, events, with intervals over facings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from benchmarks.accuracy.estimators import Counted, Told
from device_sims.match import Happening, Sighting, match
from device_sims.truth import AnyRecord, ItemsMoved

SURE = 0.95
AFTER_S, BEFORE_S = 1.5, 1.0
"""A count is asked for when the plate has been at rest so long, and nobody is about to touch it."""
BINS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.01)
DRAWS = 400


@dataclass(frozen=True, slots=True)
class Sample:
    """One facing at one moment: what lies there and what each counter says."""

    seed: int
    at_s: float
    facing: str
    truth: int
    ours: Counted
    others: dict[str, int | None]


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval, drawn over facings (bootstrap): samples of one facing go together."""

    share: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.share:.3f} ({self.low:.3f}–{self.high:.3f})"


def at_rest(samples: Sequence[Sample], truth: Sequence[AnyRecord], opened_s: float) -> list[Sample]:
    """Without those in whose moment the facing was being touched. `opened_s` is second 0 of the samples."""
    busy: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for record in truth:
        if isinstance(record, ItemsMoved):
            started_s, rest_s = record.started_at.timestamp(), record.at_rest_at.timestamp()
            busy[record.facing].append((started_s - opened_s - BEFORE_S, rest_s - opened_s + AFTER_S))
    return [
        one for one in samples if not any(low <= one.at_s <= high for low, high in busy.get(one.facing, ()))
    ]


def share_of(hits: Sequence[tuple[Hashable, bool]]) -> Share | None:
    """(facing of a store, hit) to a share; None without any."""
    if not hits:
        return None
    groups: dict[Hashable, list[int]] = defaultdict(lambda: [0, 0])
    for group, hit in hits:
        groups[group][0] += hit
        groups[group][1] += 1
    tallies, chance = list(groups.values()), Random(1)
    drawn = sorted(_ratio(chance.choices(tallies, k=len(tallies))) for _ in range(DRAWS))
    return Share(_ratio(tallies), drawn[round(0.025 * DRAWS)], drawn[round(0.975 * DRAWS) - 1])


def reliability(samples: Sequence[Sample]) -> list[tuple[str, int, float, float]]:
    """(bin, counts in it, mean confidence, share that is right), of the bins that hold any."""
    rows = []
    for low, high in pairwise(BINS):
        inside = [one for one in samples if low <= one.ours[1] < high]
        if inside:
            mean = sum(one.ours[1] for one in inside) / len(inside)
            right = sum(one.ours[0] == one.truth for one in inside) / len(inside)
            rows.append((f"{low:.2f}–{min(high, 1.0):.2f}", len(inside), mean, right))
    return rows


def calibration_error(samples: Sequence[Sample]) -> float:
    """Expected calibration error over the bins."""
    rows = reliability(samples)
    return sum(count * abs(mean - right) for _, count, mean, right in rows) / max(1, len(samples))


def event_f1(told: Sequence[Told], truth: Sequence[AnyRecord]) -> float | None:
    """Picks, returns and fillings in items, by facing and direction; corrections tell of none."""
    happened = [
        Happening(
            (one.facing, one.cause == "pick"), one.quantity, one.started_at, one.occurred_at, one.at_rest_at
        )
        for one in truth
        if isinstance(one, ItemsMoved) and one.cause != "misplace"
    ]
    seen = [
        Sighting((one.facing, one.change < 0), abs(one.change), one.at, one.at)
        for one in told
        if one.cause in ("pick", "return", "restock") and one.change
    ]
    return match(happened, seen).f1


def _ratio(tallies: Sequence[Sequence[int]]) -> float:
    return sum(hit for hit, _ in tallies) / max(1, sum(count for _, count in tallies))
