"""A facing that lies on several plates: what lies on it loads the plates under it, all of it, and no others."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_sims.broker import Broker, User
from device_sims.plan import plan_visit
from device_sims.scenario import Scenario
from device_sims.store_file import AgentFiles, Places, store_yaml
from device_sims.virtual import VirtualStore
from device_sims.world import Moved, World
from edge_agent.config.store import ENV_PREFIX, StoreSettings
from edge_agent.service.settings import load
from edge_agent.wiring import wiring

UNIT_G = 250.0
STILL: dict[str, Any] = {
    "sample_sd_g": [0, 0], "drift_g_per_sqrt_h": 0, "creep_share": 0, "temperature_g_per_10c": [0, 0],
    "unit_weight_cv": 0, "unit_weight_bias": 0,
}  # fmt: skip
LAYOUTS = {
    "three plates for two": {"1": ["A"], "2": ["A", "B"], "3": ["B"]},
    "a chain": {"1": ["A"], "2": ["A", "B"], "3": ["B", "C"], "4": ["C"]},
    "one over three": {"1": ["A"], "2": ["A"], "3": ["A"]},
    "two on two": {"1": ["A", "B"], "2": ["A", "B"]},
}


def store(channels: dict[str, list[str]], **parts: Any) -> Scenario:
    names = sorted({name for names in channels.values() for name in names})
    return Scenario.model_validate(
        {
            "seconds": 120,
            "store": {"id": "s1"},
            "products": [{"gtin": "06901234567892", "name": "cola", "unit_weight_g": UNIT_G}],
            "facings": [
                {
                    "id": f,
                    "gtin": "06901234567892",
                    "capacity": 12,
                    "reorder_point": 3,
                    "on_hand": 8,
                    "shelf": "S",
                }
                for f in names
            ],
            "devices": [{"id": "shelf", "kind": "homie-shelf", "channels": channels}],
            "people": {"shoppers_per_minute": 20, "misplaces": 0.1},
            "noise": STILL,
            **parts,
        }
    )


@given(
    layout=st.sampled_from(list(LAYOUTS.values())), seed=st.integers(0, 10_000), seconds=st.integers(40, 150)
)
@settings(max_examples=40, deadline=None)
def test_the_plates_together_bear_all_that_lies_there(
    layout: dict[str, list[str]], seed: int, seconds: int
) -> None:
    scenario = store(layout, seconds=seconds)
    world = World(scenario, plan_visit(scenario, seconds=seconds, seed=seed), seed=seed)
    world.open(0.0)
    moved = [one for one in world.advance(seconds) if isinstance(one, Moved)]
    weights = [plate.weight_g(seconds + 90.0) for plate in world.plates_of("shelf")]
    strays = sum(one.quantity for one in moved if one.cause == "misplace")
    lying = sum(world.on_hand(facing.id) for facing in scenario.facings) + strays
    assert sum(weights) == pytest.approx(lying * UNIT_G, abs=0.01)
    assert min(weights) > -0.01
    there = {facing.id: facing.on_hand for facing in scenario.facings}
    for one in moved:
        there[one.facing] += one.change
        assert one.on_hand == there[one.facing]
    assert there == {name: world.on_hand(name) for name in there}


def test_an_item_over_a_seam_loads_both_plates_and_one_beside_it_a_single_one() -> None:
    acts = [{"at_s": 5 + 10 * n, "act": "pick", "facing": "A"} for n in range(8)]
    scenario = store({"1": ["A"], "2": ["A"]}, timeline=acts, people={"shoppers_per_minute": 0})
    world = World(scenario, plan_visit(scenario, seconds=120, seed=1), seed=1)
    world.open(0.0)
    left, right = world.plates_of("shelf")
    before, shares = (left.weight_g(0.0), right.weight_g(0.0)), []
    for n in range(8):
        world.advance(10.0 + 10 * n)
        after = (left.weight_g(14.0 + 10 * n), right.weight_g(14.0 + 10 * n))
        shares.append((before[0] - after[0]) / UNIT_G)
        assert sum(before) - sum(after) == pytest.approx(UNIT_G, abs=0.5)
        before = after
    assert sum(0.01 < share < 0.99 for share in shares) >= 2
    assert sum(share > 0.99 or share < 0.01 for share in shares) >= 1


def test_a_bag_on_a_wide_facing_lies_on_the_plates_under_it_and_is_gone_again() -> None:
    bag = {"at_s": 5, "act": "bag", "facing": "A", "weight_g": 900, "for_s": 20}
    scenario = store(LAYOUTS["one over three"], timeline=[bag], people={"shoppers_per_minute": 0})
    world = World(scenario, plan_visit(scenario, seconds=120, seed=1), seed=1)
    world.open(0.0)
    weights = []
    for at_s in (1.0, 20.0, 60.0):
        world.advance(at_s)
        weights.append([plate.weight_g(at_s) for plate in world.plates_of("shelf")])
    assert sum(weights[1]) - sum(weights[0]) == pytest.approx(900, abs=0.5)
    assert weights[2] == pytest.approx(weights[0], abs=0.1)


def test_nobody_works_on_a_facing_that_shares_a_plate_with_one_at_work() -> None:
    scenario = store(LAYOUTS["a chain"])
    for seed in range(8):
        acts = plan_visit(scenario, seconds=120, seed=seed).acts
        for plate in scenario.plates():
            on_it = [act for act in acts if act.facing in plate]
            for before, after in itertools.pairwise(on_it):
                assert after.at_s - before.end_s >= scenario.people.plate_rest_s


def test_each_plate_of_a_wide_facing_speaks_on_its_channel() -> None:
    scenario = store(LAYOUTS["three plates for two"], people={"shoppers_per_minute": 0})
    heard = {
        said.topic: json.loads(said.body)
        for _, _, said in VirtualStore(scenario, seed=3).advance(5.0)
        if said.topic.endswith("/mass")
    }
    assert sorted(heard) == [f"homie/shelf/scales/{n}/mass" for n in (1, 2, 3)]
    assert sum(heard.values()) == pytest.approx(16 * UNIT_G / 1000, abs=0.005)


@pytest.mark.parametrize(
    "devices",
    [
        [{"id": "shelf", "kind": "homie-shelf", "channels": LAYOUTS["a chain"]}],
        [{"id": "shelf", "kind": "modbus-scale", "profile": "load-cell-16", "channels": LAYOUTS["a chain"]}],
        [
            {"id": f"plate-{n}", "kind": "mqtt-plate", "facings": names}
            for n, names in LAYOUTS["a chain"].items()
        ],
    ],
)
def test_the_agent_is_told_of_the_same_plates(devices: list[dict[str, Any]], tmp_path: Path) -> None:
    scenario = store(LAYOUTS["a chain"], devices=devices)
    broker = Broker("mosquitto", 1884, 1884, User("agent", "a"), User("reader", "r"), tmp_path / "pw")
    path = tmp_path / "store.yaml"
    places = Places({"shelf": "/tty/1"}, broker=broker)
    path.write_text(store_yaml(scenario, places, AgentFiles(tmp_path)), "utf-8")
    told = load(path, StoreSettings, env_prefix=ENV_PREFIX, environ={})
    assert (
        list(wiring(told.devices).plates.values()) == scenario.plates() == list(LAYOUTS["a chain"].values())
    )


def test_channels_may_be_patterns_on_each_of_many_shelves() -> None:
    scenario = Scenario.model_validate(
        store(LAYOUTS["two on two"]).model_dump(exclude={"devices", "facings", "shelving"}, exclude_none=True)
        | {
            "shelving": [{"prefix": "P", "shelves": 2, "facings_each": 2}],
            "devices": [
                {
                    "id": "shelf-{shelf}",
                    "kind": "homie-shelf",
                    "channels": {"1": ["*-01"], "2": ["P*"], "3": ["*-02"]},
                }
            ],
        }
    )
    assert scenario.plates() == [
        ["P001-01"], ["P001-01", "P001-02"], ["P001-02"], ["P002-01"], ["P002-01", "P002-02"], ["P002-02"],
    ]  # fmt: skip


def test_plates_that_a_facing_joins_stand_on_one_shelf() -> None:
    apart = [
        {"id": f, "gtin": "06901234567892", "capacity": 12, "on_hand": 8, "shelf": f"S{f}"} for f in "AB"
    ]
    with pytest.raises(ValueError, match="'A' lies on several plates, on this one with 'B' of another shelf"):
        store(LAYOUTS["three plates for two"], facings=apart)
