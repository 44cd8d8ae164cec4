"""What can be promised of a store now: the rules, with what is known of how fresh its picture is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cloud_bridge import promises
from cloud_bridge.config import Promises
from cloud_bridge.liveness import Liveness
from cloud_bridge.promises import Place
from cloud_bridge.store.records import StoreRecord
from cloud_bridge.store.reservations import StockRecord


@dataclass(frozen=True, slots=True)
class Offer:
    """A store's share of a GTIN as others may have it. `metres` is None where no distance is known."""

    stock: StockRecord
    as_of: str | None
    available: int
    metres: int | None

    @property
    def store(self) -> str:
        """Whose it is."""
        return self.stock.store.store


class Availability:
    """The settings `promises`, applied."""

    def __init__(self, rules: Promises, liveness: Liveness) -> None:
        self.rules, self._liveness = rules, liveness

    def of(self, stock: StockRecord, now: datetime) -> int:
        """Items of one store that can be promised at `now`. Safe to call from any thread."""
        return self._offer(stock, None, now).available

    async def offers(
        self, stocks: Iterable[StockRecord], near: Place | None, *, now: datetime
    ) -> list[Offer]:
        """Each store's share, in the order given; how far from `near` where both places are known.

        In a thread: with thousands of stores it would hold up the event loop, and who sends to it.
        """
        return await asyncio.to_thread(lambda: [self._offer(stock, near, now) for stock in stocks])

    def is_settled(self, store: StoreRecord, collected_at: str) -> bool:
        """Whether the picture of `store` must hold by now what was collected then."""
        return promises.is_settled(collected_at, self.rules, as_of=self._liveness.freshness(store).as_of)

    def _offer(self, stock: StockRecord, near: Place | None, now: datetime) -> Offer:
        as_of = self._liveness.freshness(stock.store).as_of
        items = promises.available(stock, self.rules, as_of=as_of, now=now)
        return Offer(stock, as_of, items, _metres(near, place_of(stock.store)))


def place_of(store: StoreRecord) -> Place | None:
    """Where it is, if it has said so."""
    if store.latitude is None or store.longitude is None:
        return None
    return store.latitude, store.longitude


def best_first(offers: Iterable[Offer]) -> list[Offer]:
    """The nearest first, those without a distance last; among equals the one that has most."""
    return sorted(offers, key=lambda o: (o.metres is None, o.metres or 0, -o.available, o.store))


def _metres(here: Place | None, there: Place | None) -> int | None:
    return None if here is None or there is None else round(promises.distance_m(here, there))
