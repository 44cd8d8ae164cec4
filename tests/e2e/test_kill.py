"""SIGKILL at any time, of either side, loses and doubles nothing."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from device_sims.proxy import Mode
from tests.e2e.tags import publishing

MODES: tuple[Mode, ...] = (
    "open", "silent", "open", "refused", "slow", "open", "reset", "half_closed", "truncated", "error_500",
)  # fmt: skip


@pytest.mark.timeout(300)
def test_twenty_kills_over_a_broken_line_lose_and_double_nothing(
    world: Any, scales: Any, mosquitto: int, line: Any, wait_for: Any
) -> None:
    survive(20, world, scales, mosquitto, line, wait_for)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_hundred_kills_over_a_broken_line_lose_and_double_nothing(
    world: Any, scales: Any, mosquitto: int, line: Any, wait_for: Any
) -> None:
    survive(200, world, scales, mosquitto, line, wait_for)


def survive(kills: int, world: Any, scales: Any, mosquitto: int, line: Any, wait_for: Any) -> None:
    """Kill either side at a random row, over a line that is broken in another way each time."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    reader = "  - {id: rfid-a, driver: impinj-r700, topic: rfid/a, antennas: {'1': A1-00}}\n"
    broker = f"mqtt: {{url: 'mqtt://127.0.0.1:{mosquitto}'}}\n"
    world.write_store(scales.devices() + reader + broker, uplink_port=line.proxy.port)
    world.start_hq()
    world.start_agent()
    wait_for(lambda: world.on_hand("A1-02") == 10, what="first counts at HQ")
    wait_for(lambda: reader_online(world), what="the reader's subscription")

    with publishing(mosquitto, every_s=0.005) as published:
        for kill in range(kills):
            name, mode = chance.choice(("agent", "hq")), MODES[kill % len(MODES)]
            line.set(mode)
            goal = world.journaled() + chance.randint(1, 60)
            wait_for(lambda goal=goal: world.journaled() >= goal, what="more rows in the journal")
            scales.counts[kill % 3] = chance.randint(0, 20)
            uncommitted = len(published) - world.journaled("item.arrived")
            unsent = world.journaled() - world.applied()
            pid = world.kill(name)
            print(
                f"kill {kill + 1}: {name} pid {pid}, line {mode},"
                f" published but not committed {uncommitted}, committed but not at HQ {unsent}"
            )
            world.start_hq() if name == "hq" else world.start_agent()
            line.set("open")
            had = world.applied()
            wait_for(lambda had=had: world.applied() > had, what="more rows at HQ")

    line.set("open")
    wait_for(world.caught_up, seconds=40, what="HQ has every row")
    wait_for(
        lambda: [world.on_hand(f"A1-0{i}") for i in range(3)] == scales.counts,
        what="final counts",
    )
    wait_for(lambda: len(world.events("item.arrived")) >= len(published), what="every tag at HQ")
    wait_for(world.caught_up, seconds=20, what="HQ has every row")
    assert_exactly_once(world, published)


def assert_exactly_once(world: Any, published: list[str]) -> None:
    arrived = Counter(event["data"]["epc"] for event in world.events("item.arrived"))
    assert arrived == Counter(published)
    events = world.events()
    assert len({event["eid"] for event in events}) == len(events)
    total = Counter[str]()
    for event in world.events("stock.changed"):
        total[event["data"]["facing"]] += event["data"]["change"]
    assert {name: f["on_hand"] for name, f in world.facings().items()} == dict(total)
    believed = {f["facing"]: f["on_hand"] for f in world.status()["facings"]}
    assert {name: f["on_hand"] for name, f in world.facings().items()} == believed
    assert ledger_eids(world) == journal_eids(world)
    world.bridge("audit")


def ledger_eids(world: Any) -> list[bytes]:
    return eids(world.folder / "hq/bridge.sqlite3", "select eid from ledger order by seq")


def journal_eids(world: Any) -> list[bytes]:
    return eids(world.folder / "edge/journal.db", "select eid from outbox order by seq")


def eids(path: Path, question: str) -> list[bytes]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return [eid for (eid,) in database.execute(question)]


def reader_online(world: Any) -> bool:
    return any(d["device"] == "rfid-a" and d["status"] == "online" for d in world.status()["devices"])
