"""Hellos that wait for a history to be read."""

import asyncio

from cloud_bridge.errors import Unavailable
from cloud_bridge.picture import Picture
from cloud_bridge.store.meeting import NeedsRefold, Refolded, Refolds


async def test_hellos_that_wait_for_one_reading_hear_alike_of_its_failure():
    waiting = asyncio.Event()

    async def attempt(_refolded: Refolded | None) -> NeedsRefold:
        return NeedsRefold((1, b"x"), [])

    async def fold(_segments: object) -> Picture:
        await waiting.wait()
        raise Unavailable("the database cannot be read")

    refolds = Refolds()
    asked = [asyncio.create_task(refolds.greeted("s1", attempt, fold)) for _ in range(2)]
    while "s1" not in refolds.running:  # noqa: ASYNC110  # of other tasks
        await asyncio.sleep(0)
    waiting.set()
    heard = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(error) for error in heard] == [Unavailable, Unavailable]
