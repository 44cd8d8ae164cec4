"""A real HQ on a free port and a free database, and a store's end of the wire to drive it."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import zstandard

from cloud_bridge import control
from cloud_bridge.app import Bridge, backup
from cloud_bridge.config import BridgeSettings, Http
from cloud_bridge.databases import audit
from cloud_bridge.store.postgres import PostgresEngine
from cloud_bridge.store.postgres.database import Address, Database
from cloud_bridge.store.records import StoreAudit
from cloud_bridge.store.sqlite import SqliteEngine
from cloud_bridge.store.sqlite.backup import verify
from cloud_bridge.store.sqlite.schema import FILE_NAME
from edge_agent.contract.digest import Digest
from edge_agent.contract.messages import (
    CHAIN_START,
    Batch,
    DeviceState,
    FacingState,
    GapMoved,
    Hello,
    OutboxRow,
    Position,
    Presence,
    State,
    StoreProfile,
    chain_next,
)
from tests.postgres import Server, database_of, running

ENGINES = ("sqlite", "postgresql")
EMPTY = """
do $$ declare t regclass; is_used bool; begin
  for t in select c.oid from pg_class c where c.relkind in ('r', 'p') and not c.relispartition
    and c.relnamespace = 'public'::regnamespace and c.relname not in ('meta', 'change')
  loop
    execute format('select exists (select 1 from %s)', t) into is_used;
    if is_used then execute format('delete from %s', t); end if;
  end loop;
end $$
"""
COLA, WATER = "06901234567892", "04006381333931"
AT = "2026-11-22T10:00:00.000Z"


def stock(facing: str, on_hand: int | None, *, gtin: str = COLA, **other: Any) -> tuple[str, dict[str, Any]]:
    """A `stock.changed` for the outbox."""
    body = {
        "facing": facing, "gtin": gtin, "on_hand": on_hand, "change": 0, "confidence": 0.9, "status": "ok",
        "cause": "pick", "sources": ["weight"], "observed_at": AT, **other,
    }  # fmt: skip
    return "stock.changed", body


def planogram(*facings: tuple[str, str], revision: int = 0) -> tuple[str, dict[str, Any]]:
    """A `planogram.applied` for the outbox: facing ids with their GTINs."""
    body = {
        "revision": revision,
        "products": [{"gtin": g, "name": f"item {g[-4:]}"} for g in sorted({g for _, g in facings})],
        "facings": [
            {"id": f, "gtin": g, "capacity": 24, "reorder_point": 6, "shelf": "A1", "x_mm": 0, "width_mm": 90}
            for f, g in facings
        ],
    }
    return "planogram.applied", body


@dataclass
class Outbox:
    """A store's history as its agent keeps it."""

    rows: list[OutboxRow] = field(default_factory=list)
    chains: list[bytes] = field(default_factory=list)
    base: tuple[int, bytes] = (0, CHAIN_START)

    @property
    def last_seq(self) -> int:
        return self.base[0] + len(self.rows)

    def add(self, *events: tuple[str, Any], version: int = 1, occurred_at: str = AT) -> None:
        """Append events; a body that is text is taken as it is."""
        for kind, body in events:
            text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
            eid = secrets.token_bytes(16)
            self.chains.append(chain_next(self.chain_at(self.last_seq), eid, kind, version, text))
            self.rows.append(
                OutboxRow(
                    seq=self.last_seq + 1, eid=eid.hex(), kind=kind, version=version, occurred_at=occurred_at,
                    boot_id="boot", mono_ms=1, body=text,
                )
            )  # fmt: skip

    def chain_at(self, seq: int) -> bytes:
        return self.base[1] if seq == self.base[0] else self.chains[seq - self.base[0] - 1]

    def copy(self, upto: int | None = None) -> Outbox:
        """As a disk restored from a backup taken at `upto`."""
        n = len(self.rows) if upto is None else upto - self.base[0]
        return Outbox(self.rows[:n], self.chains[:n], self.base)

    def pruned(self, upto: int) -> Outbox:
        """Without the rows up to `upto`."""
        n = upto - self.base[0]
        return Outbox(self.rows[n:], self.chains[n:], (upto, self.chain_at(upto)))

    def batch(
        self, session: str, branch: str, first: int, last: int, *,
        presence: Presence | None = None, digest: Digest | None = None,
    ) -> Batch:  # fmt: skip
        rows = self.rows[first - self.base[0] - 1 : last - self.base[0]]
        return Batch(
            session=session, branch=branch, first=first, prev_chain=self.chain_at(first - 1).hex(),
            last_chain=self.chain_at(first - 1 + len(rows)).hex(), last_seq=self.last_seq, rows=rows,
            presence=presence, digest=digest,
        )  # fmt: skip


class Refused(Exception):
    """HQ answered with a problem."""

    def __init__(self, status: int, problem: dict[str, Any], headers: Any) -> None:
        super().__init__(f"{status} {problem}")
        self.status, self.code, self.problem, self.headers = status, problem.get("code"), problem, headers


