"""The seeded ground truth: items on plates, moved by people, with their weights and tags, and the fridges."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from device_sims.bearing import Bearing, Loads
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
    `across`: grams of this facing's items that the plates of its neighbours bear now, by neighbour.
    """

    facing: str
    gtin: str
    cause: ActKind
    quantity: int
    on_hand: int
    started_s: float
    moved_s: float
    at_rest_s: float
    across: dict[str, float] = field(default_factory=dict)

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


@dataclass(frozen=True, slots=True, eq=False)
class _Lying:
    """An item in its place; `onto` is the neighbour whose plate bears a part of it."""

    item: Item
    loads: Loads
    onto: str | None = None


@dataclass(slots=True)
class _Shelf:
    gtin: str
    plates: list[Plate]
    fridge: Fridge | None
    items: list[_Lying] = field(default_factory=list)
    strays: list[_Lying] = field(default_factory=list)
    bags: int = 0

    def next(self, count: int, onto: Sequence[str]) -> list[_Lying]:
        """What is taken: for each of `onto` the last one laid across to it, then what lay there first."""
        across = [one for one in reversed(self.items) if one.onto is not None]
        wanted: list[_Lying] = []
        for name in onto:
            wanted += [one for one in across if one.onto == name and one not in wanted][:1]
        proper = [one for one in self.items if one.onto is None]
        return [*wanted, *proper, *(one for one in across if one not in wanted)][:count]


