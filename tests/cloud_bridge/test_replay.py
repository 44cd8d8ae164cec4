"""Rows that an older HQ set aside take effect after its upgrade: once, in order, and told to readers."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager

import pytest

from cloud_bridge import rows
from cloud_bridge.databases import audit
from cloud_bridge.errors import Unavailable
from cloud_bridge.findings import audit_lines
from cloud_bridge.store.sqlite import SqliteEngine
from cloud_bridge.store.sqlite.schema import FILE_NAME

pytestmark = pytest.mark.engines

START = "2026-11-22T10:00:00.000Z"


def footfall(entered, *, start=START):
    body = {
        "device": "cam", "line": "door", "start": start, "seconds": 60, "entered": entered, "exited": 0,
    }  # fmt: skip
    return "footfall.counted", body


ALARM = (
    "environment.alarm",
    {"device": "fridge", "quantity": "temperature_c", "value": 9.0, "limit": 7.0, "state": "raised"},
)
GAP = ("gap.opened", {"facing": "A1", "device": "cam", "fill": 0.2})


@pytest.fixture
def older(monkeypatch):
    """`with older("stock.changed"):` HQ is of a version that does not know these kinds."""

    @contextmanager
    def older_than(*kinds, version=None):
        with monkeypatch.context() as patched:
            for kind in kinds:
                patched.delitem(rows._DECODERS, kind)
            if version is not None:
                patched.setattr(rows, "SCHEMA_VERSION", version)
            yield

    return older_than


async def taken_in(hq, *, parked=0):
    """The one store's audit once nothing but `parked` rows waits any more."""
    async with asyncio.timeout(10):
        (result,) = await hq.audit()
        while result.replayable or result.parked != parked:
            await asyncio.sleep(0.02)
            (result,) = await hq.audit()
    return result


async def test_counts_that_were_parked_are_folded_in_their_place_and_corrected(
    start_hq, tmp_path, make, older
):
    with older("stock.changed"):
        async with start_hq(tmp_path / "hq") as hq:
            store = await hq.new_store()
            await store.hello()
            plan = make.planogram(("A1", make.COLA), ("A2", make.COLA))
            await store.tell(plan, make.stock("A1", 5), make.stock("A2", 3), make.stock("A1", 7))
            assert await hq.shown() == {"A1": None, "A2": None}
            (result,) = await hq.audit()
            assert (result.parked, result.replayable, result.problems) == (3, 0, [])
    async with start_hq(tmp_path / "hq") as hq:
        result = await taken_in(hq)
        assert (result.parked, result.replayed, result.problems) == (0, 3, [])
        assert await hq.shown() == await hq.sums() == {"A1": 7, "A2": 3}
        assert {e["data"]["cause"] for e in await hq.events(type="stock.changed")} == {"correction"}
        again = await hq.again(store)
        assert (await again.hello())["applied"][0] == 4
        again.outbox.add(make.stock("A1", 6))
        await again.send()
        assert await hq.shown() == await hq.sums() == {"A1": 6, "A2": 3}


@pytest.mark.one_engine
async def test_a_planogram_that_was_parked_takes_back_what_it_removed(start_hq, tmp_path, make, older):
    """The later rows stand: the fold is in the order of the rows, not of their arrival."""
    with older("planogram.applied"):
        async with start_hq(tmp_path / "hq") as hq:
            store = await hq.new_store()
            await store.hello()
            await store.tell(make.stock("A1", 5), make.stock("A2", 3))
            await store.tell(make.planogram(("A1", make.WATER), ("A3", make.COLA)), make.stock("A3", 2))
            assert await hq.shown() == {"A1": 5, "A2": 3, "A3": 2}
    async with start_hq(tmp_path / "hq") as hq:
        assert (await taken_in(hq)).problems == []
        assert await hq.shown() == {"A1": None, "A3": 2}
        assert await hq.sums() == {"A1": 0, "A2": 0, "A3": 2}


