"""Which rows of a batch are new behind a head; equal chain at one place proves everything before it."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_bridge.errors import Conflict
from cloud_bridge.rows import ReadyBatch, ReadyRow, in_calendar
from cloud_bridge.store.lines import Head


def common_position(head: Head, batch: ReadyBatch) -> int:
    """The newest position that both have a chain of. Conflict `fork` or `gap`: there is none."""
    if batch.branch != head.name:
        raise Conflict("fork", f"branch {batch.branch!r} is not the store's current one")
    if batch.first > head.seq + 1:
        raise Conflict("gap", f"rows start at {batch.first}, HQ has {head.seq}")
    return min(head.seq, batch.first - 1 + len(batch.rows))


def rows_behind(common: int, ours: bytes | None, batch: ReadyBatch) -> list[ReadyRow]:
    """The rows above `common`, where HQ has the chain `ours`; Conflict `fork` when the batch has another."""
    if ours != batch.chain_at(common):
        raise Conflict("fork", f"the histories differ at or before {common}")
    return batch.rows[common - batch.first + 1 :]


def newest_time(rows: Sequence[ReadyRow]) -> str | None:
    """When the newest of `rows` occurred that says a real time, by its store's clock; None when none does."""
    return next((row.occurred_at for row in reversed(rows) if in_calendar(row.occurred_at)), None)
