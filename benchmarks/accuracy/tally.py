"""Counts against the truth, added up for each facing: exact, near, sure, in bins of confidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import TypeVar

from benchmarks.accuracy.frames import Count

T = TypeVar("T")

SURE = 0.95
BINS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.01)
DRAWS = 400


@dataclass(slots=True)
class Bin:
    """Of the counts whose confidence lies in one range: how many, their confidence in sum, how many right."""

    counts: int = 0
    confidence: float = 0.0
    right: int = 0

    def add(self, confidence: float, *, right: bool) -> None:
        """One more count."""
        self.counts += 1
        self.confidence += confidence
        self.right += right


@dataclass(slots=True)
class Tally:
    """Of one facing of one store. `others`: counter to (how often it had a count, how often that was right).

    `off`: items by which ours was wrong, in sum; `items`: those that lay there, in sum.
    """

    counts: int = 0
    exact: int = 0
    near: int = 0
    off: int = 0
    items: int = 0
    sure: int = 0
    sure_right: int = 0
    others: dict[str, list[int]] = field(default_factory=dict)
    bins: list[Bin] = field(default_factory=lambda: [Bin() for _ in BINS[1:]])

    def add(self, truth: int, ours: Count, others: Mapping[str, Count]) -> None:
        """One moment. A count that is not known yet is wrong by all that lies there."""
        n, confidence = ours
        off, right = abs((n or 0) - truth), n == truth
        self.counts += 1
        self.exact += right
        self.near += n is not None and off <= 1
        self.off += off
        self.items += truth
        if confidence >= SURE:
            self.sure += 1
            self.sure_right += right
        self.bins[_bin(confidence)].add(confidence, right=right)
        for name, (other, _) in others.items():
            known = self.others.setdefault(name, [0, 0])
            known[0] += 1
            known[1] += other == truth


@dataclass(frozen=True, slots=True)
class Share:
    """A share, or a difference of two, with its 95 % interval, drawn over facings (bootstrap): what is counted
    on one facing goes together."""

    share: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.share:.3f} ({self.low:.3f}–{self.high:.3f})"

    @property
    def in_points(self) -> str:
        """A difference of shares."""
        return f"{100 * self.share:+.1f} ({100 * self.low:+.1f} to {100 * self.high:+.1f})"


def exact_of(tallies: Sequence[Tally]) -> Share | None:
    """The share of counts that are exact; None without any."""
    return share_of(tallies, lambda one: (one.exact, one.counts))


def sure_right_of(tallies: Sequence[Tally]) -> Share | None:
    """Of the counts that are called sure, the share that is right; None without any."""
    return share_of(tallies, lambda one: (one.sure_right, one.sure))


def other_of(tallies: Sequence[Tally], counter: str) -> Share | None:
    """The share of another counter's counts that are exact; None where it has none."""

    def parts(one: Tally) -> tuple[int, int]:
        known, right = one.others.get(counter, (0, 0))
        return right, known

    return share_of(tallies, parts)


def ahead_of(tallies: Sequence[Tally], counter: str) -> Share | None:
    """By how much ours is exact more often than another counter, on the same facings; None where it has none."""
    if not any(counter in one.others for one in tallies):
        return None

    def ahead(drawn: Sequence[Tally]) -> float:
        known = sum(one.others[counter][0] for one in drawn if counter in one.others)
        right = sum(one.others[counter][1] for one in drawn if counter in one.others)
        return _ratio(sum(one.exact for one in drawn), sum(one.counts for one in drawn)) - _ratio(
            right, known
        )

    return _drawn(tallies, ahead)


def share_of(tallies: Sequence[Tally], parts: Callable[[Tally], tuple[int, int]]) -> Share | None:
    """`parts`: hits and chances of one facing. None without a chance."""
    pairs = [parts(one) for one in tallies]
    if not sum(chances for _, chances in pairs):
        return None
    return _drawn(pairs, lambda drawn: _ratio(sum(hit for hit, _ in drawn), sum(of for _, of in drawn)))


def reliability(tallies: Sequence[Tally]) -> list[tuple[str, Bin]]:
    """Name of a bin, and all of it; of the bins that hold any."""
    rows = []
    for index, (low, high) in enumerate(pairwise(BINS)):
        whole = Bin()
        for one in tallies:
            whole.counts += one.bins[index].counts
            whole.confidence += one.bins[index].confidence
            whole.right += one.bins[index].right
        if whole.counts:
            rows.append((f"{low:.2f}–{min(high, 1.0):.2f}", whole))
    return rows


def calibration_error(tallies: Sequence[Tally]) -> float:
    """Expected calibration error over the bins."""
    rows = reliability(tallies)
    return sum(abs(one.confidence - one.right) for _, one in rows) / max(1, sum(b.counts for _, b in rows))


def _bin(confidence: float) -> int:
    return next(index for index, high in enumerate(BINS[1:]) if confidence < high)


def _drawn(groups: Sequence[T], value: Callable[[Sequence[T]], float]) -> Share:
    chance = Random(1)
    found = sorted(value(chance.choices(groups, k=len(groups))) for _ in range(DRAWS))
    return Share(value(groups), found[round(0.025 * DRAWS)], found[round(0.975 * DRAWS) - 1])


def _ratio(hit: int, of: int) -> float:
    return hit / max(1, of)