@dataclass
class StoreWire:
    """One store's connection to HQ: what an agent sends, nothing of what it thinks."""

    http: aiohttp.ClientSession
    url: str
    store: str
    token: str
    outbox: Outbox = field(default_factory=Outbox)
    session: str = ""
    branch: str = ""
    applied: int = 0
    rounds: int = 0

    async def post(
        self, call: str, message: Any, *, zstd: bool = True, token: str | None = None
    ) -> dict[str, Any]:
        body = message if isinstance(message, bytes) else msgspec.json.encode(message)
        headers = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"}
        if zstd:
            body, headers["Content-Encoding"] = zstandard.compress(body), "zstd"
        async with self.http.post(
            f"{self.url}/v1/sync/{call}", data=io.BytesIO(body), headers=headers
        ) as reply:
            answer = await reply.json(content_type=None)
            if reply.status != 200:
                raise Refused(reply.status, answer, reply.headers)
            return dict(answer)

    def greeting(self, seqs: list[int]) -> Hello:
        o = self.outbox
        locator = [Position(s, o.chain_at(s).hex()) for s in sorted({*seqs, o.base[0]}, reverse=True)]
        return Hello(
            store=self.store, agent_id="agent", boot_id="boot", last_seq=o.last_seq, base_seq=o.base[0],
            base_chain=o.base[1].hex(), locator=locator, versions={"agent": "1"}, sent_at=AT,
            profile=StoreProfile(name="Demo", timezone="Asia/Shanghai", gln="4012345000009"),
        )  # fmt: skip

    async def hello(self) -> dict[str, Any]:
        """As an agent: exponentially sparser positions, then whatever HQ wants, until it decides."""
        seqs, step, at = [], 1, self.outbox.last_seq
        while at > self.outbox.base[0]:
            seqs.append(at)
            at, step = at - step, step * 2 if len(seqs) > 4 else 1
        for self.rounds in range(1, 30):
            reply = await self.post("hello", self.greeting(seqs))
            if reply["want"] is None:
                break
            seqs = [s for s in range(*reply["want"]) if s >= self.outbox.base[0]]
        self.session, self.branch, self.applied = reply["session"], reply["branch"], reply["applied"][0]
        return reply

    async def send(self, first: int | None = None, last: int | None = None, **more: Any) -> dict[str, Any]:
        """A batch, by default of all that HQ has not applied."""
        first = self.applied + 1 if first is None else first
        last = self.outbox.last_seq if last is None else last
        reply = await self.post("batch", self.outbox.batch(self.session, self.branch, first, last, **more))
        self.applied = reply["applied"][0]
        return reply

    async def tell(self, *events: tuple[str, Any], **how: Any) -> dict[str, Any]:
        """Append events and send all there is."""
        self.outbox.add(*events, **how)
        return await self.send()

    async def state(
        self,
        facings: list[FacingState],
        devices: tuple[DeviceState, ...] = (),
        gaps: tuple[GapMoved, ...] = (),
        *,
        as_of: int,
    ) -> None:
        devices_, gaps_ = list(devices), list(gaps)
        state = State(session=self.session, as_of_seq=as_of, facings=facings, devices=devices_, gaps=gaps_)
        await self.post("state", state)


@dataclass
class Hq:
    """A running HQ, with an admin's token."""

    bridge: Bridge
    http: aiohttp.ClientSession
    token: str
    data_dir: Path
    stop: asyncio.Event

    @property
    def url(self) -> str:
        return self.bridge.url

    @property
    def engine(self) -> Any:
        assert self.bridge.engine is not None
        return self.bridge.engine

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the database itself says, in SQL that both engines know."""
        if isinstance(self.engine, SqliteEngine):
            with closing(
                sqlite3.connect(f"file:{self.data_dir / FILE_NAME}?mode=ro", uri=True)
            ) as connection:
                return connection.execute(query).fetchall()
        return [
            tuple(row) for row in await self.engine.database.ask(lambda connection: connection.fetch(query))
        ]

    @property
    def routes(self) -> list[Any]:
        assert self.bridge.app is not None
        return list(self.bridge.app.router.routes())

    async def command(self, command: str, **arguments: str) -> dict[str, Any]:
        answer = await control.ask(self.data_dir, command, arguments)
        assert answer is not None
        return answer

    async def get(self, path: str, *, token: str | None = None, **query: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        async with self.http.get(self.url + path, params=query, headers=headers) as reply:
            body = await reply.json(content_type=None)
            if reply.status != 200:
                raise Refused(reply.status, body, reply.headers)
            return dict(body)

    async def events(self, **query: Any) -> list[dict[str, Any]]:
        """The whole feed, page by page."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.get("/v1/events", **query, **cursor)
            if not page["items"]:
                return found
            found += page["items"]
            cursor = {"after": page["next_cursor"]}

    async def new_store(self, name: str = "s1", outbox: Outbox | None = None) -> StoreWire:
        token = (await self.command("store add", name=name))["token"]
        return StoreWire(self.http, self.url, name, token, outbox or Outbox())

    async def again(self, store: StoreWire) -> StoreWire:
        """The same gateway at another start of HQ; it has not said hello yet."""
        return StoreWire(self.http, self.url, store.store, store.token, store.outbox)

    async def same_store(self, store: StoreWire, outbox: Outbox) -> StoreWire:
        """Another gateway with the same token: a clone."""
        return StoreWire(self.http, self.url, store.store, store.token, outbox)

    async def audit(self) -> list[StoreAudit]:
        return await asyncio.to_thread(audit, self.bridge.settings, None)

    async def audit_problems(self) -> list[str]:
        return [problem for result in await self.audit() for problem in result.problems]

    async def backup(self, destination: Path) -> dict[str, Any]:
        """`cloud-bridge backup` beside this HQ."""
        return await backup(self.bridge.settings, destination, verify)

    async def sums(self, store: str = "s1") -> dict[str, int]:
        """What the feed's changes of each facing add up to."""
        totals: dict[str, int] = {}
        for event in await self.events(store=store, type="stock.changed"):
            data = event["data"]
            totals[data["facing"]] = totals.get(data["facing"], 0) + data["change"]
        return totals

    async def shown(self, store: str = "s1") -> dict[str, int | None]:
        page = await self.get(f"/v1/stores/{store}/facings", limit=1000)
        return {item["facing"]: item["on_hand"] for item in page["items"]}


