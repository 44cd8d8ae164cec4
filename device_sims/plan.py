"""Who will do what and when: a store's next minutes, drawn from a seed before they happen."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from device_sims.scenario import Scenario, StockedFacing

ActKind = Literal["pick", "return", "restock"]
Direction = Literal["entered", "exited"]

_HANDFULS: dict[ActKind, tuple[int, float]] = {"pick": (1, 0.5), "return": (1, 0.5), "restock": (2, 0.4)}
"""Kind -> (items in one handful, seconds from one handful to the next)."""
_LONGEST_PICK_S = 0.5
_STAFF = 0
_TRIES = 200


@dataclass(frozen=True, slots=True)
class Act:
    """One person's work on one facing. `at_s` is when the first item moves, in seconds since opening."""

    at_s: float
    facing: str
    kind: ActKind
    quantity: int
    person: int

    @property
    def handfuls(self) -> list[tuple[float, int]]:
        """When how many items move, in order."""
        size, every_s = _HANDFULS[self.kind]
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
        """What it does to the count."""
        return -self.quantity if self.kind == "pick" else self.quantity


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


def plan_visit(scenario: Scenario, *, seconds: float, seed: int) -> Plan:
    """A plan in which, where one can be found, every kind of act happens and every facing ends elsewhere
    than it stood at half time: a scale that is lost on the way must not go unnoticed."""
    for attempt in range(_TRIES):
        plan = _Planner(scenario, seconds, Random(f"{seed}/plan/{attempt}")).draw()
        moved = all(_net_change(plan, facing.id, after_s=seconds / 2) for facing in scenario.facings)
        if moved and {act.kind for act in plan.acts} == set(_HANDFULS):
            return plan
    return plan


def _net_change(plan: Plan, facing: str, *, after_s: float) -> int:
    return sum(act.change for act in plan.acts if act.facing == facing and act.at_s >= after_s)


@dataclass(slots=True)
class _Shelf:
    facing: StockedFacing
    on_hand: int
    free_at_s: float = 0.0
    low_since_s: float | None = None


@dataclass(slots=True)
class _Shopper:
    leaves_at_s: float
    basket: dict[str, int] = field(default_factory=dict)


class _Planner:
    """Draws one plan: a queue of people, each busy with one thing at a time."""

    def __init__(self, scenario: Scenario, seconds: float, rng: Random) -> None:
        self._people, self._rng, self._seconds = scenario.people, rng, seconds
        self._last_s = seconds - self._people.quiet_s
        self._has_door = scenario.camera is not None
        self._shelves = {
            f.id: _Shelf(f, f.on_hand, low_since_s=0.0 if f.on_hand <= f.reorder_point else None)
            for f in scenario.facings
        }
        self._shoppers: dict[int, _Shopper] = {}
        self._queue: list[tuple[float, int]] = [(1.0, _STAFF)]
        self._acts: list[Act] = []
        self._passages: list[Passage] = []
        for scripted in sorted(scenario.timeline, key=lambda s: s.at_s):
            if scripted.at_s <= self._last_s:
                self._do(Act(scripted.at_s, scripted.facing, scripted.act, scripted.quantity, _STAFF))

    def draw(self) -> Plan:
        inside = self._people.inside_at_opening
        for number in range(inside):
            self._arrive(self._rng.uniform(1.5, 3.0), stayed_share=(number + 0.5) / inside)
        pace_s = 60.0 / self._people.shoppers_per_minute
        at_s = self._rng.uniform(0.5, 2.0)
        while at_s <= self._last_s:
            self._arrive(self._through_door(at_s, "entered") + self._people.walk_to_shelf_s)
            at_s += pace_s * self._rng.uniform(0.6, 1.4)
        while self._queue:
            now_s, person = heapq.heappop(self._queue)
            if now_s > self._last_s - _LONGEST_PICK_S:
                continue
            again_s = self._staff_turn(now_s) if person == _STAFF else self._shopper_turn(now_s, person)
            if again_s is not None:
                heapq.heappush(self._queue, (again_s, person))
        acts = sorted(self._acts, key=lambda act: act.at_s)
        return Plan(
            self._seconds, tuple(acts), tuple(sorted(self._passages, key=lambda passage: passage.at_s))
        )

    def _arrive(self, at_s: float, *, stayed_share: float = 0.0) -> None:
        person = len(self._shoppers) + 1
        stays_s = (1.0 - stayed_share) * self._rng.uniform(*self._people.visit_s)
        self._shoppers[person] = _Shopper(at_s + stays_s)
        heapq.heappush(self._queue, (at_s, person))

    def _through_door(self, at_s: float, direction: Direction) -> float:
        """Walks keep apart as people do in a doorway; returns when this one starts."""
        if not self._has_door:
            return at_s
        start_s, gap_s = at_s, self._people.door_gap_s
        for taken_s in sorted(passage.at_s for passage in self._passages):
            if abs(taken_s - start_s) < gap_s:
                start_s = taken_s + gap_s
        if start_s <= self._last_s:
            self._passages.append(Passage(start_s, direction))
        return start_s

    def _shopper_turn(self, now_s: float, person: int) -> float | None:
        shopper = self._shoppers[person]
        if now_s >= shopper.leaves_at_s:
            self._through_door(now_s + 1.0, "exited")
            return None
        act = self._choose(now_s, person, shopper)
        if act is None:
            return now_s + 0.5
        self._do(act)
        shopper.basket[act.facing] = shopper.basket.get(act.facing, 0) - act.change
        return act.end_s + self._rng.uniform(*self._people.between_acts_s)

    def _choose(self, now_s: float, person: int, shopper: _Shopper) -> Act | None:
        free = [shelf for shelf in self._shelves.values() if shelf.free_at_s <= now_s]
        if self._rng.random() < self._people.puts_back:
            wrong = [s for s in free if shopper.basket.get(s.facing.id) and s.on_hand < s.facing.capacity]
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
        for shelf in self._shelves.values():
            room = shelf.facing.capacity - shelf.on_hand
            if shelf.low_since_s is None or shelf.free_at_s > now_s or room < self._people.restock_at_least:
                continue
            if now_s - shelf.low_since_s < self._rng.uniform(*self._people.restock_after_s):
                continue
            act = Act(now_s, shelf.facing.id, "restock", min(room, 12), _STAFF)
            if act.end_s <= self._last_s:
                self._do(act)
                return act.end_s + 2.0
        return now_s + 1.0

    def _do(self, act: Act) -> None:
        shelf = self._shelves[act.facing]
        shelf.on_hand += act.change
        shelf.free_at_s = act.end_s + self._people.plate_rest_s
        low = shelf.on_hand <= shelf.facing.reorder_point
        shelf.low_since_s = (
            (shelf.low_since_s if shelf.low_since_s is not None else act.at_s) if low else None
        )
        self._acts.append(act)
