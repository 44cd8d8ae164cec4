"""Sales and recounts through real processes: SIGKILL, cut lines and restored disks repeat and lose nothing."""

from __future__ import annotations

import json
import random
import shutil
import socket
import sqlite3
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from cloud_bridge.store.sqlite.schema import FILE_NAME

STORE = "store-0042"
GTIN = "06901234567892"
TOKEN = "till-secret"
SHELF = f"""
products: [{{gtin: '{GTIN}', name: Cola}}]
facings:
  - {{id: A1, gtin: '{GTIN}', capacity: 500, reorder_point: 6}}
"""
KILLS = 4


class Shop:
    """A store of one facing that nothing senses, with a till."""

    def __init__(self, world: Any, wait_for: Any) -> None:
        self.world, self.wait_for = world, wait_for
        self.operator = world.bridge("token", "add", "hands", "--role", "ops")["token"]

    def edge(self, call: str, body: dict[str, Any]) -> int:
        url = f"http://127.0.0.1:{self.world.edge_port}/v1/{call}"
        return post(url, TOKEN, body)

    def recount(self, on_hand: int) -> None:
        url = f"http://127.0.0.1:{self.world.hq_port}/v1/stores/{STORE}/recounts"
        assert post(url, self.operator, {"facing": "A1", "on_hand": on_hand}) == 202

    def sell(self, receipt: str) -> int:
        return self.edge("sales", sale(receipt))

    def causes(self) -> list[tuple[str, int]]:
        events = self.world.events("stock.changed")
        return [(event["data"]["cause"], event["data"]["on_hand"]) for event in events]

    def settle(self, on_hand: int | None) -> None:
        """HQ has everything, shows this count, and its feed adds up to it."""
        self.wait_for(self.world.caught_up, what="HQ has every row")
        self.wait_for(lambda: self.world.on_hand("A1") == on_hand, what=f"{on_hand} at HQ")
        events = self.world.events("stock.changed")
        assert sum(event["data"]["change"] for event in events) == (on_hand or 0)


def sale(receipt: str) -> dict[str, Any]:
    at = "2026-11-22T10:00:00.000Z"
    return {"receipt": receipt, "line": 1, "gtin": GTIN, "quantity": 1, "occurred_at": at}


def post(url: str, token: str, body: dict[str, Any]) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


@pytest.fixture
def shop(world: Any, wait_for: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    (world.folder / "till.token").write_text(TOKEN)
    monkeypatch.setenv("EDGE_AGENT__AGENT__HTTP__TOKEN_FILE", str(world.folder / "till.token"))
    world.write_store(SHELF)
    yield Shop(world, wait_for)
    world.bridge("audit")


def copy_hq(world: Any, to: Path) -> None:
    with (
        closing(sqlite3.connect(world.folder / "hq" / FILE_NAME)) as source,
        closing(sqlite3.connect(to)) as target,
    ):
        source.backup(target)


def test_a_recount_at_hq_reaches_the_agent_and_comes_back_as_an_event(shop: Shop) -> None:
    shop.world.start_hq()
    shop.world.start_agent()
    shop.settle(None)
    shop.recount(7)
    shop.settle(7)
    assert shop.causes() == [("recount", 7)]
    assert shop.sell("r-1") == 201
    shop.settle(6)
    shop.recount(9)
    shop.settle(9)
    assert shop.causes() == [("recount", 7), ("sale", 6), ("recount", 9)]


def test_a_sale_whose_answer_was_lost_in_a_kill_counts_once_when_it_is_sent_again(shop: Shop) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance, statuses = random.Random(seed), Counter[int]()
    shop.world.start_hq()
    shop.world.start_agent()
    assert shop.edge("recounts", {"facing": "A1", "on_hand": 100}) == 201
    for number in range(KILLS):
        body = json.dumps(sale(f"r-{number}")).encode()
        head = f"POST /v1/sales HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", shop.world.edge_port)) as till:
            till.sendall(head.encode() + body)
            till.settimeout(chance.uniform(0.001, 0.02))
            with suppress(TimeoutError):
                till.recv(1, socket.MSG_PEEK)
            shop.world.kill("agent")
        shop.world.start_agent()
        statuses[shop.sell(f"r-{number}")] += 1
    print(f"of {KILLS} killed posts {statuses[200]} had counted, {statuses[201]} had not")
    assert statuses[200] + statuses[201] == KILLS
    shop.settle(100 - KILLS)
    assert Counter(cause for cause, _ in shop.causes()) == {"recount": 1, "sale": KILLS}


