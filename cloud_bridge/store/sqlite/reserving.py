"""The part of the engine that others' systems reserve with."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from cloud_bridge.store.records import StoreRecord
from cloud_bridge.store.reservations import (
    Available,
    Clock,
    ReservationRecord,
    ReservationState,
    StockRecord,
    Wanted,
)
from cloud_bridge.store.sqlite import reservations
from cloud_bridge.store.sqlite.writer import Writer

T = TypeVar("T")


class Reserving(ABC):
    """See `cloud_bridge.store.Engine`; `SqliteEngine` brings the writer and the readers."""

    writer: Writer

    async def stock(self, gtin: str) -> list[StockRecord]:
        """A GTIN in each store that has evidence of it, and what is claimed of it."""
        return await self._read(partial(reservations.stock, gtin=gtin))

    async def reserve(self, wanted: Wanted, available: Available, clock: Clock) -> ReservationRecord:
        """Hold what is wanted at the first candidate that has it."""
        return await self.writer.submit(
            partial(reservations.reserve, wanted=wanted, available=available, clock=clock)
        )

    async def collect(self, reservation: str, clock: Clock) -> ReservationRecord:
        """Its items were handed over."""
        return await self.writer.submit(partial(reservations.collect, reservation=reservation, clock=clock))

    async def release(self, reservation: str, clock: Clock) -> ReservationRecord:
        """Nobody wants it any more."""
        return await self.writer.submit(partial(reservations.release, reservation=reservation, clock=clock))

    async def reservation_page(
        self,
        *,
        store: str | None,
        gtin: str | None,
        state: ReservationState | None,
        before: int,
        limit: int,
        clock: Clock,
    ) -> list[ReservationRecord]:
        """Reservations, the newest first."""
        return await self._read(
            partial(
                reservations.page,
                store=store,
                gtin=gtin,
                state=state,
                before=before,
                limit=limit,
                clock=clock,
            )
        )

    async def sweep_reservations(self, is_settled: Callable[[StoreRecord, str], bool], clock: Clock) -> None:
        """Write down what time alone has ended."""
        await self.writer.submit(partial(reservations.sweep, is_settled=is_settled, clock=clock))

    @abstractmethod
    async def _read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """The answer of a read-only connection, inside one snapshot."""
