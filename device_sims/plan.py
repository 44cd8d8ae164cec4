"""Who will do what and when: a store's next minutes, drawn from a seed before they happen."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal

from device_sims.people import BagLaid, Delivery, Misplacing, ScriptedAct, Theft
from device_sims.scenario import Scenario, StockedFacing

ActKind = Literal["pick", "return", "restock", "misplace"]
Direction = Literal["entered", "exited"]

_HANDFULS: dict[ActKind, tuple[int, float]] = {
    "pick": (1, 0.5), "return": (1, 0.5), "restock": (2, 0.4), "misplace": (1, 0.5),
}  # fmt: skip
"""Kind -> (items in one handful, seconds from one handful to the next)."""
_SWEEP = 3
"""Items that a thief takes at a time."""
_LONGEST_PICK_S = 0.5
_STAFF = 0
_TRIES = 200
_LOOKED_AT = 48
"""So many shelves at most does a shopper choose from."""


@dataclass(frozen=True, slots=True)
class Act:
    """One person's work on one facing. `at_s` is when the first item moves, in seconds since opening.

    `misplace` puts an item that came from the facing `origin` where it does not belong. `across`: facings
    onto whose plates an item reaches that this act lays there, takes, or (a restock) puts right.
    """

    at_s: float
    facing: str
    kind: ActKind
    quantity: int
    person: int
    origin: str | None = None
    sweeping: bool = False
    across: tuple[str, ...] = ()

    @property
    def handfuls(self) -> list[tuple[float, int]]:
        """When how many items move, in order."""
        size, every_s = _HANDFULS[self.kind]
        size = _SWEEP if self.sweeping else size
        return [
            (self.at_s + index * every_s, min(size, self.quantity - index * size))
            for index in range(-(-self.quantity // size))
        ]

    @property
    def end_s(self) -> float:
        """When the last item moves."""
        return self.handfuls[-1][0]

    @property
    def change(self) -> int:
        """What it does to the facing's count."""
        return {"pick": -1, "misplace": 0}.get(self.kind, 1) * self.quantity


@dataclass(frozen=True, slots=True)
class Bag:
    """Something that is no item lies on a facing's plate for a while."""

    at_s: float
    facing: str
    weight_g: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Leaving:
    """Somebody is done: at the till, or past it."""

    at_s: float
    person: int
    paid: bool


