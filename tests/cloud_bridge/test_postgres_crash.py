"""PostgreSQL killed again and again under load, and a standby that takes over: nothing promised is missing."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

import pytest

from cloud_bridge.store.postgres.replica import flushed_by
from tests.postgres import database_of, ended, running

pytestmark = pytest.mark.engines("postgresql")

KILLS = 5
STORES = 2
DURABLE = {"fsync": "on", "full_page_writes": "on"}


@dataclass
class Gateway:
    """Sends what it captures until it is told to stop; `acknowledged` is what HQ said that it has."""

    wire: object
    make: object
    acknowledged: int = 0
    safe: int = 0
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while it talks to HQ."""
    is_ending: bool = False

    async def live(self) -> None:
        while not (self.is_ending and self.acknowledged == self.wire.outbox.last_seq):
            if not self.is_ending:
                self.wire.outbox.add(
                    *(self.make.stock(f"A{n}", self.wire.outbox.last_seq % 9) for n in range(7))
                )
            try:
                async with self.turn:
                    await self.wire.hello()
                    for _ in range(3):
                        self.take(await self.wire.send())
                        await asyncio.sleep(0.005)  # there are others who need the machine
            except self.make.Refused as refused:
                if refused.status not in (503, 409, 429):
                    raise
                await asyncio.sleep(0.05)

    def take(self, reply) -> None:
        self.acknowledged = max(self.acknowledged, reply["applied"][0])
        self.safe = max(self.safe, reply["safe"])
        self.answers.set()


@contextlib.asynccontextmanager
async def living(hq, make):
    """Gateways at work; at the end of the block all of them have told everything."""
    gateways = [Gateway(await hq.new_store(f"s{n}"), make) for n in range(STORES)]
    async with asyncio.TaskGroup() as group:
        for gateway in gateways:
            group.create_task(gateway.live())
        yield gateways
        for gateway in gateways:
            gateway.is_ending = True


async def answered(gateways) -> None:
    for gateway in gateways:
        gateway.answers.clear()
    async with asyncio.timeout(60):
        await asyncio.gather(*(gateway.answers.wait() for gateway in gateways))


@contextlib.asynccontextmanager
async def silence(gateways):
    """Nobody talks to HQ, and whoever did has heard its answer."""
    async with contextlib.AsyncExitStack() as stack:
        for gateway in gateways:
            await stack.enter_async_context(gateway.turn)
        yield


def rows_of(server, url) -> dict[str, int]:
    """How many rows each store's ledger has, asked past HQ."""
    counted = server.sql("select store, count(*) from ledger group by store", database_of(url))
    return {store: int(count) for store, count in counted}


async def held(hq) -> dict[str, list[str]]:
    """The eids of each store's ledger, in order."""
    rows = await hq.rows("select store, eid from ledger order by store, seq")
    return {s: [eid.hex() for store, eid in rows if store == s] for s in {store for store, _ in rows}}


async def test_nothing_acknowledged_is_missing_after_five_kills(tmp_path, make, start_crashing_hq, caplog):
    with running(DURABLE) as server:
        url = server.new_database()
        async with start_crashing_hq(tmp_path / "hq", database=url) as hq:
            async with living(hq, make) as gateways:
                for _ in range(KILLS):
                    await answered(gateways)
                    await asyncio.to_thread(server.kill)
                    async with silence(gateways):
                        await asyncio.to_thread(server.start)
                        kept = rows_of(server, url)
                    assert {g.wire.store for g in gateways if kept[g.wire.store] < g.acknowledged} == set()
            kept = await held(hq)
            assert kept == {g.wire.store: [row.eid for row in g.wire.outbox.rows] for g in gateways}
            assert await hq.audit_problems() == []
    assert "Traceback" not in caplog.text


@pytest.fixture
def start_crashing_hq(start_hq):
    return start_hq.func


async def test_what_was_called_safe_is_on_the_standby_that_takes_over(
    tmp_path, make, start_crashing_hq, caplog
):
    """HQ knows both servers and goes on by itself, with the feed under another name."""
    with running(DURABLE) as primary, ended(primary.twin()) as standby:
        url = primary.new_database()
        url = f"{url},{standby.folder}"
        async with start_crashing_hq(tmp_path / "hq", database=url, safe="replica") as hq:
            store = await hq.new_store("alone")
            await store.hello()
            reply = await store.tell(make.stock("A1", 1))
            assert (reply["applied"][0], reply["safe"]) == (1, 0), "no standby holds it"
            assert "no synchronous standby" in caplog.text
            await asyncio.to_thread(standby.follow, primary, "twin")
            primary.sql("alter system set synchronous_standby_names = 'twin'")
            primary.sql("select pg_reload_conf()")
            await until_safe(store)
            cursor = (await hq.get("/v1/events"))["next_cursor"]
            async with living(hq, make) as gateways:
                await answered(gateways)
                await answered(gateways)
                assert min(gateway.safe for gateway in gateways) > 0
                await asyncio.to_thread(primary.kill)
                async with silence(gateways):
                    await asyncio.to_thread(standby.promote)
                    kept = rows_of(standby, url)
                assert {g.wire.store for g in gateways if kept[g.wire.store] < g.safe} == set()
            kept = await held(hq)
            assert {
                g.wire.store: [row.eid for row in g.wire.outbox.rows] for g in gateways
            }.items() <= kept.items()
            page = await events_again(hq, make, cursor)
            assert page["next_cursor"].split(".")[0] != cursor.split(".")[0]
            assert await hq.audit_problems() == []


async def events_again(hq, make, cursor):
    """A question that meets the new name of the feed first is answered 503, and may be asked again."""
    with contextlib.suppress(make.Refused):
        return await hq.get("/v1/events", after=cursor)
    async with asyncio.timeout(30):
        while hq.engine.cursor(0).split(".")[0] == cursor.split(".")[0]:  # noqa: ASYNC110 - the engine's
            await asyncio.sleep(0.02)
    return await hq.get("/v1/events", after=cursor)


async def until_safe(store) -> None:
    async with asyncio.timeout(30):
        while (await store.send())["safe"] < 1:  # noqa: ASYNC110 - it is the server's
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("names", "positions", "flushed"),
    [
        ("", [9], None),
        ("twin", [], None),
        ("twin", [7], 7),
        ("a, b", [7, 9], 9),
        ("FIRST 2 (a, b, c)", [5, 9], 5),
        ("any 2 (a, b, c)", [3, 9, 7], 7),
        ("ANY 2 (a, b, c)", [9], None),
        ("2 (a, b)", [4, 6], 4),
    ],
)
def test_as_many_standbys_must_have_flushed_as_the_server_is_told_to_wait_for(names, positions, flushed):
    assert flushed_by(names, positions) == flushed
