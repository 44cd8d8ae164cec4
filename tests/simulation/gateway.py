"""A store's gateway: its real journal and uplink over one disk, and the captures of a shop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec

from edge_agent.contract.messages import (
    Command,
    CommandDone,
    DeviceChanged,
    GapMoved,
    PlanogramApplied,
    Presence,
    RecountOrder,
    StoreProfile,
)
from edge_agent.contract.times import rfc3339
from edge_agent.health import Condition
from edge_agent.journal import Capture, Journal
from edge_agent.journal.file import connect
from edge_agent.lines import Line as Said
from edge_agent.stock.belief import Belief
from edge_agent.sync import Uplink
from edge_agent.sync.uplink import Session
from tests.simulation.disk import fresh, image
from tests.simulation.hq import STORE, reading
from tests.simulation.loop import VirtualLoop
from tests.simulation.net import Line, Net
from tests.simulation.writers import JournalWriter

FACINGS = ("A1", "A2", "A3")
GTINS = ("06901234567892", "04006381333931")


class ResumableUplink(Uplink):
    """The real uplink; with `resumed` it goes on in a session as a machine does whose snapshot had it."""

    resumed: Session | None = None
    session: Session | None = None

    async def _hello(self) -> Session:
        resumed, self.resumed = self.resumed, None
        self.session = resumed or await super()._hello()
        return self.session


class Gateway:
    """One disk and what runs on it. `acknowledged` is called with the eids of each commit."""

    uplink_of: type[ResumableUplink] = ResumableUplink

    def __init__(
        self,
        folder: Path,
        net: Net,
        loop: VirtualLoop,
        r: random.Random,
        *,
        acknowledged: Callable[[list[bytes]], None],
    ) -> None:
        self.folder, self._net, self._loop, self._r = folder, net, loop, r
        self._acknowledged = acknowledged
        folder.mkdir()
        self.file.write_bytes(fresh(_empty))

    @property
    def file(self) -> Path:
        return self.folder / "journal.db"

    # --- its life ---

    def start(self, resumed: Session | None = None) -> None:
        """With whatever the disk holds, in a new session or in one that memory still has."""
        self.journal = Journal(
            self.folder, commit_window_s=0, writer=JournalWriter, new_eid=lambda: self._r.randbytes(16)
        )
        self._heard = self.journal.durable_seq
        self.journal.on_commit = self._committed
        self.beliefs = {belief.facing: belief for belief in self.journal.restored.beliefs}
        self.conditions = {one.device: one for one in self.journal.restored.conditions}
        self.uplink = self.uplink_of(
            self.journal,
            hq=Line(self._net, self.folder.name),
            store=STORE,
            profile=StoreProfile(name="S", timezone="UTC"),
            presence=Presence,
            version="0",
            retell=self.retell,
            obey=self.obey,
        )
        self.uplink.resumed = resumed
        self.task = self._loop.create_task(self.uplink.run())

    def memory(self) -> Session | None:
        """Its session, as a snapshot of the machine's memory has it."""
        return None if self.uplink.session is None else replace(self.uplink.session)

    def kill(self) -> None:
        """Power cut: what is not committed is gone, and so is whatever ran."""
        writer = self.journal._writer
        assert isinstance(writer, JournalWriter)
        writer.kill()
        saved = self.folder / "killed.db"
        image(self.file, saved)
        self.journal.on_commit = lambda _: None
        self.task.cancel()
        self._loop.run_until(self.task.done, within_s=0)
        writer.kill()
        self.journal.close()
        image(saved, self.file)

    def held(self) -> list[bytes]:
        """The eids on the disk, oldest first."""
        with closing(reading(self.file)) as db:
            return [eid for (eid,) in db.execute("select eid from outbox order by seq")]

    def not_safe(self) -> list[bytes]:
        """The eids that it must not forget yet."""
        upto = min(self.journal.position.applied, self.journal.position.safe)
        return [bytes.fromhex(row.eid) for row in self.journal.rows_after(upto, limit=100_000)]

    def forget(self, older_than_s: float) -> None:
        """Retention, as the agent does it."""
        before = rfc3339(self._loop.now() - timedelta(seconds=older_than_s))
        self.journal.prune(self.journal.newest_seq_before(before))

    # --- what happens in the shop ---

    def capture(self) -> None:
        """Something that sensors saw; acknowledged once it is committed."""
        r, made = self._r, Capture()
        if not self.beliefs or r.random() < 0.05:
            self._apply_planogram(made)
        if r.random() < 0.1:
            self._condition(made)
        if r.random() < 0.05:
            self._tell(
                made, r.choice(("gap.opened", "gap.closed")), GapMoved(facing="A1", device="c", fill=0.5)
            )
        if r.random() < 0.03:
            self._tell(made, "robot.waved", Presence())  # a kind of a later version: parked at HQ
        for _ in range(r.choice((1, 1, 2, 5))):
            self._count(made, r.choice(FACINGS), r.randrange(12))
        self.journal.submit(made)

    async def retell(self) -> None:
        """The whole present once more, as the agent tells it."""
        made = Capture()
        if self.beliefs:
            self._tell(made, "planogram.applied", _planogram({f: b.gtin for f, b in self.beliefs.items()}))
        for belief in self.beliefs.values():
            if belief.on_hand is not None:
                self._tell(made, "stock.changed", belief.changed_from(belief, "correction"))
        for condition in self.conditions.values():
            self._tell(made, "device.changed", condition.body())
        await asyncio.wrap_future(self.journal.submit(made))

    async def obey(self, command: Command) -> None:
        """A recount, done once or refused, as the agent's intake does it."""
        line, made = Said("command", command.id, "", command.kind), Capture()
        if self.journal.content_of(line.key) is not None:
            return
        order = msgspec.convert(command.body, RecountOrder)
        is_known = order.facing in self.beliefs
        if is_known:
            self._count(made, order.facing, order.on_hand)
        made.lines.append(line)
        outcome = CommandDone(
            command=command.id,
            outcome="applied" if is_known else "refused",
            reason=None if is_known else "there is no such facing",
        )
        self._tell(made, "command.done", outcome)
        await asyncio.wrap_future(self.journal.submit(made))

    # --- small steps ---

    def _committed(self, upto: int) -> None:
        rows = self.journal.rows_after(self._heard, limit=10_000)
        self._heard = upto
        self._acknowledged([bytes.fromhex(row.eid) for row in rows])
        self._loop.call_soon(self.uplink.wake)

    def _tell(self, made: Capture, kind: str, body: msgspec.Struct) -> None:
        made.effects.tell(kind, body, self._loop.now())

    def _count(self, made: Capture, facing: str, on_hand: int) -> None:
        before = self.beliefs[facing]
        after = replace(before, on_hand=on_hand, confidence=0.9, status="ok", sources=("weight",))
        self._believe(made, after)
        self._tell(made, "stock.changed", after.changed_from(before, "pick"))

    def _condition(self, made: Capture) -> None:
        status = self._r.choice(("online", "offline"))
        condition = Condition("scale-1", "mt-sics", status, None, self._loop.now())
        self.conditions[condition.device] = condition
        made.conditions.append(condition)
        body = DeviceChanged(device="scale-1", driver="mt-sics", status=status, reason=None)
        self._tell(made, "device.changed", body)

    def _apply_planogram(self, made: Capture) -> None:
        gtins = {facing: self._r.choice(GTINS) for facing in FACINGS}
        self._tell(made, "planogram.applied", _planogram(gtins))
        for facing, gtin in gtins.items():
            if facing not in self.beliefs or self.beliefs[facing].gtin != gtin:
                self._believe(made, Belief(facing, gtin))

    def _believe(self, made: Capture, belief: Belief) -> None:
        self.beliefs[belief.facing] = belief
        made.effects.beliefs.append(belief)


def _empty(file: Path) -> None:
    connect(file).close()


def _planogram(gtins: dict[str, str]) -> PlanogramApplied:
    places = [{"id": f, "gtin": g, "capacity": 24, "reorder_point": 6} for f, g in gtins.items()]
    products = [{"gtin": g, "name": g[-4:]} for g in sorted(set(gtins.values()))]
    return PlanogramApplied(revision=0, products=products, facings=places)
