"""What the counts have to reach, and whether they do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from benchmarks.accuracy.results import Result
from benchmarks.accuracy.tally import Share, reliability

BEHIND_MOST = -0.02
"""So far behind a filter that is told the generator's parameters may ours be."""
DIVISION_GOOD = 0.99
"""Where plain division reaches this, ours need not be better."""
FILLED_BINS = 5


@dataclass(frozen=True, slots=True)
class Goal:
    """`name` says it all; `by`: how far beyond it the stores are, below 0 where they do not reach it."""

    name: str
    reached: float
    by: float

    @property
    def is_reached(self) -> bool:
        """Whether it is."""
        return self.by >= 0


def goals(results: Mapping[str, Result]) -> Iterator[Goal]:
    """Of the stores that have run."""
    if (typical := results.get("typical")) is not None:
        yield _least("typical: exact", typical.exact, 0.98)
        yield _least("typical: within ±1", typical.near, 0.995)
        yield _most("typical: unit error", typical.unit_error, 0.005)
        yield _least("typical: right where ≥ 95 % sure", typical.sure_right, 0.99)
        yield _least("typical: called ≥ 95 % sure", typical.sure, 0.5)
        yield _least("typical: event F1", typical.events.f1, 0.97)
        yield _most("typical: ECE", typical.calibration_error, 0.02)
        yield _most("typical: seconds until 95 % are true", typical.events.delay_s(0.95), 5.0)
    if (hard := results.get("hard")) is not None:
        yield _least("hard: exact", hard.exact, 0.93)
        yield _least("hard: within ±1", hard.near, 0.97)
        yield _least("hard: right where ≥ 95 % sure", hard.sure_right, 0.96)
        yield _most("hard: ECE", hard.calibration_error, 0.05)
    for name, least in (("easy", 0.999), ("sticky", 0.95), ("produce", 0.92)):
        if (one := results.get(name)) is not None:
            yield _least(f"{name}: exact", one.exact, least)
    for name, one in results.items():
        if one.events.identity is not None:
            yield _least(f"{name}: the right item", one.events.identity, 0.93)
    yield from _beside_others(results.values())
    if results:
        filled = len(reliability([tally for one in results.values() for tally in one.tallies]))
        yield _least("bins of confidence that are filled", float(filled), FILLED_BINS)


def _beside_others(results: Iterable[Result]) -> Iterator[Goal]:
    for one in results:
        if (ahead := one.ahead) is not None:
            behind = f"{one.kind.name}: within 2 points of the filter that is told"
            yield Goal(behind, ahead.share, ahead.share - BEHIND_MOST)
        divided = one.exact_by("division")
        if divided is not None and one.exact is not None and divided.share < DIVISION_GOOD:
            yield _least(f"{one.kind.name}: better than division", one.exact, divided.share)


def _least(name: str, reached: float | Share | None, goal: float) -> Goal:
    found = reached.share if isinstance(reached, Share) else (reached or 0.0)
    return Goal(f"{name} ≥ {goal:.4g}", found, found - goal)


def _most(name: str, reached: float, goal: float) -> Goal:
    return Goal(f"{name} ≤ {goal:.4g}", reached, goal - reached)
