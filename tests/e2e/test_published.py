"""Planograms and settings from HQ through real processes: taken over whole, once, with nothing lost; refused; reset."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from edge_agent.cli import main
from tests.e2e.tags import publishing
from tests.typed import typed

STORE = "store-0042"
COLA, WATER = "06901234567892", "04006381333931"
PRODUCTS = [
    {"gtin": COLA, "name": "Cola", "unit_weight_g": 352.0, "tagged": 1},
    {"gtin": WATER, "name": "Water", "unit_weight_g": 500.0},
]


class Shop:
    """A store with three scales on TCP, one on a pty and a reader on a broker, and who publishes at HQ."""

    def __init__(self, world: Any, wait_for: Any) -> None:
        self.world, self.wait_for = world, wait_for
        self.operator = world.bridge("token", "add", "hands", "--role", "ops")["token"]

    def put(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.world.hq_port}/v1/stores/{STORE}/{what}"
        headers = {"Authorization": f"Bearer {self.operator}", "If-Match": str(self.at_hq(what)["revision"])}
        request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="PUT")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.headers["ETag"] == f'"{int(headers["If-Match"]) + 1}"'
            published: dict[str, Any] = json.load(answer)
        return published

    def at_hq(self, what: str = "planogram") -> Any:
        return self.world.hq(f"/v1/stores/{STORE}/{what}")

    def in_use(self) -> int | None:
        """The revision with which the agent runs; None while it does not answer."""
        try:
            return int(self.world.status()["planogram"]["revision"])
        except (OSError, ValueError):
            return None

    def until_applied(self, revision: int, what: str = "planogram") -> None:
        self.wait_for(
            lambda: self.at_hq(what)["applied_revision"] == revision,
            what=f"{what} revision {revision} at HQ",
        )

    def assert_sound(self) -> None:
        """HQ has every row, its feed adds up to what it shows, and its ledger to both."""
        self.wait_for(self.world.caught_up, what="HQ has every row")
        total = Counter[str]()
        for event in self.world.events("stock.changed"):
            total[event["data"]["facing"]] += event["data"]["change"]
        shown = {name: facing["on_hand"] or 0 for name, facing in self.world.facings().items()}
        assert {name: total[name] for name in shown} == shown
        assert {name for name, sum_ in total.items() if sum_} <= shown.keys()
        self.world.bridge("audit")

    def agent(self, *words: str, status: int = 0) -> Any:
        done = typed(main, *words, "-c", str(self.world.store_yaml), "--json")
        assert done.status == status, done.err + done.out
        return json.loads(done.out) if status == 0 else done.err


def plan(*, second: str = COLA, without: str = "", capacity: int = 24) -> dict[str, Any]:
    """The store's four facings; on the second lies `second`."""
    gtins = {"A1-00": COLA, "A1-01": second, "A1-02": COLA, "P-00": COLA}
    facings = [
        {"id": name, "gtin": gtin, "capacity": capacity, "reorder_point": 3}
        for name, gtin in gtins.items()
        if name != without
    ]
    return {"products": PRODUCTS, "facings": facings}


