"""Odd rows of one store, and what they must not do to others: times that are none, clocks that are wrong, NUL."""

from __future__ import annotations

import asyncio

import pytest

from cloud_bridge import app
from cloud_bridge.errors import Unavailable
from cloud_bridge.liveness import Liveness
from cloud_bridge.store.records import StoreRecord

pytestmark = pytest.mark.engines

NO_TIME = "2026-02-31T25:00:00.000Z"


async def test_a_row_without_a_real_time_disturbs_nobody(hq, store, make):
    await store.tell(make.planogram(("A1", make.COLA)), make.stock("A1", 9, confidence=1.0))
    store.outbox.add(make.stock("A1", 8), occurred_at=NO_TIME)
    store.outbox.add(make.stock("A1", 7, confidence=1.0))
    await store.hello()
    await store.send(last=store.outbox.last_seq - 1)
    answer = await hq.get("/v1/stores/s1/facings")
    assert (answer["catching_up"], answer["as_of"]) == (True, make.AT)
    assert (await hq.get("/v1/stock", gtin=make.COLA))["on_hand"] == 9


@pytest.mark.one_engine
@pytest.mark.parametrize(
    ("at", "offset_ms", "as_of"),
    [
        ("2026-11-22T10:00:00.000Z", None, "2026-11-22T10:00:00.000Z"),
        ("2026-11-22T10:20:00.000Z", -1_200_000, "2026-11-22T10:00:00.000Z"),
        (NO_TIME, None, None),
        ("2026-11-22T10:00:00.000Z", 2**62, None),
        (None, 5, None),
    ],
)
def test_the_newest_row_of_a_store_that_catches_up_is_told_in_hq_s_time(at, offset_ms, as_of):
    record = StoreRecord(
        store="s1", name="", gln=None, timezone="UTC", last_seen_at=None, head_seq=1, head_occurred_at=at,
        last_seq=9, as_of_seq=0, catch_up_to=9, state_at=None, clock_offset_ms=offset_ms, differences=0,
        differed_at=None, latitude=None, longitude=None,
    )  # fmt: skip
    assert Liveness().freshness(record).as_of == as_of


async def test_a_text_comes_back_as_it_was_told_whatever_is_in_it(hq, store, make):
    reason = "line \0 \x1e \x1f \U0010ffff0 broken"
    health = {"device": "d", "driver": "mt-sics", "status": "degraded", "reason": reason}
    await store.tell(("device.changed", health))
    (device,) = (await hq.get("/v1/stores/s1/devices"))["items"]
    (event,) = await hq.events()
    assert device["reason"] == event["data"]["reason"] == reason


@pytest.mark.one_engine
async def test_what_could_not_be_read_of_another_process_is_read_again():
    class Engine:
        told = False

        async def changed(self):
            if self.told:
                await asyncio.Event().wait()
            self.told = True
            return {"access"}

    class Access:
        asked, is_read = 0, asyncio.Event()

        async def reload(self):
            self.asked += 1
            if self.asked == 1:
                raise Unavailable("the database is away")
            self.is_read.set()

    class Commands:
        async def load(self):
            raise AssertionError

    access = Access()
    following = asyncio.create_task(app._follow(Engine(), access, Commands()))
    await asyncio.wait_for(access.is_read.wait(), 10)
    following.cancel()


async def test_an_ordinary_hello_changes_no_facing(hq, store, make):
    await store.tell(make.planogram(("A1", make.COLA)), make.stock("A1", 9))
    before = await hq.get("/v1/stores/s1/facings/A1")
    await store.hello()
    assert await hq.get("/v1/stores/s1/facings/A1") == before
