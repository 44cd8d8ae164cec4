"""HQ's disk dies and a backup comes back, with real processes: the store sends what the backup lacks."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from typing import Any

FORGETS_AT_ONCE = (
    "from edge_agent import cli, upkeep; upkeep.LOOK_EVERY_S, upkeep.FORGET_EVERY_LOOKS = 0.1, 1; cli.main()"
)
"""The real agent, whose retention runs ten times a second instead of once a minute."""


def test_a_killed_hq_comes_back_from_its_backup_and_nothing_is_lost_or_doubled(
    world: Any, scales: Any, wait_for: Any
) -> None:
    world.bridge_yaml.write_text(world.bridge_yaml.read_text() + "safe: backup\n")
    world.write_store(scales.devices())
    keeps_nothing = world.store_yaml.read_text().replace("agent: {", "agent: {retain_days: 0, ")
    world.store_yaml.write_text(keeps_nothing)
    world.start_hq()
    config = str(world.store_yaml)
    world.start("agent", sys.executable, "-c", FORGETS_AT_ONCE, "run", "-c", config)
    wait_for(lambda: world.on_hand("A1-02") == 10, what="first counts at HQ")
    assert base(world) == 0, "nothing is in a backup yet"

    backup = world.folder / "backup.sqlite3"
    held = world.bridge("backup", str(backup), "--audit")
    assert (held["stores"], held["audited"]) == (1, True)
    wait_for(lambda: base(world) >= held["rows"], what="the agent forgets what the backup holds")
    for count in (7, 4, 9):
        scales.counts[0] = count
        wait_for(lambda count=count: world.on_hand("A1-00") == count, what=f"{count} at HQ")
    wait_for(world.caught_up, what="HQ has every row")
    before, kept = world.events(), base(world)
    assert kept == held["rows"], "what came after the backup is kept"
    assert world.applied() > kept
    assert world.bridge("store", "list")["items"]

    world.kill("hq")
    scales.counts[1] = 3
    restored = world.bridge("restore", str(backup))
    assert (restored["rows"], restored["stores"]) == (held["rows"], 1)
    world.start_hq()
    wait_for(lambda: world.on_hand("A1-01") == 3, what="what was counted while HQ was away")
    wait_for(world.caught_up, what="HQ has every row again")

    after = world.events()
    eids = [event["eid"] for event in after]
    assert len(set(eids)) == len(eids)
    assert {event["eid"] for event in before} <= set(eids)
    assert {name: facing["on_hand"] for name, facing in world.facings().items()} == {
        "A1-00": 9, "A1-01": 3, "A1-02": 10,
    }  # fmt: skip
    sums: dict[str, int] = {}
    for event in after:
        if event["type"] == "stock.changed":
            sums[event["data"]["facing"]] = sums.get(event["data"]["facing"], 0) + event["data"]["change"]
    assert sums == {"A1-00": 9, "A1-01": 3, "A1-02": 10}
    [audit] = world.bridge("audit")["items"]
    assert (audit["ok"], audit["branches"], audit["orphaned_rows"]) == (True, 1, 0)
    assert base(world) == held["rows"], "nothing that came after the backup is forgotten"


def base(world: Any) -> int:
    """Up to which row the agent has forgotten its outbox."""
    path = world.folder / "edge/journal.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal:
        return int(journal.execute("select base_seq from sync").fetchone()[0])
