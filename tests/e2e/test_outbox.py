"""What waits for HQ, the present told again, and a journal that is damaged: with real processes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from edge_agent.config.store import ENV_PREFIX, StoreSettings
from edge_agent.outbox import resync
from edge_agent.service.settings import load

STORE = "store-0042"


def outbox(world: Any, *words: str, status: int = 0) -> Any:
    """The JSON of `edge-agent outbox …`."""
    command = [sys.executable, "-m", "edge_agent", "outbox", *words, "-c", str(world.store_yaml), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr + done.stdout
    return json.loads(done.stdout)


def sums(world: Any) -> dict[str, int]:
    """What HQ's feed adds up to."""
    found: dict[str, int] = {}
    for event in world.events("stock.changed"):
        facing = event["data"]["facing"]
        found[facing] = found.get(facing, 0) + event["data"]["change"]
    return found


def counts(world: Any) -> list[int | None]:
    return [world.on_hand(f"A1-0{i}") for i in range(3)]


def test_what_waits_is_listed_and_hq_is_told_the_present_again_when_somebody_asks(
    world: Any, scales: Any, wait_for: Any, tmp_path: Path
) -> None:
    world.write_store(scales.devices())
    (tmp_path / "edge.token").write_text("secret")
    text = world.store_yaml.read_text()
    world.store_yaml.write_text(text.replace("{port:", "{token_file: ./edge.token, port:"))
    world.start_hq()
    world.start_agent()
    wait_for(lambda: counts(world) == [10] * 3, what="first counts at HQ")
    wait_for(world.caught_up, what="HQ has every row")
    world.stop("hq")
    applied = world.applied()
    scales.counts[0] = 7
    wait_for(lambda: world.journaled() > applied, what="a row that waits")
    with closing(sqlite3.connect(tmp_path / "hq/bridge.sqlite3")) as database, database:
        changed = database.execute(
            "update device set status = 'offline', reason = 'wrong' where device = 'scale-01'"
        )
        assert changed.rowcount == 1

    listed = outbox(world, "list")
    assert [row["seq"] for row in listed["rows"]] == list(range(applied + 1, applied + 1 + listed["count"]))
    assert "stock.changed" in {row["kind"] for row in listed["rows"]}
    world.start_hq()
    wait_for(lambda: counts(world) == [7, 10, 10], what="what waited is at HQ")
    wait_for(world.caught_up, what="HQ has every row")
    assert scale_01(world) == "offline"
    told = outbox(world, "resync")
    assert told == {"rows": 7, "duplicate": False, "at_next_start": False}
    wait_for(lambda: scale_01(world) == "online", what="the present at HQ")

    world.stop("agent")
    before = world.journaled("planogram.applied")
    asked = asyncio.run(resync(load(world.store_yaml, StoreSettings, env_prefix=ENV_PREFIX)))
    assert asked["at_next_start"]
    world.start_agent()
    wait_for(lambda: world.journaled("planogram.applied") == before + 1, what="the present told again")
    wait_for(world.caught_up, what="HQ has every row")
    assert sums(world) == {"A1-00": 7, "A1-01": 10, "A1-02": 10}


def scale_01(world: Any) -> str:
    [status] = [
        d["status"] for d in world.hq(f"/v1/stores/{STORE}/devices")["items"] if d["device"] == "scale-01"
    ]
    return str(status)


def test_a_damaged_journal_is_kept_aside_and_hq_has_the_present_again(
    world: Any, scales: Any, wait_for: Any
) -> None:
    world.write_store(scales.devices())
    world.start_hq()
    world.start_agent()
    wait_for(lambda: counts(world) == [10] * 3, what="first counts at HQ")
    scales.counts[0] = 8
    wait_for(lambda: world.on_hand("A1-00") == 8, what="8 at HQ")
    wait_for(world.caught_up, what="HQ has every row")
    world.stop("hq")
    applied = world.applied()
    scales.counts[1] = 6
    wait_for(lambda: world.journaled() > applied, what="a row that HQ will never see")
    world.stop("agent")

    journal = world.folder / "edge/journal.db"
    content = bytearray(journal.read_bytes())
    content[3 * 4096 :: 7] = bytes(0xA5 for _ in content[3 * 4096 :: 7])
    journal.write_bytes(content)
    scales.counts[2] = 3
    world.start_hq()
    world.start_agent()
    wait_for(lambda: counts(world) == [8, 6, 3], what="the present at HQ")
    wait_for(world.caught_up, what="HQ has every row")

    [aside] = world.status()["journal"]["damaged"]
    assert (world.folder / "edge" / aside).read_bytes() == content
    assert "journal is damaged" in world.log("agent")
    assert "Traceback" not in world.log("agent") + world.log("hq")
    assert sums(world) == {"A1-00": 8, "A1-01": 6, "A1-02": 3}
    eids = [event["eid"] for event in world.events()]
    assert len(set(eids)) == len(eids)
    [audit] = world.bridge("audit")["items"]
    assert (audit["ok"], audit["branches"]) == (True, 2)
    assert {facing["name"] for facing in world.facings().values()} == {"Cola"}
