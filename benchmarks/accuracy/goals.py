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
RIGHT_ITEM = 0.93
"""What two teams reached on shelves with plates (AIM3S 2019, FAIM 2020)."""
FILLED_BINS = 5
EXACT = {"easy": 0.999, "typical": 0.98, "sticky": 0.95, "hard": 0.93, "produce": 0.92}


@dataclass(frozen=True, slots=True)
class Goal:
    """`what` the store has to reach, and how much of it is `asked`; `by`: how far beyond that the store is,
    below 0 where it is short."""

    store: str
    what: str
    asked: str
    reached: float
    by: float

    def __str__(self) -> str:
        return f"{self.what} {self.asked}".strip()

    @property
    def is_reached(self) -> bool:
        """Whether it is."""
        return self.by >= 0


def goals(results: Mapping[str, Result]) -> Iterator[Goal]:
    """Of the stores that have run."""
    for name, least in EXACT.items():
        if (one := results.get(name)) is not None:
            yield _least(name, "exact", one.exact, least)
    if (one := results.get("typical")) is not None:
        yield from _of_one("typical", one, near=0.995, right=0.99, error=0.02)
        yield _most("typical", "unit error", one.unit_error, 0.005)
        yield _least("typical", "called ≥ 95 % sure", one.sure, 0.5)
        yield _least("typical", "event F1", one.events.f1, 0.97)
        yield _most("typical", "seconds until 95 % are true", one.events.delay_s(0.95), 5.0)
    if (one := results.get("hard")) is not None:
        yield from _of_one("hard", one, near=0.97, right=0.96, error=0.05)
    yield from _of_all(results.values())
    if results:
        filled = len(reliability([tally for one in results.values() for tally in one.tallies]))
        yield _least("all", "filled bins of confidence", float(filled), FILLED_BINS)


def _of_one(name: str, one: Result, *, near: float, right: float, error: float) -> Iterator[Goal]:
    yield _least(name, "within ±1", one.near, near)
    yield _least(name, "right where ≥ 95 % sure", one.sure_right, right)
    yield _most(name, "ECE", one.calibration_error, error)


def _of_all(results: Iterable[Result]) -> Iterator[Goal]:
    for one in results:
        name = one.kind.name
        if (ahead := one.ahead) is not None:
            what = "at most 2 points behind the filter that is told"
            yield Goal(name, what, "", ahead.share, ahead.share - BEHIND_MOST)
        divided = one.exact_by("division")
        if divided is not None and one.exact is not None and divided.share < DIVISION_GOOD:
            yield Goal(name, "better than division", "", one.exact.share, one.exact.share - divided.share)
        if one.kind.weighed and one.events.identity is not None:
            yield _least(name, "right item", one.events.identity, RIGHT_ITEM)


def _least(store: str, what: str, reached: float | Share | None, goal: float) -> Goal:
    found = reached.share if isinstance(reached, Share) else (reached or 0.0)
    return Goal(store, what, f"≥ {goal:.4g}", found, found - goal)


def _most(store: str, what: str, reached: float, goal: float) -> Goal:
    return Goal(store, what, f"≤ {goal:.4g}", reached, goal - reached)