@dataclass(frozen=True, slots=True)
class Passage:
    """Somebody starts to walk through the door."""

    at_s: float
    direction: Direction


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that people will do, each list in order of time."""

    seconds: float
    acts: tuple[Act, ...]
    passages: tuple[Passage, ...]
    bags: tuple[Bag, ...] = ()
    leavings: tuple[Leaving, ...] = ()
    deliveries: tuple[Delivery, ...] = ()


def plan_visit(scenario: Scenario, *, seconds: float, seed: int) -> Plan:
    """The plan of a seed. Where `people.every_facing` asks for it and one can be found, every kind of act
    happens and every facing ends elsewhere than it stood at half time."""
    tries = _TRIES if scenario.people.every_facing else 1
    for attempt in range(tries):
        plan = _Planner(scenario, seconds, f"{seed}/plan/{attempt}").draw()
        change: Counter[str] = Counter()
        for act in plan.acts:
            if act.at_s >= seconds / 2:
                change[act.facing] += act.change
        moved = all(change[facing.id] for facing in scenario.facings)
        if moved and {act.kind for act in plan.acts} >= {"pick", "return", "restock"}:
            return plan
    return plan


@dataclass(slots=True)
class _Shelf:
    facing: StockedFacing
    on_hand: int
    free_at_s: float = 0.0
    low_since_s: float | None = None
    across: list[tuple[float, str]] = field(default_factory=list)
    """From when on an item of this facing lies across, and onto whose plate."""

    def astray(self, now_s: float) -> list[str]:
        """Onto whose plates items of this facing reach now; one entry for each item."""
        return [onto for since_s, onto in self.across if since_s <= now_s]


@dataclass(slots=True)
class _Shopper:
    leaves_at_s: float
    steals: bool = False
    basket: Counter[str] = field(default_factory=Counter)


class _Planner:
    """Draws one plan: a queue of people, each busy with one thing at a time."""

    def __init__(self, scenario: Scenario, seconds: float, seed: str) -> None:
        self._people, self._seconds = scenario.people, seconds
        # How careless people are must not change what else they do.
        self._rng, self._careless = Random(seed), Random(f"{seed}/across")
        self._last_s = seconds - self._people.quiet_s
        self._has_door = scenario.door is not None
        self._back = dict(scenario.backroom) if scenario.backroom is not None else None
        self._shelves = {
            f.id: _Shelf(f, f.on_hand, low_since_s=0.0 if f.on_hand <= f.reorder_point else None)
            for f in scenario.facings
        }
        self._beside = scenario.beside
        self._mates: dict[str, set[str]] = {facing.id: set() for facing in scenario.facings}
        for group in scenario.plates():
            for facing in group:
                self._mates[facing] |= set(group)
        self._shoppers: dict[int, _Shopper] = {}
        self._queue: list[tuple[float, int]] = [(1.0, _STAFF)]
        self._acts: list[Act] = []
        self._bags: list[Bag] = []
        self._leavings: list[Leaving] = []
        self._passages: list[tuple[float, Direction]] = []
        script = [h for h in sorted(scenario.timeline, key=lambda h: h.at_s) if h.at_s <= self._last_s]
        self._deliveries = [happening for happening in script if isinstance(happening, Delivery)]
        self._arrived = 0
        for happening in script:
            self._follow(happening)

    def _follow(self, scripted: ScriptedAct | Misplacing | Theft | BagLaid | Delivery) -> None:
        at_s = scripted.at_s
        match scripted:
            case ScriptedAct(facing=facing, act=kind, quantity=quantity, across=onto):
                across = (onto,) if onto is not None else ()
                self._do(Act(at_s, facing, kind, quantity, _STAFF, across=across))
            case Misplacing(facing=facing, onto=onto):
                self._do(Act(at_s, facing, "pick", 1, _STAFF))
                self._do(Act(at_s + 2.0, onto, "misplace", 1, _STAFF, origin=facing))
            case Theft(facing=facing, quantity=quantity):
                thief = len(self._shoppers) + 1
                self._shoppers[thief] = _Shopper(at_s, steals=True)
                self._through_door(max(0.0, at_s - self._people.walk_to_shelf_s), "entered")
                act = Act(
                    at_s, facing, "pick", min(quantity, self._shelves[facing].on_hand), thief, sweeping=True
                )
                if act.quantity:
                    self._do(act)
                self._leave(at_s + 3.0, thief)
            case BagLaid(facing=facing, weight_g=weight_g, for_s=for_s):
                self._bags.append(Bag(at_s, facing, weight_g, at_s + for_s))
            case Delivery():
                pass  # what has come is looked at when staff turn to the shelves

    def draw(self) -> Plan:
        inside = self._people.first_inside
        for number in range(inside):
            self._arrive(self._rng.uniform(1.5, 3.0), stayed_share=(number + 0.5) / inside)
        at_s = self._rng.uniform(0.5, 2.0)
        while at_s <= self._last_s:
            rate = self._people.rate_at(at_s / self._seconds)
            if rate == 0:
                at_s += 1.0
                continue
            self._arrive(self._through_door(at_s, "entered") + self._people.walk_to_shelf_s)
            at_s += 60.0 / rate * self._rng.uniform(0.6, 1.4)
        while self._queue:
            now_s, person = heapq.heappop(self._queue)
            if now_s > self._last_s - _LONGEST_PICK_S:
                continue
            again_s = self._staff_turn(now_s) if person == _STAFF else self._shopper_turn(now_s, person)
            if again_s is not None:
                heapq.heappush(self._queue, (again_s, person))
        return Plan(
            self._seconds,
            acts=tuple(sorted(self._acts, key=lambda act: act.at_s)),
            passages=tuple(Passage(at_s, direction) for at_s, direction in self._passages),
            bags=tuple(sorted(self._bags, key=lambda bag: bag.at_s)),
            leavings=tuple(sorted(self._leavings, key=lambda leaving: leaving.at_s)),
            deliveries=tuple(self._deliveries),
        )

    def _arrive(self, at_s: float, *, stayed_share: float = 0.0) -> None:
        person = len(self._shoppers) + 1
        stays_s = (1.0 - stayed_share) * self._rng.uniform(*self._people.visit_s)
        steals = self._people.steals > 0 and self._rng.random() < self._people.steals
        self._shoppers[person] = _Shopper(at_s + stays_s, steals=steals)
        heapq.heappush(self._queue, (at_s, person))

    def _through_door(self, at_s: float, direction: Direction) -> float:
        """Walks keep apart as people do in a doorway; returns when this one starts."""
        if not self._has_door:
            return at_s
        start_s, gap_s = at_s, self._people.door_gap_s
        nearest = bisect_left(self._passages, (start_s - gap_s, "entered"))
        for taken_s, _ in self._passages[nearest:]:
            if taken_s - start_s >= gap_s:
                break
            if abs(taken_s - start_s) < gap_s:
                start_s = taken_s + gap_s
        if start_s <= self._last_s:
            insort(self._passages, (start_s, direction))
        return start_s

    def _leave(self, at_s: float, person: int) -> None:
        if at_s <= self._last_s:
            self._leavings.append(Leaving(at_s, person, paid=not self._shoppers[person].steals))
        self._through_door(at_s + 1.0, "exited")

    def _shopper_turn(self, now_s: float, person: int) -> float | None:
        shopper = self._shoppers[person]
        if now_s >= shopper.leaves_at_s:
            self._leave(now_s, person)
            return None
        act = self._choose(now_s, person, shopper)
        if act is None:
            return now_s + 0.5
        self._do(act)
        shopper.basket[act.origin or act.facing] += -1 if act.origin else -act.change
        if self._people.leaves_bag and self._rng.random() < self._people.leaves_bag:
            until_s = act.end_s + self._rng.uniform(*self._people.bag_stays_s)
            self._bags.append(
                Bag(act.end_s + 0.5, act.facing, self._rng.uniform(*self._people.bag_g), until_s)
            )
        return act.end_s + self._rng.uniform(*self._people.between_acts_s)

    def _choose(self, now_s: float, person: int, shopper: _Shopper) -> Act | None:
        near = list(self._shelves.values())
        if len(near) > _LOOKED_AT:
            near = [shelf for shelf in near if shopper.basket[shelf.facing.id]]
            near += self._rng.sample(list(self._shelves.values()), _LOOKED_AT)
        free = [shelf for shelf in near if shelf.free_at_s <= now_s]
        if self._rng.random() < self._people.puts_back:
            own = [s for s in free if shopper.basket[s.facing.id] > 0]
            wrong = [s for s in own if s.on_hand < s.facing.capacity]
            if own and self._people.misplaces and self._rng.random() < self._people.misplaces:
                elsewhere = [s for s in free if s not in own]
                if elsewhere:
                    onto, origin = self._rng.choice(elsewhere).facing.id, self._rng.choice(own).facing.id
                    return Act(now_s, onto, "misplace", 1, person, origin=origin)
            if wrong:
                return Act(now_s, self._rng.choice(wrong).facing.id, "return", 1, person)
        stocked = [shelf for shelf in free if shelf.on_hand > 0]
        if not stocked:
            return None
        weights = [1.0 + (now_s - shelf.free_at_s) ** 2 for shelf in stocked]
        shelf = self._rng.choices(stocked, weights)[0]
        two = shelf.on_hand >= 2 and self._rng.random() < self._people.two_at_once
        return Act(now_s, shelf.facing.id, "pick", 2 if two else 1, person)

    def _staff_turn(self, now_s: float) -> float:
        self._unload(now_s)
        for shelf in self._shelves.values():
            room = shelf.facing.capacity - shelf.on_hand
            if shelf.low_since_s is None or shelf.free_at_s > now_s or room < self._people.restock_at_least:
                continue
            if now_s - shelf.low_since_s < self._rng.uniform(*self._people.restock_after_s):
                continue
            gtin = shelf.facing.gtin
            there = room if self._back is None else self._back.get(gtin, 0)
            if not all(self._free(name, now_s) for name in shelf.astray(now_s)):
                continue
            act = Act(now_s, shelf.facing.id, "restock", min(room, there, 12), _STAFF)
            if act.quantity and act.end_s <= self._last_s:
                self._do(act)
                if self._back is not None:
                    self._back[gtin] -= act.quantity
                return act.end_s + 2.0
        return now_s + 1.0

    def _unload(self, now_s: float) -> None:
        while self._arrived < len(self._deliveries) and self._deliveries[self._arrived].at_s <= now_s:
            came = self._deliveries[self._arrived]
            self._arrived += 1
            if self._back is not None:
                self._back[came.gtin] = self._back.get(came.gtin, 0) + came.quantity

    def _do(self, act: Act) -> None:
        shelf = self._shelves[act.facing]
        act = replace(act, across=act.across or tuple(self._reached(act, shelf)))
        for onto in act.across if act.kind != "return" else ():
            there = [one for one in shelf.across if one[1] == onto and one[0] <= act.at_s]
            shelf.across.remove(there[-1])
        shelf.across += [(act.end_s, onto) for onto in act.across if act.kind == "return"]
        shelf.on_hand += act.change
        for mate in self._mates[act.facing].union(act.across):
            rest_s = act.end_s + self._people.plate_rest_s
            self._shelves[mate].free_at_s = max(self._shelves[mate].free_at_s, rest_s)
        low = shelf.on_hand <= shelf.facing.reorder_point
        shelf.low_since_s = (
            (shelf.low_since_s if shelf.low_since_s is not None else act.at_s) if low else None
        )
        self._acts.append(act)

    def _reached(self, act: Act, shelf: _Shelf) -> list[str]:
        """Onto whose plates those items reach that the act lays, takes or puts right.

        A shopper takes any item that lies there, those that lie across among them.
        """
        astray = shelf.astray(act.at_s)
        match act.kind:
            case "return" if self._people.lays_across and self._careless.random() < self._people.lays_across:
                free = [name for name in self._beside[act.facing] if self._free(name, act.at_s)]
                return [self._careless.choice(free)] if free else []
            case "pick" if astray:
                there = range(max(shelf.on_hand, len(astray)))
                taken = self._careless.sample(there, min(act.quantity, len(there)))
                return [astray[n] for n in taken if n < len(astray) and self._free(astray[n], act.at_s)]
            case "restock":
                return astray
            case _:
                return []

    def _free(self, facing: str, now_s: float) -> bool:
        return self._shelves[facing].free_at_s <= now_s