def test_a_recount_through_a_cut_line_and_a_killed_agent_is_done_once(shop: Shop, line: Any) -> None:
    shop.world.write_store(SHELF, uplink_port=line.proxy.port)
    shop.world.start_hq()
    shop.world.start_agent()
    shop.settle(None)
    for on_hand in (7, 8, 9):
        line.set("refused")
        shop.recount(on_hand)
        line.set("open")
        done = sum(cause == "recount" for cause, _ in shop.causes())
        shop.wait_for(lambda n=done: shop.world.journaled("command.done") > n, what="the recount")
        shop.world.kill("agent")
        shop.world.start_agent()
        shop.settle(on_hand)
    assert shop.causes() == [("recount", 7), ("recount", 8), ("recount", 9)]
    assert shop.world.journaled("command.done") == 3


@pytest.mark.parametrize("disk", ["of before the recount", "empty"])
def test_an_agent_with_another_disk_does_not_repeat_an_old_recount(shop: Shop, disk: str) -> None:
    shop.world.start_hq()
    shop.world.start_agent()
    assert shop.edge("recounts", {"facing": "A1", "on_hand": 20}) == 201
    shop.settle(20)
    shop.world.stop("agent")
    shutil.copytree(shop.world.folder / "edge", shop.world.folder / "backup")
    shop.world.start_agent()
    shop.recount(7)
    shop.settle(7)
    assert [shop.sell(f"r-{n}") for n in range(3)] == [201] * 3
    shop.settle(4)
    shop.world.kill("agent")
    shutil.rmtree(shop.world.folder / "edge")
    if disk != "empty":
        shutil.copytree(shop.world.folder / "backup", shop.world.folder / "edge")
    shop.world.start_agent()
    shop.wait_for(lambda: shop.world.status()["sync"]["online"], what="HQ online")
    assert shop.edge("recounts", {"facing": "A1", "on_hand": 15}) == 201
    shop.settle(15)
    assert [on_hand for cause, on_hand in shop.causes() if cause == "recount"] == [20, 7, 15]
    assert shop.world.journaled("command.done") == 0


def test_an_hq_of_before_the_answer_does_not_repeat_an_old_recount(shop: Shop, line: Any) -> None:
    shop.world.write_store(SHELF, uplink_port=line.proxy.port)
    shop.world.start_hq()
    shop.world.start_agent()
    assert shop.edge("recounts", {"facing": "A1", "on_hand": 20}) == 201
    shop.settle(20)
    line.set("refused")
    shop.recount(7)
    copy_hq(shop.world, shop.world.folder / "hq.backup")
    line.set("open")
    shop.settle(7)
    assert shop.sell("r-1") == 201
    shop.settle(6)
    shop.world.kill("hq")
    for part in (shop.world.folder / "hq").glob(f"{FILE_NAME}*"):
        part.unlink()
    shutil.copy(shop.world.folder / "hq.backup", shop.world.folder / "hq" / FILE_NAME)
    shop.world.start_hq()
    shop.settle(6)
    shop.recount(5)
    shop.settle(5)
    assert shop.causes() == [("recount", 20), ("recount", 7), ("sale", 6), ("recount", 5)]
    assert shop.world.journaled("command.done") == 2
