"""The present told again: whole, once for each request, and never by a planogram that is replaced."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge_agent import local_resync
from edge_agent.app import StoreAgent, build
from edge_agent.config.store import Http, StoreSettings
from edge_agent.contract.digest import BUCKETS
from edge_agent.contract.errors import ConfigError, JournalError
from edge_agent.journal import writer
from edge_agent.live.asking import ask_resync
from edge_agent.readings import Recount
from edge_agent.retelling import RESYNC, WANTED, Retold

TOKEN, COLA = "secret", "06901234567892"


def settings(folder: Path, **more: object) -> StoreSettings:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "token").write_text(TOKEN)
    http = {"port": port, "token_file": str(folder / "token")}
    return StoreSettings.model_validate(
        {
            "store": {"id": "s1"},
            "agent": {"data_dir": str(folder / "var"), "http": http},
            "uplink": {"url": "http://127.0.0.1:1", "token_file": str(folder / "token")},
            "products": [{"gtin": COLA}],
            "facings": [{"id": f"A{n}", "gtin": COLA, "capacity": 12} for n in (1, 2)],
            **more,
        }
    )


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[StoreAgent]:
    """Its recounts are durable; no HQ answers."""
    made = build(settings(tmp_path))
    for facing, on_hand in (("A1", 5), ("A2", 7)):
        await made.pipeline.take(Recount(facing, on_hand))
    yield made
    made.journal.close()


def told(agent: StoreAgent, behind: int) -> list[tuple[str, Any]]:
    """What the rows behind a seq say: of a facing its count and cause, of the rest its kind."""
    rows = [(row.kind, json.loads(row.body)) for row in agent.journal.rows_after(behind, limit=99)]
    return [
        (body["facing"], (body["on_hand"], body["change"], body["cause"]))
        if kind == "stock.changed"
        else (kind, None)
        for kind, body in rows
    ]


PRESENT = [
    ("planogram.applied", None),
    ("A1", (5, 0, "correction")),
    ("A2", (7, 0, "correction")),
]


async def test_requests_are_one_until_hq_has_the_rows_and_then_one_anew(agent: StoreAgent) -> None:
    before, hellos = agent.journal.durable_seq, []
    agent.retelling.greet_again = lambda: hellos.append(agent.journal.durable_seq)
    answers = await asyncio.gather(*(agent.retelling.resync() for _ in range(5)))
    assert sorted(answer.duplicate for answer in answers) == [False, True, True, True, True]
    assert told(agent, before) == PRESENT
    upto = agent.journal.durable_seq
    assert hellos == [upto], "the hello comes behind the rows"
    assert await agent.retelling.resync() == Retold(3, duplicate=True)
    await asyncio.wrap_future(agent.journal.acknowledged("b", applied=upto - 1, safe=0))
    assert (await agent.retelling.resync()).duplicate
    await asyncio.wrap_future(agent.journal.acknowledged("b", applied=upto, safe=0))
    assert await agent.retelling.resync() == Retold(3, duplicate=False)
    assert told(agent, upto) == PRESENT


async def test_a_request_just_behind_the_last_row_is_still_the_same(agent: StoreAgent) -> None:
    agent.retelling.greet_again = lambda: None
    first = asyncio.create_task(agent.retelling.resync())
    while (rows := agent.retelling._told) is None or not rows.done():  # noqa: ASYNC110  # just then
        await asyncio.sleep(0)
    assert await agent.retelling.resync() == Retold(3, duplicate=True)
    assert not (await first).duplicate


async def test_a_mark_is_done_once_and_goes_with_its_rows(agent: StoreAgent) -> None:
    before = agent.journal.durable_seq
    await agent.retelling.at_start()
    assert told(agent, before) == []
    await asyncio.wrap_future(agent.journal.remember(RESYNC, WANTED))
    commits = agent.journal.commits
    await agent.retelling.at_start()
    assert (told(agent, before), agent.journal.recall(RESYNC)) == (PRESENT, "")
    assert agent.journal.commits == commits + 1, "the rows and the mark in one transaction"
    await agent.retelling.at_start()
    assert told(agent, before) == PRESENT


async def test_nothing_is_told_by_a_planogram_that_is_being_replaced(agent: StoreAgent) -> None:
    agent.pipeline._is_closed = True
    before = agent.journal.durable_seq
    with pytest.raises(JournalError, match="taking over"):
        await agent.retelling.resync()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await agent.retelling.retell(range(BUCKETS))
    assert agent.journal.durable_seq == before


async def test_the_call_answers_and_says_who_may_not_and_when_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_resync, "DURABLE_WITHIN_S", 0.2)
    monkeypatch.setattr(writer, "AGAIN_AFTER_S", 0.01)
    made, stop = build(settings(tmp_path)), asyncio.Event()
    http = made.settings.agent.http
    running = asyncio.create_task(made.run(stop))
    url = f"http://127.0.0.1:{http.port}/v1"
    async with asyncio.timeout(20), aiohttp.ClientSession() as session:
        while not await answers(session, f"{url}/facings"):  # noqa: ASYNC110  # another task's port
            await asyncio.sleep(0.01)
        async with session.post(f"{url}/resync") as answer:
            assert (answer.status, (await answer.json(content_type=None))["code"]) == (401, "E-UNAUTHORIZED")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with session.post(f"{url}/resync", json={"what": 1}, headers=headers) as answer:
            assert answer.status == 400
        made.journal.limit_pages(1)
        held = await until_the_disk_is_full(made)
        with pytest.raises(JournalError, match="the running agent says: the disk does not take it yet"):
            await ask_resync(http)
        made.journal.limit_pages(100_000)
        assert await ask_resync(http) == {"rows": 3, "duplicate": True}
    assert [kind for kind, _ in told(made, held)].count("planogram.applied") == 1
    stop.set()
    await running
    made.journal.close()


async def until_the_disk_is_full(agent: StoreAgent) -> int:
    """The newest row then: resyncs are asked for until the last pages are used."""
    while True:
        try:
            await ask_resync(agent.settings.agent.http)
        except JournalError:
            return agent.journal.durable_seq
        applied = agent.journal.durable_seq
        await asyncio.wrap_future(agent.journal.acknowledged("b", applied=applied, safe=0))


async def answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url):
            return True
    except aiohttp.ClientConnectionError:
        return False


async def test_without_an_uplink_there_is_nobody_to_tell(tmp_path: Path) -> None:
    made = build(settings(tmp_path, uplink=None))
    with pytest.raises(ConfigError, match="no uplink"):
        await made.retelling.resync()
    made.journal.close()


async def test_an_agent_without_a_token_is_not_asked() -> None:
    with pytest.raises(ConfigError, match="takes no writes"):
        await ask_resync(Http(port=1))
