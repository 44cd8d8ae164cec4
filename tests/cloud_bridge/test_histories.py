"""Random histories against the real engine: lost and doubled messages, restored disks, clones, a restored HQ.

Each seed ends with a clean link. Then nothing that still exists on a gateway is missing at HQ, nothing is
there twice, and ledger, facings and feed agree. `test_the_check_itself_can_fail` is the negative control.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_bridge.errors import Conflict
from cloud_bridge.rows import make_ready
from cloud_bridge.store.postgres import PostgresEngine
from cloud_bridge.store.postgres.audit import audit as audit_postgres
from cloud_bridge.store.postgres.database import Address
from cloud_bridge.store.records import Credential, Want
from cloud_bridge.store.sqlite import SqliteEngine
from cloud_bridge.store.sqlite.audit import audit
from edge_agent.contract.messages import Batch, FacingState, Hello, Position, State, StoreProfile

STORE = "s1"
FACINGS = ("A1", "A2", "A3")


async def opened(path: Path) -> SqliteEngine:
    engine = SqliteEngine(path)
    if not await engine.credentials():
        await engine.add_credential(Credential(b"\0" * 32, "store", STORE, None, "", None))
    return engine


class Gateway:
    """An agent reduced to its outbox and the last answer of HQ."""

    def __init__(self, make, outbox=None) -> None:
        self.make, self.outbox = make, outbox or make.Outbox()
        self.session, self.branch, self.applied = "", "", 0

    def capture(self, r: random.Random) -> None:
        if r.random() < 0.05:
            gtins = (self.make.COLA, self.make.WATER)
            facings = [(f, r.choice(gtins)) for f in FACINGS if r.random() < 0.8]
            self.outbox.add(self.make.planogram(*facings, revision=self.outbox.last_seq))
        elif r.random() < 0.05:
            self.outbox.add(("robot.waved", {}))
        else:
            self.outbox.add(self.make.stock(r.choice(FACINGS), r.randrange(12)))

    def locator(self, seqs) -> Hello:
        o = self.outbox
        return Hello(
            store=STORE, agent_id="a", boot_id="b", last_seq=o.last_seq, base_seq=o.base[0],
            base_chain=o.base[1].hex(), locator=[Position(s, o.chain_at(s).hex()) for s in seqs], versions={},
            sent_at=self.make.AT, profile=StoreProfile(name="", timezone="UTC"),
        )  # fmt: skip

    async def hello(self, engine: SqliteEngine) -> None:
        o = self.outbox
        seqs = list(range(o.last_seq, o.base[0], -7))
        for _ in range(10):
            answer = await engine.hello(STORE, self.locator(seqs), received_at=self.make.AT)
            if not isinstance(answer, Want):
                break
            seqs = [s for s in range(answer.end - 1, answer.first - 1, -1) if s >= o.base[0]]
        self.session, self.branch, self.applied = answer.session, answer.branch, answer.merge.seq

    def state(self) -> State:
        """What the fold of the outbox believes now, as the agent would say it."""
        shown: dict[str, FacingState] = {}
        for row in self.outbox.rows:
            body = msgspec.json.decode(row.body)
            if row.kind == "planogram.applied":
                wanted = {f["id"]: f["gtin"] for f in body["facings"]}
                shown = {
                    f: shown[f] if f in shown and shown[f].gtin == g else unknown(f, g)
                    for f, g in wanted.items()
                }
            elif row.kind == "stock.changed":
                shown[body["facing"]] = msgspec.structs.replace(
                    unknown(body["facing"], body["gtin"]),
                    on_hand=body["on_hand"],
                    status="ok",
                    confidence=0.9,
                )
        return State(
            session=self.session,
            as_of_seq=self.outbox.last_seq,
            facings=list(shown.values()),
            devices=[],
            gaps=[],
        )


def unknown(facing: str, gtin: str) -> FacingState:
    return FacingState(
        facing=facing, gtin=gtin, on_hand=None, confidence=0, status="unknown", sources=[], changed_at=None,
        observed_at=None,
    )  # fmt: skip


class Lab:
    """One HQ, its gateways and a wire that loses, doubles and reorders; every step is drawn from a seed."""

    def __init__(self, seed: int, folder: Path, make) -> None:
        self.r, self.path, self.backup, self.make = (
            random.Random(seed),
            folder / "hq.sqlite3",
            folder / "b",
            make,
        )
        self.gateways = [Gateway(make)]
        self.disk = make.Outbox()
        self.wire: list[Batch] = []
        self.steps = {
            self.capture: 40, self.hello: 10, self.put_on_wire: 25, self.take_from_wire: 18, self.back_up_disk: 1,
            self.restore_disk: 1.5, self.reimage: 0.5, self.clone: 1, self.back_up_hq: 1, self.restore_hq: 0.5,
        }  # fmt: skip

    async def live(self, steps: int) -> None:
        self.engine = await self.opened()
        for step in self.r.choices(list(self.steps), list(self.steps.values()), k=steps):
            gateway = self.r.choice(self.gateways)
            try:
                await step(gateway)
            except Conflict:
                gateway.session = ""
        for gateway in self.gateways:
            await gateway.hello(self.engine)
            while (first := gateway.applied + 1) <= gateway.outbox.last_seq:
                batch = gateway.outbox.batch(gateway.session, gateway.branch, first, first + 9)
                gateway.applied = (await self.apply(batch)).head.seq

    async def opened(self) -> Any:
        return await opened(self.path)

    async def apply(self, batch: Batch):
        return await self.engine.batch(STORE, make_ready(batch), received_at=self.make.AT)

    async def capture(self, gateway: Gateway) -> None:
        gateway.capture(self.r)

    async def hello(self, gateway: Gateway) -> None:
        await gateway.hello(self.engine)
        if self.r.random() < 0.4 and gateway.outbox.base[0] == 0:
            await self.engine.state(STORE, gateway.state(), received_at=self.make.AT)

    async def put_on_wire(self, gateway: Gateway) -> None:
        if gateway.session:
            first = max(gateway.outbox.base[0] + 1, gateway.applied + 1 - self.r.randint(0, 3))
            last = first + self.r.randint(0, 6)
            batch = gateway.outbox.batch(gateway.session, gateway.branch, first, last)
            self.wire += [batch] * self.r.randint(0, 2)

    async def take_from_wire(self, gateway: Gateway) -> None:
        if self.wire:
            batch = self.wire.pop(self.r.randrange(len(self.wire)))
            applied = await self.apply(batch)
            if gateway.session == batch.session and applied.head.seq <= gateway.outbox.last_seq:
                gateway.applied = applied.head.seq

    async def back_up_disk(self, gateway: Gateway) -> None:
        self.disk = self.gateways[0].outbox.copy()

    async def restore_disk(self, gateway: Gateway) -> None:
        self.gateways[0] = Gateway(self.make, self.disk.copy())

    async def reimage(self, gateway: Gateway) -> None:
        self.gateways[0] = Gateway(self.make)

    async def clone(self, gateway: Gateway) -> None:
        if len(self.gateways) == 1:
            self.gateways.append(Gateway(self.make, gateway.outbox.copy()))

    async def back_up_hq(self, gateway: Gateway) -> None:
        await self.engine.close()
        shutil.copy(self.path, self.backup)
        self.engine = await opened(self.path)

    async def restore_hq(self, gateway: Gateway) -> None:
        if self.backup.exists():
            await self.engine.close()
            shutil.copy(self.backup, self.path)
            self.engine = await opened(self.path)


@pytest.mark.parametrize("block", range(6))
async def test_nothing_is_lost_or_doubled_in_any_history(block, tmp_path, make):
    for seed in range(block * 10, block * 10 + 10):
        (folder := tmp_path / str(seed)).mkdir()
        lab = Lab(seed, folder, make)
        await lab.live(120)
        shown, totals = await shown_and_published(lab)
        await lab.engine.close()
        require_all_once(lab, ledger_eids(lab.path), seed)
        assert audit(lab.path)[0].problems == [], f"seed {seed}"
        assert totals == shown, f"seed {seed}"


async def test_nothing_is_lost_or_doubled_in_any_history_in_postgresql(
    tmp_path, make, postgres, postgres_template
):
    for seed in range(100, 103):
        url = postgres.new_database(postgres_template)
        lab = PostgresLab(seed, tmp_path, make, url)
        await lab.live(100)
        shown, totals = await shown_and_published(lab)
        rows = await lab.engine.database.ask(lambda c: c.fetch("select eid from ledger"))
        await lab.engine.close()
        require_all_once(lab, [eid.hex() for (eid,) in rows], seed)
        (audited,) = await audit_postgres(Address(url))
        assert audited.problems == [], f"seed {seed}"
        assert totals == shown, f"seed {seed}"


class PostgresLab(Lab):
    """Its database is backed up by nobody."""

    def __init__(self, seed: int, folder: Path, make, url: str) -> None:
        super().__init__(seed, folder, make)
        self.url = url
        del self.steps[self.back_up_hq], self.steps[self.restore_hq]

    async def opened(self) -> PostgresEngine:
        engine = await PostgresEngine.open(Address(self.url))
        await engine.add_credential(Credential(b"\0" * 32, "store", STORE, None, "", None))
        return engine


async def shown_and_published(lab: Lab) -> tuple[dict[str, int], dict[str, int]]:
    """What stands on the facings, and what the feed's changes of each add up to; neither with zeros."""
    facings = await lab.engine.facing_page(STORE, status=None, after="", limit=100)
    page = await lab.engine.events(0, store=STORE, type_="stock.changed", limit=10_000)
    totals: Counter[str] = Counter()
    for event in page.events:
        data = msgspec.json.decode(event.json())["data"]
        totals[data["facing"]] += data["change"]
    shown = {facing.facing: facing.on_hand for facing in facings if facing.on_hand}
    return shown, {facing: n for facing, n in totals.items() if n}


