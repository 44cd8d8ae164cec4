"""Hellos that wait for a history to be read."""

import asyncio
from typing import Any

from cloud_bridge.errors import Unavailable
from cloud_bridge.picture import Picture
from cloud_bridge.store import meeting
from cloud_bridge.store.meeting import NeedsRefold, Refolded, Refolds
from cloud_bridge.store.records import Want, Welcome


async def test_hellos_that_wait_for_one_reading_hear_alike_of_its_failure():
    waiting = asyncio.Event()

    async def attempt(_refolded: Refolded | None) -> NeedsRefold:
        return NeedsRefold((1, b"x"), [])

    async def fold(_segments: object) -> Picture:
        await waiting.wait()
        raise Unavailable("the database cannot be read")

    refolds = Refolds()
    asked = [asyncio.create_task(refolds.greeted("s1", attempt, fold)) for _ in range(2)]
    while not refolds.all():  # noqa: ASYNC110  # of other tasks
        await asyncio.sleep(0)
    waiting.set()
    heard = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(error) for error in heard] == [Unavailable, Unavailable]


async def test_two_gateways_in_turn_each_get_their_own_history(monkeypatch):
    monkeypatch.setattr(meeting, "REFOLD_WAIT_S", 0.001)
    read: dict[int, asyncio.Future[Picture]] = {}
    refolds = Refolds()

    async def hello(merge: int) -> Welcome | Want | str:
        async def attempt(refolded: Refolded | None) -> Any:
            return NeedsRefold((merge, b""), []) if refolded is None else f"at {merge}"

        async def fold(_segments: object) -> Picture:
            assert merge not in read, "once for each merge base"
            read[merge] = asyncio.get_running_loop().create_future()
            return await read[merge]

        try:
            return await refolds.greeted("s1", attempt, fold)
        except Unavailable:
            return "later"

    assert [await hello(merge) for merge in (1, 2, 1, 2, 3)] == ["later"] * 5
    assert sorted(read) == [1, 2]
    for reading in read.values():
        reading.set_result(Picture())
    await asyncio.wait(refolds.all())
    assert [await hello(merge) for merge in (1, 2)] == ["at 1", "at 2"]
    assert refolds.all() == []