@asynccontextmanager
async def hq_in(data_dir: Path, *, safe: str = "applied", database: str = "sqlite") -> AsyncIterator[Hq]:
    settings = BridgeSettings(data_dir=data_dir, http=Http(port=0), safe=safe, database=database)
    bridge = Bridge(settings)
    control.prepare(data_dir)
    stop, ready = asyncio.Event(), asyncio.Event()
    with control.exclusive(data_dir):
        async with asyncio.TaskGroup() as group, aiohttp.ClientSession() as http:
            group.create_task(bridge.serve(stop, ready), name="hq")
            await ready.wait()
            hq = Hq(bridge, http, "", data_dir, stop)
            try:
                name = f"test-{secrets.token_hex(4)}"
                hq.token = (await hq.command("token add", name=name, role="admin"))["token"]
                yield hq
            finally:
                stop.set()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server for all tests of this process."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres: Server) -> str:
    """The name of a database with HQ's tables, to make others of: nobody connects to it any more."""

    async def make(url: str) -> None:
        await (await PostgresEngine.open(Address(url))).close()

    url = postgres.new_database()
    asyncio.run(make(url))
    return database_of(url)


@pytest.fixture(scope="session")
def postgres_tables(postgres: Server, postgres_template: str) -> str:
    """The URL of a database with HQ's tables, which tests use one after another."""
    return postgres.new_database(postgres_template)


@pytest.fixture
def postgres_url(postgres_tables: str) -> str:
    """A database without a past."""
    asyncio.run(forget(postgres_tables))
    return postgres_tables


async def forget(url: str) -> None:
    """Delete all rows of HQ's."""
    database = Database(Address(url))
    await database.open()
    await database.ask(lambda connection: connection.execute(EMPTY))
    await database.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What is marked `engines` runs on every engine, or on those that the mark names."""
    if "database" not in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker("engines")
    is_one_enough = mark is None or metafunc.definition.get_closest_marker("one_engine") is not None
    engines = ENGINES[:1] if is_one_enough else mark.args or ENGINES
    metafunc.parametrize("database", engines, indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """`database` of bridge.yaml."""
    return request.getfixturevalue("postgres_url") if request.param == "postgresql" else "sqlite"


async def _sqlite_engine(path: Path) -> SqliteEngine:
    return SqliteEngine(path)


@pytest.fixture
def new_engine(
    database: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Awaitable[Callable[[], Awaitable[Any]]]]:
    """Each call forgets what was before; what it returns opens an engine, again and again on the same rows."""

    async def new() -> Callable[[], Awaitable[Any]]:
        if database == "sqlite":
            return partial(_sqlite_engine, tmp_path_factory.mktemp("hq") / FILE_NAME)
        await forget(database)
        return partial(PostgresEngine.open, Address(database))

    return new


@pytest.fixture
def start_hq(database: str) -> Any:
    """`async with start_hq(data_dir) as hq`, also with `safe="backup"`."""
    return partial(hq_in, database=database)


@pytest.fixture
async def hq(tmp_path: Path, database: str) -> AsyncIterator[Hq]:
    async with hq_in(tmp_path / "hq", database=database) as running:
        yield running


@pytest.fixture
async def store(hq: Hq) -> StoreWire:
    wire = await hq.new_store()
    await wire.hello()
    return wire


@pytest.fixture
def store_wire() -> type[StoreWire]:
    """A store's connection to a bridge that a test has started itself."""
    return StoreWire


@pytest.fixture
def make() -> Any:
    """Builders of events."""

    class Make:
        stock = staticmethod(stock)
        planogram = staticmethod(planogram)
        Outbox = Outbox
        Refused = Refused
        COLA, WATER, AT = COLA, WATER, AT

    return Make