def require_all_once(lab: Lab, eids: list[str], seed: int) -> None:
    assert len(eids) == len(set(eids)), f"seed {seed}"
    assert {row.eid for g in lab.gateways for row in g.outbox.rows} <= set(eids), f"seed {seed}"


def ledger_eids(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [eid.hex() for (eid,) in connection.execute("select eid from ledger order by rowid")]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30)), min_size=1, max_size=25))
def test_batches_in_any_order_and_overlap_make_one_ledger(cuts, tmp_path_factory, make):
    outbox = make.Outbox()
    outbox.add(*(make.stock(FACINGS[n % 3], n % 9) for n in range(30)))
    path = tmp_path_factory.mktemp("hq") / "hq.sqlite3"

    async def send(pieces) -> None:
        engine, gateway = await opened(path), Gateway(make, outbox)
        await gateway.hello(engine)
        refusals = set()
        for first, count in [*pieces, (1, 30)]:
            batch = outbox.batch(gateway.session, gateway.branch, first, first + count - 1)
            try:
                await engine.batch(STORE, make_ready(batch), received_at=make.AT)
            except Conflict as conflict:
                refusals.add(conflict.reason)
        await engine.close()
        assert refusals <= {"gap"}

    asyncio.run(send(cuts))
    assert ledger_eids(path) == [row.eid for row in outbox.rows]


DAMAGES = {
    "a body that was changed": "update ledger set body = replace(body, '\"on_hand\": 3', '\"on_hand\": 4')"
    " where seq = 3",
    "a row that is gone": "delete from ledger where seq = 2",
    "a facing that was touched": "update facing set on_hand = on_hand + 1",
    "an event that is gone": "delete from feed where n = 2",
    "an event that was changed": "update feed set payload = json_set(payload, '$.change', 7) where n = 1",
    "an eid that is there twice": "update ledger set eid = (select eid from ledger where seq = 1) where seq = 2",
    "a head that was moved": "update branch set head_seq = head_seq - 1",
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_the_check_itself_can_fail(damage, tmp_path, make):
    path = tmp_path / "bridge.sqlite3"
    engine, gateway = await opened(path), Gateway(make)
    gateway.outbox.add(*(make.stock("A1", n) for n in range(1, 6)))
    await gateway.hello(engine)
    batch = gateway.outbox.batch(gateway.session, gateway.branch, 1, 5)
    await engine.batch(STORE, make_ready(batch), received_at=make.AT)
    await engine.close()
    assert audit(path)[0].problems == []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(DAMAGES[damage]).rowcount > 0
    assert audit(path)[0].problems != []
