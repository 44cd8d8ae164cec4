"""What HQ shows wrongly, for whatever reason, does not stay."""

from __future__ import annotations

import sqlite3
from typing import Any


def test_a_count_that_is_wrong_at_hq_is_found_told_again_and_put_right(
    world: Any, scales: Any, wait_for: Any
) -> None:
    world.write_store(scales.devices())
    world.start_hq()
    world.start_agent()
    wait_for(lambda: [world.on_hand(f"A1-0{i}") for i in range(3)] == [10] * 3, what="first counts at HQ")
    wait_for(world.caught_up, what="HQ has every row")
    world.stop("hq")
    with sqlite3.connect(world.folder / "hq/bridge.sqlite3") as database:
        database.execute("update facing set on_hand = 77 where facing = 'A1-01'")
    database.close()
    [audited] = world.bridge("audit", status=1)["items"]
    assert any("A1-01" in problem for problem in audited["problems"])
    wait_for(lambda: not world.status()["sync"]["online"], what="the agent notices: it will say hello again")
    world.start_hq()
    wait_for(lambda: world.on_hand("A1-01") == 10, what="the right count at HQ")
    assert "not what its ledger says" in world.log("hq")
    assert "HQ's counts are not this store's" in world.log("agent")
    [store] = world.bridge("store", "list")["items"]
    assert store["differences"] == 1
    wait_for(world.caught_up, what="HQ has every row")
    [audited] = world.bridge("audit", status=1)["items"]
    assert all("feed" in problem for problem in audited["problems"])
