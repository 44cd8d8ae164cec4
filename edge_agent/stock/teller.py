"""What is believed of each facing and what HQ was told of it: the step from one belief to the next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edge_agent.contract.messages import Cause, GapMoved
from edge_agent.contract.planogram import Facing
from edge_agent.moment import Moment
from edge_agent.readings import GapSeen
from edge_agent.stock import memory
from edge_agent.stock.belief import Belief
from edge_agent.stock.carried import Carried
from edge_agent.stock.demand import Demand
from edge_agent.stock.effects import Effects
from edge_agent.stock.evidence import Evidence
from edge_agent.stock.memory import Memory
from edge_agent.stock.takes import Takes
from edge_agent.stock.telling import worth_telling


class Teller:
    """Of all facings; `beliefs` are those that were kept when the process stopped.

    A confidence is told when it has moved by `step`.
    """

    def __init__(
        self,
        facings: Iterable[Facing],
        beliefs: Iterable[Belief],
        evidence: Evidence,
        takes: Takes,
        demand: Demand,
        *,
        step: float,
    ) -> None:
        self._facings = {facing.id: facing for facing in facings}
        self._evidence, self._takes, self._demand, self._step = evidence, takes, demand, step
        self._gaps: dict[str, set[str]] = {}
        known = {b.facing: b for b in beliefs}
        self.beliefs: dict[str, Belief] = {
            f.id: known[f.id] if f.id in known and known[f.id].gtin == f.gtin else Belief(f.id, f.gtin)
            for f in self._facings.values()
        }
        self._told = dict(self.beliefs)
        for name, belief in self.beliefs.items():
            self._recall(name, memory.read(belief.memory))

    def become(self, effects: Effects, before: Belief, after: Belief, cause: Cause, now: Moment) -> None:
        """A facing is believed anew; HQ is told where that is worth it."""
        if after.on_hand != before.on_hand:
            after = replace(after, changed_at=now.at)
            if cause in ("pick", "return"):
                self._takes.moved(after.gtin, (after.on_hand or 0) - (before.on_hand or 0), now.mono_s)
        self.beliefs[after.facing] = after
        self._demand.follow(before, after, cause, now.at)
        told = self._told[after.facing]
        if worth_telling(told, after, step=self._step):
            due_at = self._demand.due_at(told, after, self._facings[after.facing], now.at)
            self.beliefs[after.facing] = after = replace(after, reorder_due_at=due_at)
            self._told[after.facing] = after
            effects.tell("stock.changed", after.changed_from(told, cause), now.at)
            self.keep(effects, after.facing)

    def gap(self, effects: Effects, reading: GapSeen, now: Moment) -> None:
        """A camera's verdict: HQ is told when it becomes another one."""
        seeing = self._gaps.setdefault(reading.facing, set())
        if reading.gap == (reading.device in seeing):
            return
        seeing.symmetric_difference_update({reading.device})
        body = GapMoved(facing=reading.facing, device=reading.device, fill=reading.fill)
        effects.tell("gap.opened" if reading.gap else "gap.closed", body, now.at)
        self.keep(effects, reading.facing)

    def keep(self, effects: Effects, name: str) -> None:
        """The belief and what else is known of the facing go into the journal."""
        carried = self._evidence.carried.get(name)
        kept = Memory(
            carried=[(n, round(share, 4)) for n, share in carried.shares.items()] if carried else [],
            counted_at=carried.counted_at if carried else None,
            known=self._evidence.known.get(name),
            gaps=sorted(self._gaps.get(name, ())),
            run_rate=self._demand.write(name),
        )
        self.beliefs[name] = replace(self.beliefs[name], memory=memory.write(kept))
        effects.beliefs.append(self.beliefs[name])

    def _recall(self, name: str, kept: Memory) -> None:
        if kept.run_rate:
            self._demand.recall(name, kept.run_rate)
        if kept.known is not None:
            self._evidence.known[name] = kept.known
        most = 2 * self._facings[name].capacity
        shares = {n: share for n, share in kept.carried if 0 <= n <= most}
        if shares:
            carried = self._evidence.carried.setdefault(name, Carried(most))
            carried.shares, carried.counted_at = shares, kept.counted_at
        if kept.gaps:
            self._gaps[name] = set(kept.gaps)