@pytest.mark.one_engine
async def test_a_newer_version_is_parked_and_taken_in_by_who_knows_it(start_hq, tmp_path, make, older):
    with older(version=0):
        async with start_hq(tmp_path / "hq") as hq:
            store = await hq.new_store()
            await store.hello()
            await store.tell(make.stock("A1", 5))
            assert [row["reason"] for row in (await hq.audit())[0].set_aside] == [
                "stock.changed version 1 is newer than 0"
            ]
    async with start_hq(tmp_path / "hq") as hq:
        await taken_in(hq)
        assert await hq.shown() == {"A1": 5}


async def test_buckets_and_alarms_are_published_as_they_are_and_an_older_total_never_comes_after_a_newer(
    start_hq, tmp_path, make, older
):
    other = "2026-11-22T10:01:00.000Z"
    async with start_hq(tmp_path / "hq") as hq:
        store = await hq.new_store()
        await store.hello()
        with older("footfall.counted", "environment.alarm"):
            await store.tell(
                footfall(2), footfall(4), ALARM, footfall(1, start=other), footfall(5, start=other)
            )
        await store.tell(footfall(9))
        eids = [row.eid for row in store.outbox.rows]
    async with start_hq(tmp_path / "hq") as hq:
        result = await taken_in(hq)
        assert (result.replayed, result.problems) == (5, [])
        published = await hq.events()
        assert [event["eid"] for event in published] == [eids[5], eids[2], eids[4]]
        assert [event["seq"] for event in published] == [6, 3, 5]
        span = {"from": START, "to": "2026-11-22T11:00:00Z", "bucket": "1m"}
        items = (await hq.get("/v1/stores/s1/footfall", **span))["items"]
        assert [(item["start"], item["entered"]) for item in items] == [(START, 9), (other, 5)]


async def test_gaps_devices_and_items_come_to_the_picture(start_hq, tmp_path, make, older):
    device = ("device.changed", {"device": "cam", "driver": "camera", "status": "online", "reason": None})
    with older("device.changed", "gap.opened"):
        async with start_hq(tmp_path / "hq") as hq:
            store = await hq.new_store()
            await store.hello()
            await store.tell(device, GAP, make.stock("A1", 5))
    async with start_hq(tmp_path / "hq") as hq:
        await taken_in(hq)
        assert [d["status"] for d in (await hq.get("/v1/stores/s1/devices"))["items"]] == ["online"]
        assert await hq.shown() == await hq.sums() == {"A1": 5}
        await again_telling(hq, store, make)


async def again_telling(hq, store, make):
    again = await hq.again(store)
    await again.hello()
    again.outbox.add(make.stock("A1", 4))
    await again.send()
    assert await hq.audit_problems() == []
    assert await hq.shown() == await hq.sums() == {"A1": 4}


async def test_rows_of_a_line_that_the_store_has_left_are_only_released(start_hq, tmp_path, make, older):
    with older("environment.alarm", "gap.opened"):
        async with start_hq(tmp_path / "hq") as hq:
            store = await hq.new_store()
            await store.hello()
            await store.tell(make.stock("A1", 5), ALARM)
            old_disk = store.outbox.copy(1)
            await store.tell(ALARM, make.stock("A1", 9), GAP)
            clone = await hq.same_store(store, old_disk)
            await clone.hello()
            await clone.tell(ALARM, make.stock("A1", 3))
            (result,) = await hq.audit()
            assert [(tail["rows"], tail["first"], tail["last"]) for tail in result.orphaned] == [(4, 2, 5)]
            assert "rows 2 to 5 (4), received since 20" in "\n".join(audit_lines(result))
            alarm = clone.outbox.rows[1].eid
    async with start_hq(tmp_path / "hq") as hq:
        result = await taken_in(hq)
        assert (result.replayed, result.parked, result.problems) == (4, 0, [])
        assert [e["eid"] for e in await hq.events(type="environment.alarm")] == [alarm]
        assert await hq.shown() == await hq.sums() == {"A1": 3}