@dataclass(slots=True)
class _Tally:
    """An act on its way: where its items will lie, which plates are touched, how many it has really moved."""

    act: Act
    started_s: float
    places: list[tuple[Loads, str | None]] = field(default_factory=list)
    touched: list[Plate] = field(default_factory=list)
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
        self.listeners: list[Callable[[Occurrence], None]] = []
        """Told of everything that occurs, when it does: what devices notice that are no sensors."""
        self.fridges = {f.id: Fridge(f, seed=str(seed)) for f in scenario.fridges}
        self._bearing = Bearing(scenario, seed=seed)
        for facing in scenario.facings:
            fridge = self.fridges.get(scenario.fridge_of(facing.id) or "")
            shelf = _Shelf(facing.gtin, self._bearing.under(facing.id), fridge)
            items = [self._new_item(facing.gtin) for _ in range(facing.on_hand)]
            shelf.items = [_Lying(item, self._bearing.laid(facing.id)) for item in items]
            self._shelves[facing.id] = shelf
        for plate, names in self._bearing.over.items():
            plate.lay(sum(_grams(one, plate) for name in names for one in self._shelves[name].items))

    def open(self, now_s: float) -> None:
        """The doors open: the plan's second 0 is now."""
        plan = self._plan
        for act in plan.acts:
            self.perform(act, now_s)
        for bag in plan.bags:
            loads = self._bearing.laid(bag.facing)
            self._at(now_s + bag.at_s, partial(self._bag, bag, loads, now_s + bag.at_s, laid=True))
            self._at(now_s + bag.until_s, partial(self._bag, bag, loads, now_s + bag.until_s, laid=False))
        for leaving in plan.leavings:
            self._at(now_s + leaving.at_s, partial(self._leave, leaving, now_s + leaving.at_s))
        for came in plan.deliveries:
            at_s = now_s + came.at_s
            self._at(at_s, partial(self._deliver, came.gtin, came.quantity, at_s))

    def perform(self, act: Act, opened_s: float) -> None:
        """Plan one more act, at `act.at_s` after `opened_s`."""
        first_s, last_s = opened_s + act.at_s, opened_s + act.end_s
        shelf, tally = self._shelves[act.facing], _Tally(act, first_s)
        self._at(first_s - _REACH_S, partial(self._reach, tally, first_s - _REACH_S, last_s + _REACH_S))
        if shelf.fridge is not None:
            self._at(first_s - _DOOR_S, partial(shelf.fridge.open_door, last_s + _DOOR_S))
        for at_s, count in act.handfuls:
            self._at(opened_s + at_s, partial(self._move, tally, count, opened_s + at_s, at_s == act.end_s))

    def advance(self, now_s: float) -> list[Occurrence]:
        """Do all that was due by `now_s`; returns what was completed, in order."""
        done: list[Occurrence] = []
        while self._steps and self._steps[0][0] <= now_s:
            occurred = heapq.heappop(self._steps)[2]()
            if occurred is not None:
                done.append(occurred)
                for listener in self.listeners:
                    listener(occurred)
        return done

    def on_hand(self, facing: str) -> int:
        """How many of its own items truly lie on a facing."""
        return len(self._shelves[facing].items)

    def in_view(self, facing: str) -> int:
        """How many things lie on a facing for an eye: items of any product, and bags."""
        shelf = self._shelves[facing]
        return len(shelf.items) + len(shelf.strays) + shelf.bags

    def plates_of(self, scale: str) -> Sequence[Plate]:
        """The load cells of a scale, in the order of its plates."""
        return self._bearing.plates_of(scale)

    def plates_under(self, facing: str) -> Sequence[Plate]:
        """The load cells under a facing; facings on one plate have the same."""
        return self._bearing.under(facing)

    def behind(self, gtin: str) -> int:
        """How many items of a product lie in the back room; without a `backroom`, where there is always
        enough, those that were delivered."""
        return len(self._behind.get(gtin, ()))

    def tags(self, place: str) -> Sequence[Tag]:
        """The tags that lie on a facing, those of misplaced items among them, or in the BACK_ROOM."""
        if place == BACK_ROOM:
            return [item.tag for items in self._behind.values() for item in items if item.tag is not None]
        shelf = self._shelves[place]
        return [one.item.tag for one in (*shelf.items, *shelf.strays) if one.item.tag is not None]

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

    def _reach(self, tally: _Tally, from_s: float, until_s: float) -> None:
        """A hand comes: it presses on the plates under what it takes, lays, or puts right."""
        act, shelf = tally.act, self._shelves[tally.act.facing]
        if act.kind == "pick":
            loads = [one.loads for one in shelf.next(act.quantity, act.across)]
        else:
            across = act.across if act.kind == "return" else ()
            tally.places = [(self._bearing.laid_across(act.facing, onto), onto) for onto in across]
            proper = range(act.quantity - len(across))
            tally.places += [(self._bearing.laid(act.facing), None) for _ in proper]
            loads = [borne for borne, _ in tally.places]
        if act.kind == "restock":
            loads += [one.loads for one in shelf.items if one.onto is not None]
        touched = dict.fromkeys(plate for borne in loads for plate, _ in borne)
        tally.touched = list(touched) or shelf.plates
        for plate in tally.touched:
            plate.touch(from_s, until_s)

    def _move(self, tally: _Tally, count: int, now_s: float, last: bool) -> Moved | None:
        act, shelf = tally.act, self._shelves[tally.act.facing]
        basket = self._baskets.setdefault((act.person, act.origin or act.facing), [])
        gtin = self._shelves[act.origin].gtin if act.origin else shelf.gtin
        gone: list[_Lying] = []
        came: list[_Lying] = []
        if act.kind == "pick":
            gone = shelf.next(count, act.across[tally.moved :])
            shelf.items = [one for one in shelf.items if one not in gone]
            basket += [one.item for one in gone]
        else:
            behind = self._behind.get(gtin, []) if act.kind == "restock" else []
            for _ in range(count):
                item = (basket or behind or [self._new_item(gtin)]).pop()
                came.append(_Lying(item, *tally.places.pop(0)))
            (shelf.strays if act.kind == "misplace" else shelf.items).extend(came)
        tally.moved += len(gone) + len(came)
        if act.kind == "restock":
            astray = [one for one in shelf.items if one.onto is not None]
            put = {one: _Lying(one.item, self._bearing.laid(act.facing)) for one in astray}
            shelf.items = [put.get(one, one) for one in shelf.items]
            gone, came = gone + astray, came + list(put.values())
        at_rest_s = self._shift(tally.touched, gone, came, now_s)
        if not last or not tally.moved:  # who finds the shelf empty moves nothing
            return None
        return Moved(
            act.facing, gtin, act.kind, tally.moved, len(shelf.items), tally.started_s, now_s, at_rest_s,
            self._across(act.facing),
        )  # fmt: skip

    def _shift(
        self, touched: Sequence[Plate], gone: Sequence[_Lying], came: Sequence[_Lying], now_s: float
    ) -> float:
        """The loads of plates change; returns when all of them are at rest. A hand shakes what it touches."""
        plates = dict.fromkeys([*touched, *(plate for one in (*gone, *came) for plate, _ in one.loads)])
        return max(
            plate.change(
                now_s, sum(_grams(one, plate) for one in came) - sum(_grams(one, plate) for one in gone)
            )
            for plate in plates
        )

    def _across(self, facing: str) -> dict[str, float]:
        borne: dict[str, float] = {}
        for one in self._shelves[facing].items:
            if one.onto is not None:
                borne[one.onto] = borne.get(one.onto, 0.0) + _grams(one, *self._bearing.under(one.onto))
        return borne

    def _bag(self, bag: Bag, loads: Loads, now_s: float, *, laid: bool) -> BagMoved:
        self._shelves[bag.facing].bags += 1 if laid else -1
        for plate, share in loads:
            plate.change(now_s, share * (bag.weight_g if laid else -bag.weight_g))
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


def _grams(lying: _Lying, plate: Plate) -> float:
    """What a plate bears of an item."""
    return sum(share * lying.item.weight_g for one, share in lying.loads if one is plate)
