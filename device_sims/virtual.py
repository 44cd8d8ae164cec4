"""A simulated store on a clock of its own: the same world, devices and bytes, as fast as the machine can.

For tests of accuracy and endurance in one process. A scenario's `faults` need real wires and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from device_sims.mqtt_link import Publication
from device_sims.plan import Plan, plan_visit
from device_sims.rig import Rig
from device_sims.scenario import Scenario
from device_sims.truth import AnyRecord, truth_of
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
        self._opened_at = opened_at
        for line in self.rig.lines.values():
            line.dialogue.power_on()
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
            at_ns = round(self.now.timestamp() * 1e9)
            for connection, said in self.rig.speak(self.now_s, at_ns):
                yield self.now_s, connection, said

    def ask(self, device: str, question: bytes = b"") -> bytes:
        """What a device on a line has said by now, to `question` or by itself."""
        dialogue = self.rig.lines[self.rig.devices[device].plug].dialogue
        return dialogue.tick() + (dialogue.feed(question) if question else b"")