@pytest.mark.one_engine
async def test_a_known_kind_that_does_not_fit_is_quarantined_then(start_hq, tmp_path, make, older):
    with older("stock.changed"):
        async with start_hq(tmp_path / "hq") as hq:
            store = await hq.new_store()
            await store.hello()
            await store.tell(("stock.changed", "{}"), ("robot.waved", {}))
    async with start_hq(tmp_path / "hq") as hq:
        result = await taken_in(hq, parked=1)
        assert (result.quarantined, result.replayed, result.problems) == (1, 0, [])
        assert "missing required field" in result.set_aside[0]["reason"]


@pytest.mark.one_engine
async def test_a_kill_in_the_middle_is_all_or_nothing_and_a_second_time_finds_nothing(
    tmp_path, start_hq, make, older
):
    with older("stock.changed", "environment.alarm"):
        async with start_hq(tmp_path / "hq") as hq:
            store = await hq.new_store()
            await store.hello()
            await store.tell(make.stock("A1", 5), ALARM, make.stock("A1", 2))
            settings = hq.bridge.settings
    engine = SqliteEngine(tmp_path / "hq" / FILE_NAME)
    try:
        assert await engine.hold_for_replay() == ["s1"]
        with pytest.raises(Unavailable, match="taken in first"):
            await engine.hello("s1", store.greeting([3]), received_at=make.AT)
        await engine.writer.submit(
            lambda tx: tx.connection.execute(
                "create trigger cut before insert on replay begin select raise(abort, 'cut'); end"
            )
        )
        with pytest.raises(Unavailable, match="cut"):
            await engine.replay("s1", at=make.AT)
        (result,) = audit(settings, None)
        assert (result.parked, result.replayable, result.problems) == (3, 3, [])
        assert (await engine.events(0, store=None, type_=None, limit=10)).events == []
        await engine.writer.submit(lambda tx: tx.connection.execute("drop trigger cut"))
        assert (await engine.replay("s1", at=make.AT)).rows == 3
        feed = (await engine.events(0, store=None, type_=None, limit=10)).events
        assert (await engine.replay("s1", at=make.AT)).rows == 0
        assert (await engine.events(0, store=None, type_=None, limit=10)).events == feed
        assert await engine.hold_for_replay() == []
        await engine.hello("s1", store.greeting([3]), received_at=make.AT)
    finally:
        await engine.close()
    assert [json.loads(event.entry.payload).get("change") for event in feed] == [2, None]


@pytest.mark.one_engine
async def test_batches_that_come_meanwhile_are_in_the_fold(tmp_path, start_hq, make, older, monkeypatch):
    """The fold is made, then rows arrive by the old session, then it is put in place."""
    with older("stock.changed"):
        async with start_hq(tmp_path / "hq") as hq:
            store = await hq.new_store()
            await store.hello()
            await store.tell(make.stock("A1", 5), make.stock("A2", 1))
    prepared, go_on = asyncio.Event(), asyncio.Event()
    submit = SqliteEngine.replay

    async def slowly(engine, name, *, at):
        read = engine._read

        async def hold(question):
            answer = await read(question)
            monkeypatch.setattr(engine, "_read", read)
            prepared.set()
            await go_on.wait()
            return answer

        monkeypatch.setattr(engine, "_read", hold)
        return await submit(engine, name, at=at)

    monkeypatch.setattr(SqliteEngine, "replay", slowly)
    async with start_hq(tmp_path / "hq") as hq:
        await prepared.wait()
        again = await hq.again(store)
        again.session, again.branch, again.applied = store.session, store.branch, store.applied
        await again.tell(make.stock("A1", 8), footfall(3), make.planogram(("A1", make.COLA)))
        assert await hq.shown() == {"A1": 8}
        with pytest.raises(make.Refused) as refused:
            await again.hello()
        assert (refused.value.status, refused.value.code) == (503, "E-HQ-BUSY")
        go_on.set()
        assert (await taken_in(hq)).problems == []
        assert await hq.shown() == {"A1": 8}
        assert await hq.sums() == {"A1": 8}
        await again.hello()
