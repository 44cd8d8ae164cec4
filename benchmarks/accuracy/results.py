"""What came of all stores of one kind, added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.accuracy.events import Events
from benchmarks.accuracy.run import Ran
from benchmarks.accuracy.stores import StoreKind
from benchmarks.accuracy.tally import (
    Share,
    Tally,
    ahead_of,
    calibration_error,
    exact_of,
    other_of,
    sure_right_of,
)

INFORMED = "informed"


@dataclass(frozen=True, slots=True)
class Result:
    """Shares are of all counts that were asked for, unless they say otherwise. None: there is nothing to share."""

    kind: StoreKind
    tallies: list[Tally]
    events: Events

    @classmethod
    def of(cls, kind: StoreKind, ran: Sequence[Ran]) -> Result:
        """Of the stores of a kind, in the order of their seeds."""
        events = Events()
        for one in ran:
            events.add(one.events)
        return cls(kind, [tally for one in ran for tally in one.tallies], events)

    @property
    def counts(self) -> int:
        """How often a count was asked for."""
        return sum(one.counts for one in self.tallies)

    @property
    def exact(self) -> Share | None:
        """Right to the item."""
        return exact_of(self.tallies)

    @property
    def near(self) -> float:
        """Right, or one item off."""
        return sum(one.near for one in self.tallies) / max(1, self.counts)

    @property
    def unit_error(self) -> float:
        """Items by which counts are off, of all items that lie there."""
        return sum(one.off for one in self.tallies) / max(1, sum(one.items for one in self.tallies))

    @property
    def sure(self) -> float:
        """Called 95 % sure, or surer."""
        return sum(one.sure for one in self.tallies) / max(1, self.counts)

    @property
    def sure_right(self) -> Share | None:
        """Of those, the right ones."""
        return sure_right_of(self.tallies)

    @property
    def calibration_error(self) -> float:
        """By how much confidence and truth differ on the average."""
        return calibration_error(self.tallies)

    def exact_by(self, counter: str) -> Share | None:
        """Right to the item by another counter."""
        return other_of(self.tallies, counter)

    @property
    def ahead(self) -> Share | None:
        """By how much ours is exact more often than the filter that is told the generator's parameters."""
        return ahead_of(self.tallies, INFORMED)
