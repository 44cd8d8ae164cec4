"""A full disk, old rows, soft state over a restart, and a queue that has a bound."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from cloud_bridge.errors import Unavailable
from cloud_bridge.liveness import Liveness
from cloud_bridge.store.sqlite import SqliteEngine
from cloud_bridge.store.sqlite.writer import MAX_WAITING
from edge_agent.contract.messages import Presence

pytestmark = pytest.mark.engines

LATER = "2999-01-01T00:00:00.000Z"


@pytest.mark.one_engine
async def test_a_full_disk_is_503_and_the_agent_repeats_without_loss(hq, store, make):
    await store.tell(make.stock("A1", 1))
    await hq.engine.writer.submit(lambda tx: tx.connection.execute("pragma max_page_count = 1"))
    store.outbox.add(*(make.stock(f"B{n}", n, reasons=["x" * 3000]) for n in range(50)))
    with pytest.raises(make.Refused) as refused:
        await store.send()
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "1")
    assert await hq.shown() == {"A1": 1}
    await hq.engine.writer.submit(lambda tx: tx.connection.execute("pragma max_page_count = 1000000"))
    assert (await store.send())["applied"][0] == 51
    assert await hq.audit_problems() == []


async def test_pruned_events_leave_the_audit_sound_and_old_cursors_refused(hq, store, make):
    for n in range(1, 6):
        await store.tell(make.stock("A1", n))
    first, *_ = await hq.events()
    old = {"events_before": LATER, "items_before": LATER, "buckets_before_ms": 2**50}
    while await hq.engine.prune(**old):
        pass
    left = await hq.events()
    assert [e["seq"] for e in left] == [5]
    assert await hq.audit_problems() == []
    with pytest.raises(make.Refused) as refused:
        await hq.get("/v1/events", after=first["cursor"])
    assert (refused.value.status, refused.value.code) == (400, "E-CURSOR-EXPIRED")
    await store.tell(make.stock("A1", 9))
    assert [e["seq"] for e in (await hq.get("/v1/events", after=left[0]["cursor"]))["items"]] == [6]


async def test_an_event_that_a_wrong_clock_dated_back_takes_nobody_with_it(hq, store, make, monkeypatch):
    await store.tell(make.stock("A1", 1))
    with monkeypatch.context() as wrong:
        wrong.setattr("cloud_bridge.ingest.Ingest._now", lambda _: "2020-01-01T00:00:00.000Z")
        await store.tell(make.stock("A1", 2))
    await store.tell(make.stock("A1", 3))
    assert len(await hq.events()) == 3
    before = {"events_before": "2026-01-01T00:00:00.000Z", "items_before": "", "buckets_before_ms": 0}
    while await hq.engine.prune(**before):
        pass
    assert [e["seq"] for e in await hq.events()] == [1, 2, 3]


@pytest.mark.one_engine
async def test_what_was_heard_and_could_not_be_kept_is_kept_with_the_next(hq, store):
    liveness, at = Liveness(), "2998-01-01T00:00:00.000Z"
    liveness.hear("s1", at=at, last_seq=0, presence=Presence(devices={"d": at}))
    given = []

    class Full:
        async def save_heard(self, heard):
            given.append(heard)
            raise Unavailable("the queue is full")

    with pytest.raises(Unavailable):
        await liveness.save(Full())
    liveness.hear("s1", at=at, last_seq=0, presence=Presence(devices={"e": at}))
    assert list(given[0]["s1"].devices) == ["d"], "another thread reads it"
    await liveness.save(hq.engine)
    assert (await hq.engine.store("s1")).last_seen_at == at


async def test_a_stop_while_the_database_is_away_is_a_stop(hq, store, monkeypatch):
    async def away(_heard):
        raise Unavailable("the database is away")

    monkeypatch.setattr(hq.engine, "save_heard", away)
    # the fixture stops it now, and whatever `serve` raises fails the test there


async def test_what_was_heard_survives_a_restart(start_hq, tmp_path, make):
    heard = "2998-01-01T00:00:00.000Z"
    async with start_hq(tmp_path / "hq") as hq:
        store = await hq.new_store()
        await store.hello()
        health = {"device": "scale-1", "driver": "mt-sics", "status": "online", "reason": None}
        await store.tell(make.stock("A1", 1), ("device.changed", health))
        await store.send(3, 2, presence=Presence(devices={"scale-1": heard}, facings={"A1": heard}))
    async with start_hq(tmp_path / "hq") as hq:
        (device,) = (await hq.get("/v1/stores/s1/devices"))["items"]
        assert device["last_seen_at"] == heard
        assert (await hq.get("/v1/stores/s1/facings/A1"))["observed_at"] == heard
        assert (await hq.get("/v1/stores"))["items"][0]["status"] == "online"


async def test_the_queue_of_the_writer_is_bounded(tmp_path):
    engine = SqliteEngine(tmp_path / "hq.sqlite3")
    is_busy, gate = threading.Event(), threading.Event()

    def slow(_):
        is_busy.set()
        assert gate.wait(30)

    waiting = [asyncio.ensure_future(engine.writer.submit(slow))]
    await asyncio.sleep(0)
    assert await asyncio.to_thread(is_busy.wait, 30)
    waiting += [asyncio.ensure_future(engine.writer.submit(lambda _: None)) for _ in range(2 * MAX_WAITING)]
    await asyncio.sleep(0)
    refused = sum(isinstance(f.exception(), Unavailable) for f in waiting if f.done())
    assert refused == MAX_WAITING
    gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(result is None for result in results) == len(waiting) - refused
    await engine.close()


async def test_an_operation_that_fails_takes_nobody_with_it(tmp_path):
    engine = SqliteEngine(tmp_path / "hq.sqlite3")

    def good(tx):
        tx.connection.execute("insert into person values ('good', 'ops', '')")

    def bad(tx):
        tx.connection.execute("insert into person values ('bad', 'ops', '')")
        raise ValueError("no")

    def broken(tx):
        tx.connection.execute("insert into nothing values (1)")

    results = await asyncio.gather(
        *(engine.writer.submit(work) for work in (good, bad, broken)), return_exceptions=True
    )
    assert [type(result) for result in results] == [type(None), ValueError, Unavailable]
    assert [person.name for person in await engine.people()] == ["good"]
    await engine.close()


@pytest.mark.one_engine
async def test_a_reader_cannot_write_and_the_writer_is_fully_synchronous(hq):
    with pytest.raises(Unavailable, match="readonly database"):
        await hq.engine._read(lambda connection: connection.execute("delete from store"))
    modes = await hq.engine.writer.submit(
        lambda tx: [
            tx.connection.execute(f"pragma {p}").fetchone()[0] for p in ("synchronous", "journal_mode")
        ]
    )
    assert modes == [2, "wal"]


async def test_the_ledger_keeps_a_body_to_the_letter(hq, store):
    text = '{"hands" :  2, "名字": "机器人 🦾", "n": 1.10}'
    await store.tell(("robot.waved", text))
    assert await hq.rows("select body from ledger") == [(text,)]
    assert json.loads(text)["n"] == 1.1
