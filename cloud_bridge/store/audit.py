"""Does what HQ shows follow from its ledger? The comparing, whatever database the facts were read from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cloud_bridge.picture import Picture, ShownFacing
from cloud_bridge.store.lines import Segment
from edge_agent.contract.messages import chain_next

LISTED: Final = 20
SET_ASIDE_LISTED: Final = 1_000
"""Rows set aside that one audit names, quarantined ones first; the counts are of all."""
SET_ASIDE_NAMES: Final = (
    "seq", "branch", "fate", "kind", "version", "occurred_at", "received_at", "reason",
)  # fmt: skip

LedgerRow = tuple[int, bytes, bytes, str, int, str]
"""Number, chain, eid, kind, version and body."""


@dataclass(frozen=True, slots=True)
class BranchRow:
    """A branch as its table says it is."""

    branch: int
    name: str
    parent: int | None
    start_seq: int
    start_chain: bytes
    head_seq: int
    head_chain: bytes

    def start_problem(self, parents_chain: bytes | None) -> Iterator[str]:
        """Whether it starts where its parent was."""
        if self.parent is not None and parents_chain != self.start_chain:
            yield f"branch {self.name}: does not start where its parent was at {self.start_seq}"


class ChainCheck:
    """Whether a branch's rows are contiguous and its chain folds to its head."""

    def __init__(self, branch: BranchRow) -> None:
        self._branch = branch
        self._seq, self._chain = branch.start_seq, branch.start_chain
        self._problem: str | None = None

    def take(self, rows: Iterable[LedgerRow]) -> bool:
        """The next rows, in order; False when there is nothing left to find out."""
        for seq, chain, eid, kind, version, body in rows:
            self._seq += 1
            self._chain = chain_next(self._chain, eid, kind, version, body)
            if seq != self._seq:
                self._problem = f"row {self._seq} is missing, {seq} follows"
            elif chain != self._chain:
                self._problem = f"row {seq} is not what was received, its chain differs"
            if self._problem is not None:
                return False
        return True

    def problems(self) -> Iterator[str]:
        """What is wrong, after the last row."""
        head = (self._branch.head_seq, self._branch.head_chain)
        if self._problem is None and (self._seq, self._chain) != head:
            self._problem = f"ends at {self._seq}, its head says {head[0]}"
        if self._problem is not None:
            yield f"branch {self._branch.name}: {self._problem}"


def count_problems(branches: Iterable[BranchRow], rows: int) -> Iterator[str]:
    """Whether the branches account for every row."""
    accounted = sum(branch.head_seq - branch.start_seq for branch in branches)
    if accounted != rows:
        yield f"ledger has {rows} rows, its branches account for {accounted}"


def doubles(table: str, twice: Iterable[tuple[bytes, int]]) -> Iterator[str]:
    """Events that are there more than once."""
    yield from (f"{table}: event {eid.hex()} is there {count} times" for eid, count in twice)


def left_behind(branches: Iterable[BranchRow], line: Iterable[Segment]) -> Iterator[tuple[BranchRow, int]]:
    """Branches with rows behind where the store left them, oldest first, and the row where it did."""
    last_in_line = {segment.branch: segment.last for segment in line}
    for branch in branches:
        left_at = max(branch.start_seq, last_in_line.get(branch.branch, branch.start_seq))
        if branch.head_seq > left_at:
            yield branch, left_at


def tail(branch: BranchRow, left_at: int, times: tuple[str, str] | None) -> dict[str, Any]:
    """Rows that a store has left behind: how many, and since when."""
    occurred_at, received_at = times or (None, None)
    return {
        "branch": branch.name,
        "rows": branch.head_seq - left_at,
        "first": left_at + 1,
        "last": branch.head_seq,
        "occurred_at": occurred_at,
        "received_at": received_at,
    }


def facing_problems(shown: Mapping[str, ShownFacing], truth: Picture) -> Iterator[str]:
    """A facing that the ledger never mentions may be shown, as long as nothing is claimed about it."""
    for facing in sorted(shown.keys() | truth.facings.keys()):
        is_, ought = shown.get(facing), truth.facings.get(facing)
        if is_ is None:
            yield f"facing {facing}: not shown, the ledger has it"
        elif ought is None:
            if is_.on_hand is not None:
                yield f"facing {facing}: shown with {is_.on_hand}, the ledger does not have it"
        elif (is_.gtin, is_.on_hand, is_.status) != (ought.gtin, ought.on_hand, ought.status):
            yield (
                f"facing {facing}: shows {is_.gtin} {is_.on_hand} {is_.status},"
                f" the ledger says {ought.gtin} {ought.on_hand} {ought.status}"
            )


def feed_problems(sums: Iterable[tuple[str, str, int]], truth: Picture) -> Iterator[str]:
    """The changes ever published of a facing and item add up to what stands there, or to nothing."""
    found = {(facing, gtin): total for facing, gtin, total in sums if total}
    ought = {(name, facing.gtin): facing.on_hand for name, facing in truth.facings.items() if facing.on_hand}
    for facing, gtin in sorted(found.keys() | ought.keys()):
        is_, should = found.get((facing, gtin), 0), ought.get((facing, gtin), 0)
        if is_ != should:
            yield f"facing {facing}: the feed's changes of {gtin} add up to {is_}, the ledger says {should}"
