"""What a camera saw on the floor, over the agent's API, from readings to answer and over a restart."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge_agent.app import StoreAgent, build
from edge_agent.config.store import StoreSettings
from edge_agent.contract.times import utc_now
from edge_agent.readings import HeatSeen, ZoneWatched

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10]]
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = "from=2026-11-22T00:00:00Z&to=2026-11-23T00:00:00Z"


def settings(folder: Path) -> StoreSettings:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    cam = {"driver": "camera", "source": "http://127.0.0.1:9/none"}
    floor = {"zones": [{"id": "till", "polygon": SQUARE}], "heat_map": {"columns": 2, "rows": 2}}
    return StoreSettings.model_validate(
        {
            "store": {"id": "s1"},
            "agent": {"data_dir": str(folder / "var"), "http": {"port": port}},
            "devices": [{"id": "cam", **cam, "footfall": floor}, {"id": "bare", **cam}],
        }
    )


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[StoreAgent]:
    made, stop = build(settings(folder)), asyncio.Event()
    made.devices.clear()  # no camera is there: the test says what one would
    task = asyncio.create_task(made.run(stop))
    async with asyncio.timeout(10):
        while True:
            try:
                await get(made, "/healthz")
                break
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.01)
    yield made
    stop.set()
    await task
    made.journal.close()


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[StoreAgent]:
    async with running(tmp_path) as made:
        yield made


async def get(agent: StoreAgent, path: str) -> tuple[int, Any]:
    url = f"http://127.0.0.1:{agent.settings.agent.http.port}{path}"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return answer.status, await answer.json(content_type=None)


def watched(at: datetime, *, visits: int = 0, dwell_s: float = 0, occupancy: int = 0) -> ZoneWatched:
    return ZoneWatched("cam", "till", at, 10.0, 5.0, visits, dwell_s, dwell_s, occupancy)


async def test_the_hours_of_a_zone_are_told_and_go_on_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.pipeline.emit([watched(NOON, visits=2, dwell_s=12.5), watched(NOON)])
        await agent.pipeline.emit([watched(NOON + timedelta(hours=1))])
        _, before = await get(agent, f"/v1/cameras/cam/zones?{DAY}")
        assert before["items"] == [
            {
                "zone": "till",
                "start": "2026-11-22T12:00:00.000Z",
                "seconds": 3600,
                "watched_s": 20.0,
                "visits": 2,
                "mean_dwell_s": 6.2,
                "longest_dwell_s": 12.5,
                "mean_occupancy": 0.5,
            },
            {
                "zone": "till",
                "start": "2026-11-22T13:00:00.000Z",
                "seconds": 3600,
                "watched_s": 10.0,
                "visits": 0,
                "mean_dwell_s": None,
                "longest_dwell_s": None,
                "mean_occupancy": 0.5,
            },
        ]
    async with running(tmp_path) as agent:
        await agent.pipeline.emit([watched(NOON + timedelta(hours=1), visits=1, dwell_s=3)])
        _, after = await get(agent, f"/v1/cameras/cam/zones?{DAY}")
    assert after["items"][0] == before["items"][0]
    assert (after["items"][1]["watched_s"], after["items"][1]["visits"]) == (20.0, 1)


async def test_how_many_are_in_a_zone_now_is_unknown_until_the_camera_says_so(agent: StoreAgent) -> None:
    _, answer = await get(agent, "/v1/cameras/cam/zones")
    assert answer == {"items": [], "now": [{"zone": "till", "occupancy": None}]}
    await agent.pipeline.emit([watched(utc_now(), occupancy=3)])
    _, answer = await get(agent, "/v1/cameras/cam/zones")
    assert answer["now"] == [{"zone": "till", "occupancy": 3}]


async def test_a_heat_map_is_told_row_by_row(agent: StoreAgent) -> None:
    for _ in range(2):
        await agent.pipeline.emit([HeatSeen("cam", NOON, 10.0, 2, 2, (1.0, 2.0, 0.0, 0.26))])
    _, answer = await get(agent, f"/v1/cameras/cam/heat?{DAY}")
    hour = {"start": "2026-11-22T12:00:00.000Z", "watched_s": 20.0, "cells": [[2.0, 4.0], [0.0, 0.5]]}
    assert answer == {"columns": 2, "rows": 2, "items": [hour]}


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("nobody/zones", 404, "there is no camera 'nobody'"),
        ("nobody/heat", 404, "there is no camera 'nobody'"),
        ("bare/heat", 404, "bare has no heat map"),
        ("cam/zones?from=yesterday", 400, "Invalid isoformat string: 'yesterday'"),
        ("cam/zones?from=2026-11-22T00:00:00", 400, "has no offset"),
        ("cam/heat?from=2026-11-22T01:00:00Z&to=2026-11-22T00:00:00Z", 400, "from is not before to"),
        ("cam/heat?from=2020-11-22T01:00:00Z&to=2026-11-22T00:00:00Z", 400, "more than 92 days apart"),
        ("cam/zones?to=0001-01-01T00:00:00Z", 400, "out of range"),
    ],
)
async def test_a_wrong_question_is_answered_with_what_is_wrong(
    agent: StoreAgent, path: str, status: int, says: str
) -> None:
    answered, problem = await get(agent, f"/v1/cameras/{path}")
    assert (answered, problem["status"]) == (status, status)
    assert says in problem["detail"]
    assert problem["hint"]


async def test_a_camera_without_zones_has_none(agent: StoreAgent) -> None:
    assert await get(agent, "/v1/cameras/bare/zones") == (200, {"items": [], "now": []})
