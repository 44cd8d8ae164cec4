"""Several bridges on one database: what one of them commits, refuses or hears holds in all of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import aiohttp
import pytest

from cloud_bridge import control
from cloud_bridge.config import BridgeSettings
from cloud_bridge.databases import audit
from cloud_bridge.store.reservations import Wanted
from edge_agent.contract.messages import Presence
from edge_agent.contract.times import utc_now

pytestmark = pytest.mark.engines("postgresql")


@pytest.fixture
async def pair(start_hq, tmp_path):
    """Two bridges, each with a data_dir of its own."""
    async with start_hq(tmp_path / "a") as first, start_hq(tmp_path / "b") as second:
        yield first, second


async def until(condition, seconds=30):
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - it is another process's
            await asyncio.sleep(0.02)


def at(hq, store):
    """The same store, talking to another bridge in the same session."""
    store.url = hq.url
    return store


async def test_a_revoked_token_stops_in_every_process(pair, make):
    first, second = pair
    store = await first.new_store()
    await until(lambda: knows(second, store))
    await first.command("store revoke", name="s1")

    async def is_refused():
        try:
            await at(second, store).hello()
        except make.Refused as refused:
            return refused.status == 401
        return False

    await until(is_refused, 5)


async def knows(hq, store):
    headers = {"Authorization": f"Bearer {store.token}"}
    async with hq.http.get(f"{hq.url}/v1/sync/commands", headers=headers) as reply:
        return reply.status == 200


async def test_a_command_reaches_a_store_that_talks_to_another_process(pair, make):
    first, second = pair
    store = await first.new_store()
    await until(lambda: knows(second, store))
    await at(second, store).hello()
    await store.tell(make.planogram(("A1", make.COLA)), make.stock("A1", 5))
    headers = {"Authorization": f"Bearer {first.token}"}
    body = {"facing": "A1", "on_hand": 7}
    async with first.http.post(f"{first.url}/v1/stores/s1/recounts", json=body, headers=headers) as reply:
        assert reply.status == 202

    async def is_told():
        return (await store.send())["commands_after"] > 0

    await until(is_told, 5)
    (command,) = (await asked(second, store))["commands"]
    assert command["body"] == body


async def asked(hq, store):
    headers = {"Authorization": f"Bearer {store.token}"}
    async with hq.http.get(f"{hq.url}/v1/sync/commands?after=0", headers=headers) as reply:
        return await reply.json()


async def test_a_store_may_change_its_bridge_between_any_two_calls(pair, make):
    first, second = pair
    store = await first.new_store()
    await until(lambda: knows(second, store))
    await store.hello()
    for n, hq in enumerate((second, first, second), 1):
        assert (await at(hq, store).tell(make.stock("A1", n)))["applied"][0] == n
        assert (await at(first if hq is second else second, store).send())["applied"][0] == n
    assert await second.sums() == await first.sums() == {"A1": 3}
    assert await first.audit_problems() == []


async def test_a_heartbeat_of_a_session_that_ended_elsewhere_is_refused(pair, make):
    first, second = pair
    store = await first.new_store()
    await until(lambda: knows(second, store))
    await store.hello()
    await store.tell(make.stock("A1", 1))
    clone = at(second, await second.same_store(store, store.outbox.copy()))
    await clone.hello()
    with pytest.raises(make.Refused) as refused:
        await store.send()
    assert (refused.value.status, refused.value.code) == (409, "stale_session")


async def test_a_store_is_online_in_the_process_that_never_heard_it(pair, make, monkeypatch):
    first, second = pair
    monkeypatch.setattr(type(first.engine), "heard_every_s", 0.05)
    store = await first.new_store()
    await store.hello()
    health = {"device": "scale-1", "driver": "mt-sics", "status": "online", "reason": None}
    await store.tell(make.stock("A1", 1), ("device.changed", health))
    heard = "2998-01-01T00:00:00.000Z"
    await store.send(3, 2, presence=Presence(devices={"scale-1": heard}, facings={"A1": heard}))

    async def is_seen():
        (device,) = (await second.get("/v1/stores/s1/devices"))["items"]
        facing = await second.get("/v1/stores/s1/facings/A1")
        return device["last_seen_at"] == facing["observed_at"] == heard

    await until(is_seen)
    assert (await second.get("/v1/stores"))["items"][0]["status"] == "online"


async def test_a_stream_of_one_process_has_what_the_other_takes_in(pair, make):
    first, second = pair
    store = await first.new_store()
    await store.hello()
    headers = {"Authorization": f"Bearer {second.token}"}
    async with second.http.get(f"{second.url}/v1/stream", headers=headers) as stream:
        await store.tell(*(make.stock("A1", n) for n in range(1, 4)))
        await store.tell(make.stock("A1", 9))
        changes = []
        async with asyncio.timeout(30):
            while len(changes) < 4:
                line = (await stream.content.readline()).decode()
                if line.startswith("data: "):
                    changes.append(json.loads(line[6:])["data"]["change"])
    assert changes == [1, 1, 1, 6]


async def reserve(hq, gtin, key):
    """Status and document of a wish for one item, at whichever store has it."""
    headers = {"Authorization": f"Bearer {hq.token}", "Idempotency-Key": key}
    body = {"gtin": gtin, "quantity": 1}
    async with hq.http.post(f"{hq.url}/v1/reservations", json=body, headers=headers) as reply:
        return reply.status, await reply.json(content_type=None)


async def two_stores(pair, make):
    """Two items at each of two stores, and a token that both bridges know."""
    first, second = pair
    for name in ("s1", "s2"):
        store = await first.new_store(name)
        await store.hello()
        await store.tell(make.planogram(("A1", make.COLA)), make.stock("A1", 2, confidence=1.0))
    second.token = first.token

    async def is_known():
        with suppress(make.Refused):
            return bool(await second.get("/v1/stores"))
        return False

    await until(is_known)


async def test_bridges_that_reserve_at_once_promise_no_item_twice(pair, make):
    await two_stores(pair, make)
    answers = await asyncio.gather(*(reserve(pair[n % 2], make.COLA, f"k{n}") for n in range(40)))
    got = Counter(answer["store"] for status, answer in answers if status == 201)
    assert got == {"s1": 2, "s2": 2}
    assert {status for status, _ in answers} == {201, 409}
    for hq in pair:
        stock = await hq.get("/v1/stock", gtin=make.COLA)
        assert [item["available"] for item in stock["items"]] == [0, 0]


async def test_a_key_that_comes_to_two_bridges_at_once_has_one_answer(pair, make):
    await two_stores(pair, make)
    for key in ("a", "b", "c"):
        answers = await asyncio.gather(*(reserve(pair[n % 2], make.COLA, key) for n in range(6)))
        assert answers == [answers[0]] * 6
        assert answers[0][0] == 201
    assert len((await pair[1].get("/v1/reservations"))["items"]) == 3


async def test_wishes_that_try_stores_in_another_order_do_not_wait_in_a_circle(pair, make, caplog):
    await two_stores(pair, make)

    async def wish(n):
        wanted = Wanted(
            id=uuid.uuid4().hex, key=uuid.uuid4().bytes, body=b"", gtin=make.COLA, quantity=1, ttl_s=60, by="",
            store=None, candidates=["s1", "s2"] if n % 2 else ["s2", "s1"],
        )  # fmt: skip
        return await pair[n % 2].engine.reserve(wanted, lambda *_: 0, utc_now)

    with caplog.at_level("DEBUG", "cloud_bridge.store.postgres.database"):
        records = await asyncio.gather(*(wish(n) for n in range(60)))
    assert {record.state for record in records} == {"refused"}
    assert "broken off" not in caplog.text


# --- as they are started in a shop ---------------------------------------------------------------


@asynccontextmanager
async def bridge_process(folder, url):
    """`cloud-bridge run`, as an operator starts it; its address."""
    folder.mkdir()
    config = folder / "bridge.yaml"
    config.write_text(f"http: {{port: {free_port()}}}\ndatabase: {url}\n")
    port = int(config.read_text().split("port: ")[1].split("}")[0])
    process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
        [sys.executable, "-m", "cloud_bridge", "run", "-c", config], stderr=subprocess.PIPE, text=True
    )
    address = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as http:

            async def is_up():
                with suppress(aiohttp.ClientConnectionError):
                    async with http.get(f"{address}/readyz") as reply:
                        return reply.status == 200
                return False

            await until(is_up, 60)
        yield config, address
    finally:
        os.kill(process.pid, signal.SIGTERM)
        _, errors = await asyncio.to_thread(process.communicate)
    assert (process.returncode, "Traceback" in errors) == (0, False), errors


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def token_of(config, name: str) -> str:
    """Through the running bridge's socket, as the command does."""
    answer = await control.ask(config.parent / "var/hq", "store add", {"name": name})
    assert answer is not None
    return str(answer["token"])