@pytest.fixture
def pty_scale() -> Iterator[str]:
    """A simulated scale with ten bottles on a pty; yields where."""
    words = ["serve", "mt-sics", "--items", "10", "--unit-weight-g", "352"]
    process = subprocess.Popen([sys.executable, "-um", "device_sims", *words], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        found = None
        while found is None:
            line = process.stdout.readline().decode()
            assert line, "the simulated scale has ended"
            found = re.search(r"port: ([^,]+),", line)
        yield found[1]
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.fixture
def shop(
    world: Any, scales: Any, mosquitto: int, pty_scale: str, wait_for: Any, monkeypatch: pytest.MonkeyPatch
) -> Shop:
    (world.folder / "till.token").write_text("till-secret")
    monkeypatch.setenv("EDGE_AGENT__AGENT__HTTP__TOKEN_FILE", str(world.folder / "till.token"))
    lines = scales.devices().replace(
        "devices:\n",
        f"  - {{id: P-00, gtin: '{COLA}', capacity: 24, reorder_point: 3}}\n"
        "devices:\n"
        f"  - {{id: scale-p, driver: mt-sics, port: {pty_scale}, facings: [P-00]}}\n"
        "  - {id: rfid-a, driver: impinj-r700, topic: rfid/a, antennas: {'1': A1-00}}\n",
    )
    world.write_store(lines + f"mqtt: {{url: 'mqtt://127.0.0.1:{mosquitto}'}}\n")
    world.start_hq()
    world.start_agent()
    names = ("A1-00", "A1-01", "A1-02", "P-00")
    wait_for(lambda: [world.on_hand(name) for name in names] == [10] * 4, what="first counts at HQ")
    wait_for(
        lambda: all(d["status"] == "online" for d in world.status()["devices"]), what="every device online"
    )
    return Shop(world, wait_for)


def test_what_hq_publishes_changes_that_and_nothing_else_and_loses_no_message(
    shop: Shop, mosquitto: int
) -> None:
    world = shop.world
    with publishing(mosquitto, every_s=0.01) as published:
        began = time.monotonic()
        answer = shop.put("planogram", plan(second=WATER, capacity=20))
        assert (answer["revision"], answer["applied_revision"]) == (1, 0)
        shop.until_applied(1)
        print(f"applied at HQ after {time.monotonic() - began:.2f} s")
        shop.wait_for(lambda: shop.in_use() == 1, what="the agent runs with revision 1")
        print(f"the agent answers with it after {time.monotonic() - began:.2f} s")
    shop.wait_for(lambda: len(world.events("item.arrived")) >= len(published), what="every tag at HQ")
    arrived = Counter(event["data"]["epc"] for event in world.events("item.arrived"))
    assert arrived == Counter(published)
    shop.wait_for(lambda: world.on_hand("A1-01") is not None, what="a count of the new item")
    shop.assert_sound()
    shown = world.facings()
    assert {f["capacity"] for f in shown.values()} == {20}
    assert [shown[name]["on_hand"] for name in ("A1-00", "A1-02", "P-00")] == [10, 10, 10]
    changes: dict[str, list[Any]] = {}
    for event in world.events("stock.changed"):
        changes.setdefault(event["data"]["facing"], []).append(event["data"])
    for name in ("A1-00", "A1-02", "P-00"):
        assert [c["cause"] for c in changes[name]] == ["initial"]
    first, back, new, *_ = changes["A1-01"]
    assert (first["gtin"], first["on_hand"]) == (COLA, 10)
    assert (back["gtin"], back["change"], back["on_hand"], back["cause"]) == (COLA, -10, 0, "correction")
    assert (new["gtin"], new["change"]) == (WATER, new["on_hand"])
    assert shop.agent("check")["planogram"] == {"revision": 1}
    assert shop.agent("planogram", "show")["facings"][1]["gtin"] == WATER

    # Refused: the second scale names a facing that is not there. All is as it was, and nothing starts anew.
    uptime_s = world.status()["uptime_s"]
    shop.put("planogram", plan(without="A1-01"))
    shop.wait_for(lambda: shop.at_hq()["refused"], what="the refusal")
    found = shop.at_hq()
    assert found["refused"]["revision"] == 2
    assert "facing 'A1-01' is not in facings" in found["refused"]["reason"]
    assert (found["applied_revision"], shop.in_use()) == (1, 1)
    assert world.status()["uptime_s"] > uptime_s
    assert world.facings()["A1-01"]["gtin"] == WATER

    # Settings go the same way.
    mine = {"agent": {"retain_days": 7, "stock": {"tag_power": 0.5}}}
    shop.put("settings", {"settings": mine})
    shop.until_applied(1, "settings")
    shop.put("settings", {"settings": {"agent": {"retain_days": 1, "data_dir": "./elsewhere"}, "uplink": {}}})
    shop.wait_for(lambda: shop.at_hq("settings")["refused"], what="the refusal")
    answer = shop.at_hq("settings")
    assert answer["applied_revision"] == 1
    for word in ("uplink, agent.data_dir: cannot be set by HQ", "agent.retain_days", "agent.stock.*"):
        assert word in answer["refused"]["reason"]
    assert any("settings of HQ's, revision 1" in note for note in shop.agent("check")["notes"])

    # Back to the file's, beside the running agent; HQ hears of it and does not hand its own out again.
    assert shop.agent("planogram", "reset") == {"revision": 0, "reset_of": 1}
    shop.until_applied(0)
    shop.wait_for(lambda: shop.in_use() == 0, what="the agent runs with the file's")
    shop.wait_for(lambda: world.on_hand("A1-01") == 10, what="the file's item is counted again")
    shop.assert_sound()
    assert (shop.at_hq()["applied_revision"], shop.in_use()) == (0, 0)
    assert "Traceback" not in world.log("agent")


def test_an_agent_killed_before_it_goes_on_with_a_planogram_takes_it_over_once(shop: Shop) -> None:
    survive(shop, 1)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_many_kills_take_every_planogram_over_once(shop: Shop) -> None:
    survive(shop, 30)


def survive(shop: Shop, kills: int) -> None:
    """Killed right after the commit, before the parts are built anew; every second time also on the way."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    world, chance = shop.world, random.Random(seed)
    for kill in range(kills):
        revision = kill + 1
        told = world.journaled("planogram.applied")
        shop.put("planogram", plan(second=WATER if revision % 2 else COLA))
        if kill % 2:
            threading.Event().wait(chance.uniform(0, 0.3))
            world.kill("agent")
            world.start_agent()
        shop.wait_for(lambda told=told: world.journaled("planogram.applied") > told, what="the commit")
        world.kill("agent")
        world.start_agent()
        shop.until_applied(revision)
        assert shop.in_use() == revision
        assert world.journaled("planogram.applied") == told + 1
        assert world.journaled("command.done") == revision
    shop.wait_for(lambda: world.on_hand("A1-01") is not None, what="a count of the last item")
    shop.assert_sound()
    assert [world.on_hand(name) for name in ("A1-00", "A1-02", "P-00")] == [10, 10, 10]
    world.stop("agent")
    assert shop.agent("planogram", "reset") == {"revision": 0, "reset_of": kills}
    assert shop.agent("planogram", "show")["revision"] == 0
    world.start_agent()
    shop.until_applied(0)
    assert shop.at_hq()["refused"]["revision"] == kills
