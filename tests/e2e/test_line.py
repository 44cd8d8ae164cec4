"""The line to HQ fails in every way, devices come late or go away, the process stops cleanly."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from device_sims.proxy import Mode


@pytest.mark.parametrize("mode", ["silent", "refused"])
def test_a_cut_line_loses_and_doubles_nothing(
    world: Any, scales: Any, wait_for: Any, line: Any, mode: Mode
) -> None:
    world.write_store(scales.devices(), uplink_port=line.proxy.port)
    world.start_hq()
    world.start_agent()
    wait_for(lambda: [world.on_hand(f"A1-0{i}") for i in range(3)] == [10] * 3, what="first counts at HQ")
    line.set(mode)
    for count in (8, 9, 3, 0):
        scales.counts[:] = [count] * 3
        wait_for(
            lambda count=count: {f["on_hand"] for f in world.status()["facings"]} == {count},
            what=f"the agent sees {count}",
        )
    assert {world.on_hand(f"A1-0{i}") for i in range(3)} == {10}
    wait_for(lambda: not world.status()["sync"]["online"], seconds=30, what="the agent notices the cut")
    line.set("open")
    wait_for(
        lambda: {world.on_hand(f"A1-0{i}") for i in range(3)} == {0}, seconds=20, what="the present at HQ"
    )
    wait_for(world.caught_up, what="HQ has every row")
    changes = Counter[str]()
    for event in world.events("stock.changed"):
        changes[event["data"]["facing"]] += event["data"]["change"]
    assert {changes[f"A1-0{i}"] for i in range(3)} == {0}
    assert [e["data"]["change"] for e in world.events("stock.changed") if e["data"]["facing"] == "A1-00"] == [
        10, -2, 1, -6, -3,
    ]  # fmt: skip
    world.bridge("audit")


def test_a_big_backlog_shows_the_present_first(
    world: Any, scales: Any, wait_for: Any, mosquitto: int
) -> None:
    """More than 500 rows wait: HQ gets the state of now, provisional, and then the history."""
    import sqlite3

    from edge_agent.contract.messages import ItemMoved
    from edge_agent.contract.times import utc_now
    from edge_agent.journal import Capture, Journal

    world.write_store(scales.devices())
    world.start_agent()
    wait_for(lambda: {f["on_hand"] for f in world.status()["facings"]} == {10}, what="the agent's own counts")
    world.stop("agent")
    journal = Journal(world.folder / "edge")
    for number in range(30_000):
        made = Capture()
        made.effects.tell(
            "item.arrived",
            ItemMoved(epc=f"{number:024x}", gtin=None, serial=None, facing="A1-00", device="scale-00"),
            utc_now(),
        )
        last = journal.submit(made)
    last.result(60)
    journal.close()
    world.start_hq()
    world.start_agent()
    wait_for(lambda: {world.on_hand(f"A1-0{i}") for i in range(3)} == {10}, what="the present at HQ")
    database = sqlite3.connect(f"file:{world.folder}/hq/bridge.sqlite3?mode=ro", uri=True)
    states = database.execute("select state_at from store").fetchone()
    database.close()
    assert states[0] is not None
    wait_for(world.caught_up, seconds=60, what="HQ has every row")
    assert sum(1 for e in world.events("item.arrived")) == 30_000
    world.bridge("audit")


def test_an_absent_device_does_not_stop_the_others_and_heals(world: Any, scales: Any, wait_for: Any) -> None:
    scales.unplug(1)
    world.write_store(scales.devices() + "  - {id: ghost, driver: mt-sics, port: /dev/no-such-scale}\n")
    world.start_hq()
    world.start_agent()
    wait_for(lambda: (world.on_hand("A1-00"), world.on_hand("A1-02")) == (10, 10), what="the others' counts")

    def device(name: str) -> tuple[str, str]:
        found = {d["device"]: d for d in world.hq("/v1/stores/store-0042/devices")["items"]}
        return found.get(name, {}).get("status", ""), found.get(name, {}).get("reason") or ""

    wait_for(lambda: device("ghost")[0] == device("scale-01")[0] == "offline", what="both are offline at HQ")
    assert "E-LINK-LOST" in device("ghost")[1]
    scales.plug(1)
    wait_for(lambda: world.on_hand("A1-01") == 10, seconds=40, what="the late scale's count")
    assert device("scale-01") == ("online", "")
    assert "Traceback" not in world.log("agent")


def test_a_kicked_cable_heals_and_its_change_is_one_correction(
    world: Any, scales: Any, wait_for: Any
) -> None:
    world.write_store(scales.devices())
    world.start_hq()
    world.start_agent()
    wait_for(lambda: world.on_hand("A1-01") == 10, what="first count")
    scales.unplug(1)
    wait_for(lambda: world.status()["devices"][1]["status"] == "offline", what="offline")
    wait_for(lambda: world.on_hand("A1-00") == 10, what="the others go on")
    scales.counts[1] = 4
    gone_since = datetime.fromisoformat(world.status()["devices"][1]["since"])
    # Longer than the blind time, after which nobody saw who took the items.
    wait_for(
        lambda: datetime.now(UTC) - gone_since > timedelta(seconds=6), what="six seconds without the scale"
    )
    scales.plug(1)
    wait_for(lambda: world.on_hand("A1-01") == 4, seconds=40, what="the count after the outage")
    last = [e["data"] for e in world.events("stock.changed") if e["data"]["facing"] == "A1-01"]
    assert [(d["change"], d["cause"]) for d in last] == [(10, "initial"), (-6, "correction")]


@pytest.mark.parametrize("hq_is_up", [True, False])
def test_sigterm_ends_agent_and_hq_with_status_0_under_ten_seconds(
    world: Any, scales: Any, wait_for: Any, hq_is_up: bool
) -> None:
    world.write_store(scales.devices())
    if hq_is_up:
        world.start_hq()
    world.start_agent()
    wait_for(lambda: {f["on_hand"] for f in world.status()["facings"]} == {10}, what="counts")
    for name in list(world.running):
        status, seconds = world.stop(name)
        assert (status, seconds < 10) == (0, True), (name, seconds, world.log(name))
        assert "Traceback" not in world.log(name)


def test_a_refused_token_stops_sending_and_keeps_buffering(world: Any, scales: Any, wait_for: Any) -> None:
    world.write_store(scales.devices())
    world.start_hq()
    world.start_agent()
    wait_for(lambda: world.on_hand("A1-00") == 10, what="first count")
    world.bridge("store", "revoke", "store-0042")
    wait_for(lambda: "refuses" in (world.status()["sync"]["problem"] or ""), what="the agent is refused")
    before = world.journaled()
    scales.counts[0] = 7
    wait_for(lambda: world.journaled() > before, what="the journal goes on")
    assert world.status()["sync"]["online"] is False
