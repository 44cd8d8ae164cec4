"""One facing over the agent's API: what it answers, and what it says of a facing that there is not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from edge_agent import local_accounts
from edge_agent.app import StoreAgent, build
from edge_agent.config.store import StoreSettings
from edge_agent.contract.errors import AgentUnreachable, ConfigError
from edge_agent.explanation import Explanation
from edge_agent.live.asking import ask_facing, ask_status
from edge_agent.local_accounts import known
from edge_agent.readings import Delivery, Recount, Sale, WeightReading

COLA, WATER = "06901234567892", "04006381333931"


def settings(folder: Path) -> StoreSettings:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return StoreSettings.model_validate(
        {
            "store": {"id": "s1"},
            "agent": {"data_dir": str(folder / "var"), "http": {"port": port}},
            "products": [{"gtin": COLA, "name": "Cola", "unit_weight_g": 352.0}, {"gtin": WATER}],
            "facings": [
                {"id": "A1", "gtin": COLA, "capacity": 12, "reorder_point": 3},
                {"id": "A2", "gtin": WATER, "capacity": 30},
            ],
            "devices": [{"id": "s1", "driver": "mt-sics", "port": str(folder / "none"), "facings": ["A1"]}],
        }
    )


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[StoreAgent]:
    made, stop = build(settings(tmp_path)), asyncio.Event()
    running = asyncio.create_task(made.run(stop))
    async with asyncio.timeout(10):
        while True:
            try:
                await ask_status(made.settings.agent.http)
                break
            except AgentUnreachable:
                await asyncio.sleep(0.01)
    yield made
    stop.set()
    await running
    made.journal.close()


async def said(agent: StoreAgent, facing: str) -> Explanation:
    return msgspec.convert(await ask_facing(agent.settings.agent.http, facing), Explanation)


async def get(agent: StoreAgent, path: str) -> tuple[int, str, Any]:
    url = f"http://127.0.0.1:{agent.settings.agent.http.port}{path}"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return answer.status, answer.content_type, await answer.json(content_type=None)


async def weigh(agent: StoreAgent, weight_g: float) -> None:
    for _ in range(25):
        await agent.pipeline.emit([WeightReading("s1", None, weight_g, stable=True)])
        await asyncio.sleep(0.05)


async def test_a_weighed_facing_is_explained_with_its_scale_and_its_changes(agent: StoreAgent) -> None:
    await weigh(agent, 10 * 352.0)
    await weigh(agent, 8 * 352.0)
    answer = await said(agent, "A1")
    assert (answer.on_hand, answer.capacity, answer.reorder_point) == (8, 12, 3)
    assert answer.names == {COLA: "Cola"}
    assert [device.device for device in answer.devices] == ["s1"]
    assert [(one.change, one.on_hand, one.cause) for one in answer.changes] == [
        (-2, 8, "pick"),
        (10, 10, "initial"),
    ]
    assert answer.plate is not None
    assert answer.plate.weight_g == 8 * 352.0
    _, _, rows = await get(agent, "/v1/facings")
    row = rows["items"][0]
    assert row["interval"] == [8, 8] == list(answer.interval or ())
    assert row["contributions"] == {"weight": answer.alone[0].of_believed}


async def test_what_a_till_and_a_hand_told_is_told_again(agent: StoreAgent) -> None:
    take = agent.pipeline.take
    await take(Recount("A2", 20))
    await take(Sale("", "r1", "1", WATER, 3))
    await take(Sale("", "r1", "2", WATER, -1))
    await take(Sale("", "r1", "3", COLA, 1))
    await take(Delivery("", "d1", "1", WATER, 6, "A2"))
    await take(Delivery("", "d1", "2", WATER, 5))
    answer = await said(agent, "A2")
    assert answer.counted is not None
    assert answer.counted.on_hand == 20
    assert (answer.trade.sold, answer.trade.delivered) == (2, 11)
    assert [one.cause for one in answer.changes] == ["restock", "return", "sale", "recount"]
    assert (answer.plate, answer.alone) == (None, [])
    assert answer.counts[0].on_hand == answer.on_hand == 24


async def test_a_facing_of_which_nothing_has_spoken_is_explained(agent: StoreAgent) -> None:
    answer = await said(agent, "A2")
    assert (answer.on_hand, answer.counted, answer.changes) == (None, None, [])


async def test_a_facing_that_there_is_not_is_404_with_the_known_ones(agent: StoreAgent) -> None:
    status, kind, problem = await get(agent, "/v1/facings/A%2F9")
    assert (status, kind, problem["code"]) == (404, "application/problem+json", "E-NOT-FOUND")
    assert (problem["detail"], problem["hint"]) == (
        "there is no facing 'A/9' in this store's planogram",
        "known: A1, A2",
    )
    with pytest.raises(ConfigError, match="there is no facing 'A/9'"):
        await said(agent, "A/9")


def test_a_hint_names_few_of_many_and_first_what_is_spelt_alike() -> None:
    names = [f"A{shelf:03}-{place:02}" for shelf in range(1, 101) for place in range(1, 21)]
    hint = known("A099-3", names)
    assert hint.startswith("known: A099-")
    assert hint.endswith("… 2000 in all (GET /v1/facings)")
    assert len(hint) < 200
    assert known("x", []) == "known: none"


def test_a_hint_compares_few_of_ten_thousand_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made on the event loop, and comparing all of them took seconds."""
    compared: list[tuple[str, int]] = []

    def spy(name: str, names: list[str], n: int) -> list[str]:
        compared.append((name, len(names)))
        return get_close_matches(name, names, n=n)

    monkeypatch.setattr(local_accounts, "get_close_matches", spy)
    names = [f"aisle-{n // 100:03}.shelf-{n % 7}.position-{n:05}" for n in range(10_000)]
    assert names[5_217] in known(f"{names[5_217]}x", names)
    known("a" * 10_000, names)
    assert [(len(name), count) for name, count in compared] == [(33, 500), (64, 500)]
