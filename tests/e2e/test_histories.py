"""Random histories between the real journal, the real uplink and the real HQ, over HTTP that loses and doubles.

A seed decides every step and the fate of every exchange. Each history ends with a clean line for one gateway
after the other; then nothing that a durable copy still holds is missing at HQ, nothing is there twice, and
ledger, facings and feed agree. The negative control forgets too early and must be caught.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from cloud_bridge import control
from cloud_bridge.app import Bridge
from cloud_bridge.config import BridgeSettings, Http
from cloud_bridge.databases import audit
from cloud_bridge.store.sqlite.schema import FILE_NAME
from edge_agent.app import build
from edge_agent.config.store import StoreSettings
from edge_agent.contract.messages import (
    BatchReply,
    DeviceChanged,
    PlanogramApplied,
    Position,
    Presence,
    StoreProfile,
)
from edge_agent.contract.times import utc_now
from edge_agent.health import Condition
from edge_agent.journal import Capture, Journal
from edge_agent.stock.belief import Belief
from edge_agent.sync import HqLine, Uplink

STORE = "s1"
FACINGS = ("A1", "A2", "A3")
GTINS = ("06901234567892", "04006381333931")
BACKLOG_ROWS = 8
"""Stands in for 500 rows: a larger backlog sends the present first."""
FATES = {"through": 62, "request lost": 10, "answer lost": 12, "doubled": 8, "late": 8}


@dataclass
class Exchange:
    """One request of a gateway on its way to HQ; `answer` None cuts the connection instead."""

    call: str
    headers: dict[str, str]
    body: bytes
    answer: asyncio.Future[tuple[int, bytes] | None]


class Line:
    """Holds every request until a step of the history decides its fate."""

    def __init__(self) -> None:
        self.waiting: dict[str, asyncio.Queue[Exchange]] = {}
        self.late: list[Exchange] = []
        self.hq_url = self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        headers = {k: v for k, v in request.headers.items() if k in ("Authorization", "Content-Encoding")}
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        exchange = Exchange(request.match_info["call"], headers, await request.read(), answer)
        self.waiting[request.match_info["gateway"]].put_nowait(exchange)
        if (reply := await answer) is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return web.Response(status=reply[0], body=reply[1])

    async def deliver(self, exchange: Exchange) -> tuple[int, bytes]:
        url = f"{self.hq_url}/v1/sync/{exchange.call}"
        async with self.http.post(url, data=exchange.body, headers=exchange.headers) as answer:
            return answer.status, await answer.read()

    async def decide(self, exchange: Exchange, fate: str) -> tuple[int, bytes] | None:
        """What the gateway hears, None for nothing."""
        reply = None if fate in ("request lost", "late") else await self.deliver(exchange)
        if fate == "late":
            self.late.append(exchange)
        if fate == "doubled":
            await self.deliver(exchange)
        exchange.answer.set_result(None if fate == "answer lost" else reply)
        return reply

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Line]:
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/{gateway}/v1/sync/{call}", self.take)
        runner = web.AppRunner(app, auto_decompress=False, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            async with aiohttp.ClientSession() as self.http:
                yield self
        finally:
            await runner.cleanup()


class Gateway:
    """A journal and its uplink in one folder; it can be killed, copied and started again."""

    def __init__(self, folder: Path, line: Line, token: str) -> None:
        self.folder, self.line, self.token, self.starts = folder, line, token, 0

    @property
    def file(self) -> Path:
        return self.folder / "journal.db"

    def start(self) -> None:
        self.starts += 1
        self.journal = Journal(self.folder, commit_window_s=0)
        self.beliefs = {belief.facing: belief for belief in self.journal.restored.beliefs}
        self.name = f"{self.folder.name}-{self.starts}"
        self.requests = self.line.waiting[self.name] = asyncio.Queue()
        self.uplink = Uplink(
            self.journal,
            hq=HqLine(url=f"{self.line.url}/{self.name}", token=self.token, tls=None),
            store=STORE,
            profile=StoreProfile(name="S", timezone="UTC"),
            presence=Presence,
            version="0",
        )
        self.task = asyncio.create_task(self.uplink.run(), name=self.name)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        while not self.requests.empty():
            self.requests.get_nowait().answer.set_result(None)
        await asyncio.wrap_future(self.journal.prune(0))  # what was handed over is durable
        self.journal.close()

    async def kill(self) -> None:
        """The disk stays as it was in the middle of running: a WAL without its last checkpoint."""
        self.task.cancel()
        await asyncio.wait([self.task])
        await asyncio.wrap_future(self.journal.prune(0))
        parts = [self.file, self.file.with_name("journal.db-wal")]
        images = [(part, part.read_bytes()) for part in parts if part.exists()]
        await self.stop()
        for part, image in images:
            part.write_bytes(image)

    async def request(self) -> Exchange:
        """The next thing that the uplink says: without news a heartbeat."""
        self.uplink.wake()
        async with asyncio.timeout(20):
            return await self.requests.get()

    def eids(self) -> list[str]:
        """What the disk holds, oldest first."""
        with closing(reading(self.file)) as db:
            return [eid.hex() for (eid,) in db.execute("select eid from outbox order by seq")]

    async def capture(self, r: random.Random) -> None:
        made = Capture()
        if not self.beliefs or r.random() < 0.06:
            self._apply_planogram(made, r)
        if r.random() < 0.1:
            condition = Condition("scale-1", "mt-sics", r.choice(("online", "offline")), None, utc_now())
            made.conditions.append(condition)
            body = DeviceChanged(device="scale-1", driver="mt-sics", status=condition.status, reason=None)
            made.effects.tell("device.changed", body, utc_now())
        for _ in range(r.choice((1, 1, 2, 6))):
            before = self.beliefs[r.choice(FACINGS)]
            after = replace(before, on_hand=r.randrange(12), confidence=0.9, status="ok", sources=("weight",))
            self._believe(made, after)
            made.effects.tell("stock.changed", after.changed_from(before, "pick"), utc_now())
        await asyncio.wrap_future(self.journal.submit(made))

    def _apply_planogram(self, made: Capture, r: random.Random) -> None:
        gtins = {facing: r.choice(GTINS) for facing in FACINGS}
        places = [{"id": f, "gtin": g, "capacity": 24, "reorder_point": 6} for f, g in gtins.items()]
        products = [{"gtin": g, "name": g[-4:]} for g in sorted(set(gtins.values()))]
        body = PlanogramApplied(revision=0, products=products, facings=places)
        made.effects.tell("planogram.applied", body, utc_now())
        for facing, gtin in gtins.items():
            if facing not in self.beliefs or self.beliefs[facing].gtin != gtin:
                self._believe(made, Belief(facing, gtin))

    def _believe(self, made: Capture, belief: Belief) -> None:
        self.beliefs[belief.facing] = belief
        made.effects.beliefs.append(belief)


class Hq:
    """The real HQ; its database can be copied while it runs and put back while it does not."""

    def __init__(self, folder: Path) -> None:
        self.settings = BridgeSettings(data_dir=folder, http=Http(port=0))
        self.file, self.copy = folder / FILE_NAME, folder.with_suffix(".backup")

    async def start(self, line: Line) -> None:
        self.bridge, self.stopping, ready = Bridge(self.settings), asyncio.Event(), asyncio.Event()
        control.prepare(self.settings.data_dir)
        self.task = asyncio.create_task(self.bridge.serve(self.stopping, ready), name="hq")
        await asyncio.wait([self.task, asyncio.create_task(ready.wait())], return_when="FIRST_COMPLETED")
        line.hq_url = self.bridge.url

    async def stop(self) -> None:
        self.stopping.set()
        await self.task

    def back_up(self) -> None:
        with closing(reading(self.file)) as source, closing(sqlite3.connect(self.copy)) as target:
            source.backup(target)

    def put_back(self) -> None:
        for part in self.file.parent.glob(f"{FILE_NAME}*"):
            part.unlink()
        shutil.copy(self.copy, self.file)


def reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def claims(facings: dict[str, tuple[str, int | None]]) -> dict[str, tuple[str, int | None]]:
    """Facings of which a count is said; HQ goes on to show the places of a gateway that knows none yet."""
    return {facing: item for facing, item in facings.items() if item[1] is not None}


def ledger(path: Path) -> Counter[str]:
    with closing(reading(path)) as db:
        return Counter(eid.hex() for (eid,) in db.execute("select eid from ledger"))


class History:
    """One store's bad luck, drawn from a seed."""

    def __init__(self, seed: int, folder: Path, line: Line, *, forgets_at: str, hq_is_restored: bool) -> None:
        self.r, self.folder, self.line, self.forgets_at = random.Random(seed), folder, line, forgets_at
        folder.mkdir()
        self.hq = Hq(folder / "hq")
        self.disk_copy = folder / "disk.db"
        self.told: set[str] = set()
        self.lost_by_disks: set[str] = set()
        self.excused: set[str] = set()
        self.taken: Counter[str] = Counter()
        self.steps = {
            self.capture: 30, self.talk: 45, self.late_arrival: 6, self.kill: 4, self.copy_disk: 2,
            self.restore_disk: 2, self.reimage: 0.5, self.clone: 1, self.forget: 3, self.restart_hq: 1,
            self.copy_hq: 2, self.restore_hq: 1.5 if hq_is_restored else 0, self.check: 1,
        }  # fmt: skip

    async def live(self, steps: int) -> None:
        await self.hq.start(self.line)
        added = await control.ask(self.hq.settings.data_dir, "store add", {"name": STORE})
        assert added is not None
        self.token = added["token"]
        self.hq.back_up()
        self.gateways = [self.new_gateway()]
        self.gateways[0].start()
        for step in self.r.choices(list(self.steps), list(self.steps.values()), k=steps):
            self.taken[step.__name__] += 1
            await step(self.r.choice(self.gateways))
        self.line.late.clear()

    async def end(self) -> None:
        for gateway in self.gateways:
            if not gateway.task.done():
                await gateway.stop()
        await self.hq.stop()

    async def heal(self) -> None:
        """Each gateway alone on a clean line, until HQ has all of it and the gateway knows."""
        for gateway in self.gateways:
            await gateway.kill()
        for gateway in self.gateways:
            gateway.start()
            agreed = 0
            while agreed < 2:
                exchange = await gateway.request()
                status, body = await self.line.decide(exchange, "through") or (0, b"")
                is_batch = exchange.call == "batch" and status == 200
                applied = msgspec.json.decode(body, type=BatchReply).applied if is_batch else None
                journal = gateway.journal
                is_all = applied == Position(journal.last_seq, journal.last_chain.hex())
                agreed = agreed + 1 if is_all else 0
            assert gateway.journal.position.applied == gateway.journal.last_seq
            if gateway is not self.gateways[-1]:
                await gateway.stop()

    # --- steps ---

    async def capture(self, gateway: Gateway) -> None:
        await gateway.capture(self.r)
        self.told |= set(gateway.eids())

    async def talk(self, gateway: Gateway) -> None:
        for _ in range(self.r.randint(1, 3)):
            fate = self.r.choices(list(FATES), list(FATES.values()))[0]
            await self.line.decide(await gateway.request(), fate)

    async def late_arrival(self, _: Gateway) -> None:
        if self.line.late:
            await self.line.deliver(self.line.late.pop(self.r.randrange(len(self.line.late))))

    async def kill(self, gateway: Gateway) -> None:
        await gateway.kill()
        gateway.start()

    async def copy_disk(self, _: Gateway) -> None:
        gateway = self.gateways[0]
        await gateway.stop()
        shutil.copy(gateway.file, self.disk_copy)
        gateway.start()

    async def restore_disk(self, _: Gateway) -> None:
        if self.disk_copy.exists():
            await self.replace_first(self.disk_copy)

    async def reimage(self, _: Gateway) -> None:
        await self.replace_first(None)

    async def clone(self, gateway: Gateway) -> None:
        if len(self.gateways) == 1:
            await gateway.stop()
            twin = self.new_gateway()
            twin.folder.mkdir()
            shutil.copy(gateway.file, twin.file)
            self.gateways.append(twin)
            gateway.start()
            twin.start()

    async def forget(self, gateway: Gateway) -> None:
        """Retention: up to what HQ's backup covers, or all that HQ has."""
        upto = gateway.journal.position.applied
        if self.forgets_at == "backup":
            covered, upto = ledger(self.hq.copy), gateway.journal.position.base_seq
            for eid in gateway.eids():
                if eid not in covered:
                    break
                upto += 1
        await asyncio.wrap_future(gateway.journal.prune(upto))

    async def restart_hq(self, _: Gateway) -> None:
        await self.hq.stop()
        await self.hq.start(self.line)

    async def copy_hq(self, _: Gateway) -> None:
        self.hq.back_up()

    async def restore_hq(self, _: Gateway) -> None:
        await self.hq.stop()
        self.hq.put_back()
        await self.hq.start(self.line)
        self.excuse(lost_now=set())

    async def check(self, _: Gateway) -> None:
        assert audit(self.hq.settings, None)[0].problems == []

    # --- what may be missing ---

    def held(self) -> set[str]:
        return {eid for gateway in self.gateways for eid in gateway.eids()}

    def excuse(self, *, lost_now: set[str]) -> None:
        """An event may be missing only when a gateway's disk lost it and no other copy holds it."""
        self.lost_by_disks |= lost_now
        gone = self.told - self.held() - ledger(self.hq.file).keys()
        self.excused |= gone & self.lost_by_disks

    async def replace_first(self, disk: Path | None) -> None:
        before = self.held()
        await self.gateways[0].stop()
        fresh = self.new_gateway()
        fresh.folder.mkdir()
        if disk is not None:
            shutil.copy(disk, fresh.file)
        self.gateways[0] = fresh
        fresh.start()
        self.excuse(lost_now=before - self.held())

    def new_gateway(self) -> Gateway:
        number = sum(1 for _ in self.folder.glob("edge*"))
        return Gateway(self.folder / f"edge{number}", self.line, self.token)

    # --- the audit ---

    async def problems(self) -> list[str]:
        hq, gateway = self.hq, self.gateways[-1]
        assert hq.bridge.engine is not None
        engine, rows = hq.bridge.engine, ledger(hq.file)
        found = list(audit(hq.settings, None)[0].problems)
        found += [f"event {eid} is there {n} times" for eid, n in rows.items() if n > 1]
        found += [f"event {eid} is held and not told" for eid in self.held() - rows.keys()]
        found += [f"event {eid} is lost" for eid in self.told - rows.keys() - self.excused]
        record = await engine.store(STORE)
        if record.head_seq < record.catch_up_to:
            found.append(f"HQ still waits: head {record.head_seq}, up to {record.catch_up_to}")
        with closing(reading(hq.file)) as db:
            head = db.execute(
                "select head_seq, head_chain from branch natural join (select store, branch from store)",
            ).fetchone()
        if head != (gateway.journal.last_seq, gateway.journal.last_chain):
            found.append(f"HQ stands at {head[0]}, the gateway at {gateway.journal.last_seq}")
        shown = {
            f.facing: (f.gtin, f.on_hand)
            for f in await engine.facing_page(STORE, status=None, after="", limit=99)
        }
        believed = {b.facing: (b.gtin, b.on_hand) for b in gateway.beliefs.values()}
        if self.forgets_at == "backup" and claims(shown) != claims(believed):
            found.append(f"HQ shows {shown}, the gateway believes {believed}")
        return found + await self.feed_problems({f: n for f, (_, n) in shown.items()})

    async def feed_problems(self, shown: dict[str, int | None]) -> list[str]:
        assert self.hq.bridge.engine is not None
        page = await self.hq.bridge.engine.events(0, store=STORE, type_=None, limit=100_000)
        eids = Counter(event.entry.eid for event in page.events)
        totals: Counter[str] = Counter()
        for event in page.events:
            if event.entry.type == "stock.changed":
                change = msgspec.json.decode(event.entry.payload)
                totals[change["facing"]] += change["change"]
        sums = {f: n for f, n in totals.items() if n}
        found = [f"feed has event {eid.hex()} {n} times" for eid, n in eids.items() if n > 1]
        if sums != {f: n for f, n in shown.items() if n}:
            found.append(f"the feed adds up to {sums}, HQ shows {shown}")
        return found


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between attempts, and a small backlog already sends the present first."""
    for module in ("uplink", "retry"):
        monkeypatch.setattr(f"edge_agent.sync.{module}.random", SimpleNamespace(uniform=lambda *_: 0.001))
    monkeypatch.setattr("edge_agent.sync.uplink.FRESHEST_FIRST_ROWS", BACKLOG_ROWS)
    monkeypatch.setattr("cloud_bridge.admission.PAUSE_S", 0.0)
    monkeypatch.setattr("cloud_bridge.store.sqlite.hello.RESTATED_ABOVE_ROWS", BACKLOG_ROWS)


async def lived(
    seed: int, folder: Path, *, steps: int = 80, forgets_at: str = "backup", hq_is_restored: bool = True
) -> list[str]:
    """The problems that the history of this seed leads to."""
    async with Line().up() as line:
        history = History(seed, folder, line, forgets_at=forgets_at, hq_is_restored=hq_is_restored)
        try:
            await history.live(steps)
            await history.heal()
            return await history.problems()
        finally:
            await history.end()


@pytest.mark.parametrize("seed", range(10))
async def test_nothing_is_lost_or_doubled(seed: int, tmp_path: Path) -> None:
    assert await lived(seed, tmp_path / "h") == [], f"seed {seed}"


async def test_an_hq_without_a_past_is_told_every_facing_that_the_store_knows(tmp_path: Path) -> None:
    async with Line().up() as line:
        history = History(1, tmp_path / "h", line, forgets_at="applied", hq_is_restored=True)
        await history.live(0)
        try:
            [gateway], hq = history.gateways, history.hq
            for _ in range(20):
                await gateway.capture(history.r)
            await history.heal()
            await asyncio.wrap_future(gateway.journal.prune(gateway.journal.last_seq))
            await gateway.stop()
            await history.restore_hq(gateway)
            (tmp_path / "token").write_text(history.token)
            agent = build(store_settings(gateway, hq.bridge.url, tmp_path / "token"))
            assert agent.uplink is not None
            telling = asyncio.create_task(agent.uplink.run())
            try:
                async with asyncio.timeout(20):
                    base, journal = gateway.journal.last_seq, agent.journal
                    while not base < journal.position.applied == journal.last_seq:  # noqa: ASYNC110  # no event tells
                        await asyncio.sleep(0.01)
                    assert hq.bridge.engine is not None
                    page = await hq.bridge.engine.facing_page(STORE, status=None, after="", limit=9)
            finally:
                telling.cancel()
                await asyncio.wait([telling])
                rows = agent.journal.last_seq
                agent.journal.close()
            believed = {f: (b.gtin, b.on_hand) for f, b in gateway.beliefs.items()}
            assert {f.facing: (f.gtin, f.on_hand) for f in page} == believed
            assert audit(hq.settings, None)[0].problems == []
            assert rows == gateway.journal.last_seq + 1 + len(claims(believed))
        finally:
            await history.end()


def store_settings(gateway: Gateway, url: str, token_file: Path) -> StoreSettings:
    beliefs = gateway.beliefs.values()
    return StoreSettings.model_validate(
        {
            "store": {"id": STORE, "timezone": "UTC"},
            "agent": {"data_dir": gateway.folder, "commit_window_ms": 0},
            "uplink": {"url": url, "token_file": token_file},
            "products": [{"gtin": gtin, "name": gtin, "unit_weight_g": 300.0} for gtin in GTINS],
            "facings": [{"id": b.facing, "gtin": b.gtin, "capacity": 24} for b in beliefs],
            "devices": [],
        }
    )


@pytest.mark.soak
@pytest.mark.parametrize("block", range(20))
async def test_nothing_is_lost_or_doubled_in_long_histories(block: int, tmp_path: Path) -> None:
    for seed in range(1000 + block * 10, 1010 + block * 10):
        assert await lived(seed, tmp_path / str(seed), steps=160) == [], f"seed {seed}"


async def test_forgetting_at_applied_with_hq_restored_loses(tmp_path: Path) -> None:
    """The negative control of retention: what only HQ held is gone with HQ's disk, and the check says so."""
    for seed in range(10):
        found = await lived(seed, tmp_path / str(seed), forgets_at="applied")
        if any("is lost" in problem for problem in found):
            return
    pytest.fail("no history lost anything: the check is blind")
