"""The part of the engine that others' systems reserve with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from cloud_bridge.store.postgres import reservations
from cloud_bridge.store.postgres.database import Connection, Transaction
from cloud_bridge.store.records import StoreRecord
from cloud_bridge.store.reservations import (
    Available,
    Clock,
    ReservationRecord,
    ReservationState,
    StockRecord,
    Wanted,
)

T = TypeVar("T")


class Reserving(ABC):
    """See `cloud_bridge.store.Engine`; `PostgresEngine` brings the transactions."""

    async def stock(self, gtin: str) -> list[StockRecord]:
        """A GTIN in each store that has evidence of it, and what is claimed of it."""
        return await self._read(partial(reservations.stock, gtin=gtin))

    async def reserve(self, wanted: Wanted, available: Available, clock: Clock) -> ReservationRecord:
        """Hold what is wanted at the first candidate that has it."""
        return await self._write(
            partial(reservations.reserve, wanted=wanted, available=available, clock=clock)
        )

    async def collect(self, reservation: str, clock: Clock) -> ReservationRecord:
        """Its items were handed over."""
        return await self._write(partial(reservations.collect, reservation=reservation, clock=clock))

    async def release(self, reservation: str, clock: Clock) -> ReservationRecord:
        """Nobody wants it any more."""
        return await self._write(partial(reservations.release, reservation=reservation, clock=clock))

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
        return await self._ask(
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
        await self._write(partial(reservations.sweep, is_settled=is_settled, clock=clock))

    @abstractmethod
    async def _ask(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        """The answer of one statement."""

    @abstractmethod
    async def _read(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        """The answer of several statements that see one snapshot."""

    @abstractmethod
    async def _write(self, operation: Callable[[Transaction], Awaitable[T]]) -> T:
        """What a transaction results in, after its commit."""
