"""The seeded ground truth: items on plates, moved by people, with their weights and tags, and the fridges."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from device_sims.climate import Fridge
from device_sims.equipment import BACK_ROOM
from device_sims.plan import Act, ActKind, Bag, Leaving, Plan
from device_sims.plate import Plate
from device_sims.scenario import Scenario
from device_sims.sgtin import sgtin96

_REACH_S = 0.4
"""How long a hand is on the plate before the first and after the last item moves."""
_DOOR_S = 2.0
"""How long a fridge's door stands open before the first and after the last item moves."""


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
    """What truly happened on one facing. Times (world's clock): first item's move, last item's move, rest.

    `cause` misplace: an item of another facing's `gtin` came to lie here, and the count is as before.
    """

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
        return {"pick": -1, "misplace": 0}.get(self.cause, 1) * self.quantity


@dataclass(frozen=True, slots=True)
class BagMoved:
    """A bag was laid onto a facing's plate, or taken away."""

    facing: str
    weight_g: float
    laid: bool
    moved_s: float


@dataclass(frozen=True, slots=True)
class Left:
    """Somebody left with so many items of each GTIN: paid for, or not."""

    person: int
    paid: bool
    items: dict[str, int]
    moved_s: float


@dataclass(frozen=True, slots=True)
class Delivered:
    """So many items of a product came into the back room."""

    gtin: str
    quantity: int
    moved_s: float


Occurrence = Moved | BagMoved | Left | Delivered


@dataclass(slots=True)
class _Shelf:
    gtin: str
    plate: Plate
    fridge: Fridge | None
    items: list[Item] = field(default_factory=list)
    strays: list[Item] = field(default_factory=list)


@dataclass(slots=True)
class _Tally:
    """An act, and how many items it has really moved."""

    act: Act
    started_s: float
    moved: int = 0


