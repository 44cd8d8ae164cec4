"""A follower is bounded: the newest win, what is missing is counted, and nobody waits for it."""

from __future__ import annotations

import asyncio
import json

from edge_agent.live.audience import Audience, DeviceLost
from edge_agent.live.follower import Follower
from edge_agent.readings import DeviceAnswered, WeightReading


def numbers(limit: int) -> Follower[int]:
    return Follower(limit, lambda n: {"n": n} if n >= 0 else None, lambda dropped: {"dropped": dropped})


async def taken(follower: Follower[int]) -> list[dict[str, int]]:
    return [json.loads(line) for line in (await follower.lines()).splitlines()]


async def test_the_newest_win_and_the_gap_is_told_once() -> None:
    follower = numbers(3)
    for n in range(10):
        follower.put(n)
    assert await taken(follower) == [{"dropped": 7}, {"n": 7}, {"n": 8}, {"n": 9}]
    follower.put(10)
    assert await taken(follower) == [{"n": 10}]


async def test_the_limit_counts_sizes_and_one_item_always_fits() -> None:
    follower = numbers(100)
    for n, size in enumerate((60, 60, 500)):
        follower.put(n, size)
    assert await taken(follower) == [{"dropped": 2}, {"n": 2}]


async def test_lines_wait_for_the_first_item_and_return_empty_when_woken() -> None:
    follower = numbers(3)
    waiting = asyncio.create_task(follower.lines())
    await asyncio.sleep(0)
    assert not waiting.done()
    follower.wake()
    assert await waiting == b""
    follower.put(-1)
    assert await follower.lines() == b""


async def test_cancelling_loses_nothing() -> None:
    follower = numbers(3)
    waiting = asyncio.create_task(follower.lines())
    await asyncio.sleep(0)
    waiting.cancel()
    follower.put(1)
    assert await taken(follower) == [{"n": 1}]


async def test_a_follower_hears_its_device_only_and_only_while_it_follows() -> None:
    audience = Audience()
    told = [WeightReading("a", None, 1.0, True), DeviceAnswered("b"), DeviceLost("a", "gone")]
    audience.tell(told)
    with audience.follow("a") as first, audience.follow("a") as second:
        audience.tell(told)
        for follower in (first, second):
            kinds = [json.loads(line)["kind"] for line in (await follower.lines()).splitlines()]
            assert kinds == ["weight", "status"]
    audience.tell(told)
    assert not audience._followers
