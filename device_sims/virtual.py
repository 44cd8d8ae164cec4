"""A simulated store on a clock of its own: the same world, devices and bytes, as fast as the machine can.

For tests of accuracy and endurance in one process. The scenario's faults come at their time. What befalls the
broker or the line to HQ means nothing here: neither is part of this store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from device_sims.fault import Fault
from device_sims.mqtt_link import Publication
from device_sims.plan import Plan, plan_visit
from device_sims.rig import Rig
from device_sims.scenario import Scenario
from device_sims.truth import AnyRecord, FaultChanged, truth_of
from device_sims.world import World

OPENED_AT = datetime(2026, 1, 1, tzinfo=UTC)
_STEP_S = 0.02


class VirtualStore:
    """`advance` lets time pass, `ask` talks to a device on a line; `truth` is what has happened so far."""

    def __init__(self, scenario: Scenario, *, seed: int, opened_at: datetime = OPENED_AT) -> None:
        self.now_s = 0.0
        self.truth: list[AnyRecord] = []
        self.plan: Plan = plan_visit(scenario, seconds=scenario.seconds, seed=seed)
        self.world = World(scenario, self.plan, seed=seed)
        self.rig = Rig(scenario, self.world, seed=seed, clock=lambda: self.now_s)
        self._scenario, self._opened_at = scenario, opened_at
        self._unplugged: Counter[str] = Counter()
        """Connection to the faults that each keep it unplugged."""
        self._turns = sorted(_turns(scenario), key=lambda turn: turn[0])
        self._dialogues = {plug: line.dialogue for plug, line in self.rig.lines.items()}
        for dialogue in self._dialogues.values():
            dialogue.power_on()
        self.world.open(0.0)

    @property
    def now(self) -> datetime:
        """The store's wall clock."""
        return self._opened_at + timedelta(seconds=self.now_s)

    def advance(self, to_s: float) -> Iterator[tuple[float, str, Publication]]:
        """Let time pass; yields (second, connection, message) of what is published on the way."""
        while self.now_s < to_s:
            self.now_s = min(to_s, self.now_s + _STEP_S)
            self.truth += [truth_of(one, 0.0, self._opened_at) for one in self.world.advance(self.now_s)]
            while self._turns and self._turns[0][0] <= self.now_s:
                _, begins, fault = self._turns.pop(0)
                yield from ((self.now_s, *said) for said in self._turn(fault, begins=begins))
            at_ns = round(self.now.timestamp() * 1e9)
            for connection, said in self.rig.speak(self.now_s, at_ns):
                if not self._unplugged[connection]:
                    yield self.now_s, connection, said

    def ask(self, device: str, question: bytes = b"") -> bytes:
        """What a device on a line has said by now, to `question` or by itself."""
        plug = self.rig.devices[device].plug
        if self._unplugged[plug]:
            return b""
        dialogue = self._dialogues[plug]
        return dialogue.tick() + (dialogue.feed(question) if question else b"")

    def _turn(self, fault: Fault, *, begins: bool) -> Iterator[tuple[str, Publication]]:
        """A fault begins or ends; yields what connections say that go or come."""
        names = self._scenario.befallen(fault)
        self.truth.append(
            FaultChanged(
                occurred_at=self.now, fault=fault.fault, devices=names, state="began" if begins else "ended"
            )
        )
        if fault.fault in ("power-cut", "unplug"):
            for plug in dict.fromkeys(self.rig.devices[name].plug for name in names):
                yield from self._unplug(plug) if begins else self._replug(plug)
            return
        for name in names:
            if name in self.world.fridges:
                self.world.fridges[name].failed = begins
            else:
                self.rig.befall(name, fault, begins=begins)

    def _unplug(self, plug: str) -> Iterator[tuple[str, Publication]]:
        self._unplugged[plug] += 1
        hub = self.rig.hubs.get(plug)
        if self._unplugged[plug] == 1 and hub is not None and hub.will is not None:
            yield plug, hub.will

    def _replug(self, plug: str) -> Iterator[tuple[str, Publication]]:
        self._unplugged[plug] -= 1
        if self._unplugged[plug]:
            return
        if plug in self._dialogues:
            self._dialogues[plug].power_on()
        for said in self.rig.hubs[plug].birth if plug in self.rig.hubs else ():
            yield plug, said


def _turns(scenario: Scenario) -> Iterator[tuple[float, bool, Fault]]:
    """(second, whether it begins or ends, fault)."""
    for fault in scenario.faults:
        at_s = fault.begins_s(scenario.seconds)
        yield at_s, True, fault
        if fault.for_s is not None:
            yield at_s + fault.for_s, False, fault