class World:
    """A store that obeys its plan. The clock is the caller's: seconds that never run back."""

    def __init__(self, scenario: Scenario, plan: Plan, *, seed: int) -> None:
        self._scenario, self._plan = scenario, plan
        self._rng = Random(f"{seed}/items")
        self._serials = itertools.count(self._rng.randrange(1 << 30))
        self._products = {product.gtin: product for product in scenario.products}
        self._mean_g = {p.gtin: self._true_mean_g(p.unit_weight_g) for p in scenario.products}
        self._baskets: dict[tuple[int, str], list[Item]] = {}
        self._behind: dict[str, list[Item]] = {
            gtin: [self._new_item(gtin) for _ in range(count)]
            for gtin, count in (scenario.backroom or {}).items()
        }
        self._steps: list[tuple[float, int, Callable[[], Occurrence | None]]] = []
        self._order = itertools.count()
        self._shelves: dict[str, _Shelf] = {}
        self.fridges = {f.id: Fridge(f, seed=str(seed)) for f in scenario.fridges}
        plates = {name: group for group in scenario.plates() for name in group}
        for facing in scenario.facings:
            group = plates[facing.id]
            shared = self._shelves.get(group[0])
            plate = shared.plate if shared else Plate(scenario.noise, f"{seed}/{group[0]}")
            fridge = self.fridges.get(scenario.fridge_of(facing.id) or "")
            shelf = _Shelf(facing.gtin, plate, fridge)
            shelf.items = [self._new_item(facing.gtin) for _ in range(facing.on_hand)]
            self._shelves[facing.id] = shelf
        for group in scenario.plates():
            items = [item for name in group for item in self._shelves[name].items]
            self._shelves[group[0]].plate.lay(sum(item.weight_g for item in items))

    def open(self, now_s: float) -> None:
        """The doors open: the plan's second 0 is now."""
        plan = self._plan
        for act in plan.acts:
            self.perform(act, now_s)
        for bag in plan.bags:
            self._at(now_s + bag.at_s, partial(self._bag, bag, now_s + bag.at_s, laid=True))
            self._at(now_s + bag.until_s, partial(self._bag, bag, now_s + bag.until_s, laid=False))
        for leaving in plan.leavings:
            self._at(now_s + leaving.at_s, partial(self._leave, leaving, now_s + leaving.at_s))
        for came in plan.deliveries:
            at_s = now_s + came.at_s
            self._at(at_s, partial(self._deliver, came.gtin, came.quantity, at_s))

    def perform(self, act: Act, opened_s: float) -> None:
        """Plan one more act, at `act.at_s` after `opened_s`."""
        first_s, last_s = opened_s + act.at_s, opened_s + act.end_s
        shelf = self._shelves[act.facing]
        self._at(first_s - _REACH_S, lambda: shelf.plate.touch(first_s - _REACH_S, last_s + _REACH_S))
        if shelf.fridge is not None:
            self._at(first_s - _DOOR_S, partial(shelf.fridge.open_door, last_s + _DOOR_S))
        tally = _Tally(act, first_s)
        for at_s, count in act.handfuls:
            self._at(opened_s + at_s, partial(self._move, tally, count, opened_s + at_s, at_s == act.end_s))

    def advance(self, now_s: float) -> list[Occurrence]:
        """Do all that was due by `now_s`; returns what was completed, in order."""
        done: list[Occurrence] = []
        while self._steps and self._steps[0][0] <= now_s:
            occurred = heapq.heappop(self._steps)[2]()
            if occurred is not None:
                done.append(occurred)
        return done

    def on_hand(self, facing: str) -> int:
        """How many of its own items truly lie on a facing."""
        return len(self._shelves[facing].items)

    def plate(self, facing: str) -> Plate:
        """The load cell under a facing; facings on one plate have the same."""
        return self._shelves[facing].plate

    def behind(self, gtin: str) -> int:
        """How many items of a product lie in the back room; without a `backroom`, where there is always
        enough, those that were delivered."""
        return len(self._behind.get(gtin, ()))

    def tags(self, place: str) -> Sequence[Tag]:
        """The tags that lie on a facing, those of misplaced items among them, or in the BACK_ROOM."""
        if place == BACK_ROOM:
            return [item.tag for items in self._behind.values() for item in items if item.tag is not None]
        shelf = self._shelves[place]
        return [item.tag for item in (*shelf.items, *shelf.strays) if item.tag is not None]

    def _true_mean_g(self, printed_g: float | None) -> float:
        if printed_g is None:
            raise ValueError("a simulated product needs unit_weight_g")
        return printed_g * (1.0 + self._rng.gauss(0.0, self._scenario.noise.unit_weight_bias))

    def _new_item(self, gtin: str) -> Item:
        noise, mean_g = self._scenario.noise, self._mean_g[gtin]
        tag = None
        if self._rng.random() < self._products[gtin].tagged:
            low, high = noise.tag_read_per_s
            # Beta(1.1, 2.4): most tags read poorly, few well; a tag keeps its rate for life.
            rate = low + (high - low) * self._rng.betavariate(1.1, 2.4)
            tag = Tag(sgtin96(gtin, next(self._serials)), rate, self._rng.gauss(0.0, noise.rssi_sd_db))
        return Item(gtin, max(mean_g * 0.5, self._rng.gauss(mean_g, mean_g * noise.unit_weight_cv)), tag)

    def _at(self, at_s: float, step: Callable[[], Occurrence | None]) -> None:
        heapq.heappush(self._steps, (at_s, next(self._order), step))

    def _move(self, tally: _Tally, count: int, now_s: float, last: bool) -> Moved | None:
        act = tally.act
        shelf = self._shelves[act.facing]
        basket = self._baskets.setdefault((act.person, act.origin or act.facing), [])
        gtin = self._shelves[act.origin].gtin if act.origin else shelf.gtin
        if act.kind == "pick":
            moved, shelf.items = shelf.items[:count], shelf.items[count:]
            basket += moved
            delta_g = -sum(item.weight_g for item in moved)
        else:
            behind = self._behind.get(gtin, []) if act.kind == "restock" else []
            moved = [(basket or behind or [self._new_item(gtin)]).pop() for _ in range(count)]
            (shelf.strays if act.kind == "misplace" else shelf.items).extend(moved)
            delta_g = sum(item.weight_g for item in moved)
        at_rest_s = shelf.plate.change(now_s, delta_g)
        tally.moved += len(moved)
        if not last or not tally.moved:  # who finds the shelf empty moves nothing
            return None
        there, began_s = len(shelf.items), tally.started_s
        return Moved(act.facing, gtin, act.kind, tally.moved, there, began_s, now_s, at_rest_s)

    def _bag(self, bag: Bag, now_s: float, *, laid: bool) -> BagMoved:
        plate = self._shelves[bag.facing].plate
        plate.change(now_s, bag.weight_g if laid else -bag.weight_g)
        return BagMoved(bag.facing, bag.weight_g, laid, now_s)

    def _deliver(self, gtin: str, quantity: int, now_s: float) -> Delivered:
        self._behind.setdefault(gtin, []).extend(self._new_item(gtin) for _ in range(quantity))
        return Delivered(gtin, quantity, now_s)

    def _leave(self, leaving: Leaving, now_s: float) -> Left:
        items: dict[str, int] = {}
        for (person, _), basket in self._baskets.items():
            for item in basket if person == leaving.person else ():
                items[item.gtin] = items.get(item.gtin, 0) + 1
        for key in [key for key in self._baskets if key[0] == leaving.person]:
            del self._baskets[key]
        return Left(leaving.person, leaving.paid, items, now_s)
