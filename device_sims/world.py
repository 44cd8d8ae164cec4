"""The seeded ground truth: items on plates, moved by people, with their weights and tags."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random

from device_sims.plan import Act, ActKind, Plan
from device_sims.plate import Plate
from device_sims.scenario import Scenario
from device_sims.sgtin import sgtin96

_REACH_S = 0.4
"""How long a hand is on the plate before the first and after the last item moves."""


@dataclass(frozen=True, slots=True)
class Tag:
    """An RFID tag: its EPC, how likely one second of reading sees it, and how far its RSSI lies off."""

    epc: str
    read_per_s: float
    rssi_offset_db: float


@dataclass(frozen=True, slots=True)
class Item:
    """One physical item; no two weigh the same."""

    gtin: str
    weight_g: float
    tag: Tag | None


@dataclass(frozen=True, slots=True)
class Moved:
    """What truly happened on one facing. Times (world's clock): first item's move, last item's move, rest."""

    facing: str
    gtin: str
    cause: ActKind
    quantity: int
    on_hand: int
    started_s: float
    moved_s: float
    at_rest_s: float

    @property
    def change(self) -> int:
        """What it did to the count."""
        return -self.quantity if self.cause == "pick" else self.quantity


@dataclass(slots=True)
class _Shelf:
    gtin: str
    plate: Plate
    items: list[Item] = field(default_factory=list)


class World:
    """A store that obeys its plan. The clock is the caller's: seconds that never run back."""

    def __init__(self, scenario: Scenario, plan: Plan, *, seed: int) -> None:
        self._scenario, self._plan = scenario, plan
        self._rng = Random(f"{seed}/items")
        self._serials = itertools.count(self._rng.randrange(1 << 30))
        self._mean_g = {p.gtin: self._true_mean_g(p.unit_weight_g) for p in scenario.products}
        self._baskets: dict[tuple[int, str], list[Item]] = {}
        self._steps: list[tuple[float, int, Callable[[], Moved | None]]] = []
        self._order = itertools.count()
        self._shelves: dict[str, _Shelf] = {}
        for facing in scenario.facings:
            shelf = _Shelf(facing.gtin, Plate(scenario.noise, f"{seed}/{facing.id}"))
            shelf.items = [self._new_item(facing.gtin) for _ in range(facing.on_hand)]
            shelf.plate.lay(sum(item.weight_g for item in shelf.items))
            self._shelves[facing.id] = shelf

    def open(self, now_s: float) -> None:
        """The doors open: the plan's second 0 is now."""
        for act in self._plan.acts:
            self._schedule(act, now_s)

    def advance(self, now_s: float) -> list[Moved]:
        """Do all that was due by `now_s`; returns what was completed, in order."""
        done: list[Moved] = []
        while self._steps and self._steps[0][0] <= now_s:
            moved = heapq.heappop(self._steps)[2]()
            if moved is not None:
                done.append(moved)
        return done

    def on_hand(self, facing: str) -> int:
        """How many items truly lie there."""
        return len(self._shelves[facing].items)

    def plate(self, facing: str) -> Plate:
        """The load cell under a facing."""
        return self._shelves[facing].plate

    def tags(self, facing: str) -> list[Tag]:
        """The tags that lie on a facing."""
        return [item.tag for item in self._shelves[facing].items if item.tag is not None]

    def _true_mean_g(self, printed_g: float | None) -> float:
        if printed_g is None:
            raise ValueError("a simulated product needs unit_weight_g")
        return printed_g * (1.0 + self._rng.gauss(0.0, self._scenario.noise.unit_weight_bias))

    def _new_item(self, gtin: str) -> Item:
        noise, mean_g = self._scenario.noise, self._mean_g[gtin]
        tag = None
        if self._rng.random() < self._scenario.product(gtin).tagged:
            low, high = noise.tag_read_per_s
            # Beta(1.1, 2.4): most tags read poorly, few well; a tag keeps its rate for life.
            rate = low + (high - low) * self._rng.betavariate(1.1, 2.4)
            tag = Tag(sgtin96(gtin, next(self._serials)), rate, self._rng.gauss(0.0, noise.rssi_sd_db))
        return Item(gtin, max(mean_g * 0.5, self._rng.gauss(mean_g, mean_g * noise.unit_weight_cv)), tag)

    def _schedule(self, act: Act, opened_s: float) -> None:
        handfuls = act.handfuls
        first_s, last_s = opened_s + act.at_s, opened_s + act.end_s
        plate = self._shelves[act.facing].plate
        self._at(first_s - _REACH_S, lambda: plate.touch(first_s - _REACH_S, last_s + _REACH_S))
        for index, (at_s, count) in enumerate(handfuls):
            last = index == len(handfuls) - 1
            self._at(opened_s + at_s, partial(self._move, act, count, opened_s + at_s, first_s, last))

    def _at(self, at_s: float, step: Callable[[], Moved | None]) -> None:
        heapq.heappush(self._steps, (at_s, next(self._order), step))

    def _move(self, act: Act, count: int, now_s: float, started_s: float, last: bool) -> Moved | None:
        shelf = self._shelves[act.facing]
        basket = self._baskets.setdefault((act.person, act.facing), [])
        if act.kind == "pick":
            taken, shelf.items = shelf.items[:count], shelf.items[count:]
            basket += taken
            delta_g = -sum(item.weight_g for item in taken)
        else:
            put = [basket.pop() if basket else self._new_item(shelf.gtin) for _ in range(count)]
            shelf.items += put
            delta_g = sum(item.weight_g for item in put)
        at_rest_s = shelf.plate.change(now_s, delta_g)
        if not last:
            return None
        return Moved(
            act.facing, shelf.gtin, act.kind, act.quantity, len(shelf.items), started_s, now_s, at_rest_s
        )