async def test_two_processes_take_in_many_stores_and_one_store_at_once(
    tmp_path, postgres_url, make, store_wire
):
    """Each batch goes to one, the other, or both at the same moment: a store's ledger has each row once."""
    async with (
        bridge_process(tmp_path / "a", postgres_url) as (config, first),
        bridge_process(tmp_path / "b", postgres_url) as (_, second),
        aiohttp.ClientSession() as http,
    ):
        tokens = {name: await token_of(config, name) for name in ("s1", "s2", "s3")}

        async def live(name: str):
            wire = store_wire(http, first, name, tokens[name])
            await wire.hello()
            twin = replace(wire, url=second)
            for n in range(9):
                wire.outbox.add(*(make.stock(f"A{k}", n) for k in range(20)))
                senders = [(wire,), (twin,), (wire, twin)][n % 3]
                twin.applied = wire.applied
                replies = await asyncio.gather(*(settled(make, sender) for sender in senders))
                assert [reply["applied"][0] for reply in replies] == [20 * (n + 1)] * len(senders)
                wire.applied = 20 * (n + 1)

        await asyncio.gather(*(live(name) for name in tokens))
    results = await asyncio.to_thread(audit, BridgeSettings(database=postgres_url), None)
    assert [result.problems for result in results] == [[], [], []]
    assert [result.rows for result in results] == [180, 180, 180]


async def settled(make, wire):
    """Its answer, once the bridge has heard of the token."""
    while True:
        try:
            return await wire.send()
        except make.Refused as refused:
            if refused.status != 401:
                raise
            await asyncio.sleep(0.02)
