"""What is put back carelessly: over the seam between two plates, but counted on its own facing."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_sims.hq import Seen
from device_sims.plan import plan_visit
from device_sims.scenario import Scenario
from device_sims.score import score
from device_sims.truth import ItemsMoved, Opened, Stocked, TruthFile, read_truth, truth_of
from device_sims.virtual import VirtualStore
from device_sims.world import Moved, World

UNITS_G = {"A": 100.0, "B": 250.0, "C": 430.0}
STILL: dict[str, Any] = {
    "sample_sd_g": [0, 0], "drift_g_per_sqrt_h": 0, "creep_share": 0, "temperature_g_per_10c": [0, 0],
    "unit_weight_cv": 0, "unit_weight_bias": 0,
}  # fmt: skip
GTINS = dict(zip(UNITS_G, ("06901234567892", "04012345000009", "06901234100013"), strict=True))
OPENED_AT = datetime(2026, 1, 1, tzinfo=UTC)
QUIET = {"shoppers_per_minute": 0}
CALM = {"shoppers_per_minute": 1, "visit_s": [60, 120], "between_acts_s": [8, 16], "puts_back": 0.5}


def store(**parts: Any) -> Scenario:
    return Scenario.model_validate(
        {
            "seconds": 180,
            "store": {"id": "s1"},
            "products": [{"gtin": GTINS[f], "unit_weight_g": grams} for f, grams in UNITS_G.items()],
            "facings": [
                {"id": f, "gtin": GTINS[f], "capacity": 12, "reorder_point": 3, "on_hand": 8,
                 "shelf": "S", "x_mm": 200 * n}
                for n, f in enumerate(UNITS_G)
            ],
            "devices": [{"id": "plate-{facing}", "kind": "mqtt-plate"}],
            "people": CALM | {"lays_across": 0.5},
            "noise": STILL,
            **parts,
        }
    )  # fmt: skip


def lived(scenario: Scenario, seed: int) -> tuple[World, list[Moved]]:
    world = World(scenario, plan_visit(scenario, seconds=scenario.seconds, seed=seed), seed=seed)
    world.open(0.0)
    return world, [one for one in world.advance(scenario.seconds) if isinstance(one, Moved)]


def weight_g(world: World, facing: str, at_s: float) -> float:
    [plate] = world.plates_under(facing)
    return plate.weight_g(at_s)


@given(seed=st.integers(0, 10_000), seconds=st.integers(200, 1200), share=st.floats(0.1, 1.0))
@settings(max_examples=40, deadline=None)
def test_every_plate_bears_its_own_items_but_what_lies_across(seed: int, seconds: int, share: float) -> None:
    people = CALM | {"lays_across": share}
    world, moved = lived(store(seconds=seconds, people=people), seed)
    across = {one.facing: one.across for one in moved}
    there = dict.fromkeys(UNITS_G, 8)
    for one in moved:
        there[one.facing] += one.change
        assert one.on_hand == there[one.facing]
        assert sum(one.across.values()) <= one.on_hand * UNITS_G[one.facing]
    for facing, unit_g in UNITS_G.items():
        assert world.on_hand(facing) == there[facing]
        away = sum(across.get(facing, {}).values())
        here = sum(onto.get(facing, 0.0) for onto in across.values())
        expected = there[facing] * unit_g - away + here
        assert weight_g(world, facing, seconds + 90.0) == pytest.approx(expected, abs=0.01)


def test_both_plates_are_touched_and_come_to_rest_at_about_the_same_time() -> None:
    back = {"at_s": 10, "act": "return", "facing": "B", "across": "C"}
    scenario = store(timeline=[back], people=QUIET)
    world = World(scenario, plan_visit(scenario, seconds=180, seed=2), seed=2)
    world.open(0.0)
    before = {name: weight_g(world, name, 9.0) for name in UNITS_G}
    world.advance(9.8)
    touched = {name: weight_g(world, name, 9.8) - before[name] > 5 for name in UNITS_G}
    assert touched == {"A": False, "B": True, "C": True}
    [moved] = [one for one in world.advance(60.0) if isinstance(one, Moved)]
    assert (moved.facing, moved.on_hand, list(moved.across)) == ("B", 9, ["C"])
    assert moved.at_rest_s - 10 <= scenario.noise.settling_s[1]
    gain = {name: weight_g(world, name, 60.0) - before[name] for name in UNITS_G}
    assert gain["A"] == 0
    assert gain["C"] == pytest.approx(moved.across["C"], abs=0.01)
    assert gain["B"] + gain["C"] == pytest.approx(250, abs=0.01)
    assert 0.2 * 250 <= gain["B"] <= 0.8 * 250


def test_whoever_takes_what_lies_across_unloads_both_plates() -> None:
    script = [
        {"at_s": 10, "act": "pick", "facing": "B", "quantity": 8},
        {"at_s": 30, "act": "return", "facing": "B", "across": "A"},
        {"at_s": 50, "act": "pick", "facing": "B"},
    ]
    world, moved = lived(store(timeline=script, people=QUIET | {"restock_at_least": 100}), seed=3)
    assert [(one.on_hand, list(one.across)) for one in moved] == [(0, []), (1, ["A"]), (0, [])]
    assert weight_g(world, "A", 300.0) == pytest.approx(800, abs=0.01)
    assert weight_g(world, "B", 300.0) == pytest.approx(0, abs=0.01)


def test_any_item_is_taken_with_the_same_chance_so_one_lies_across_for_a_while() -> None:
    script = [{"at_s": 5, "act": "return", "facing": "B", "across": "A"}]
    script += [{"at_s": 15 + 10 * n, "act": "pick", "facing": "B"} for n in range(9)]
    taken_as = set()
    for seed in range(20):
        _, moved = lived(store(timeline=script, people=QUIET | {"restock_at_least": 100}), seed)
        picks = [one for one in moved if one.cause == "pick"]
        taken_as.add(next(n for n, one in enumerate(picks) if not one.across))
    assert len(taken_as) >= 5


def test_of_several_items_put_back_at_once_one_lies_across() -> None:
    back = {"at_s": 10, "act": "return", "facing": "B", "quantity": 3}
    scenario = store(timeline=[back], people=QUIET | {"lays_across": 1.0})
    world, [moved] = lived(scenario, seed=6)
    assert (moved.quantity, moved.on_hand, len(moved.across)) == (3, 11, 1)
    assert sum(weight_g(world, f, 300.0) for f in UNITS_G) == pytest.approx(8 * 780 + 3 * 250, abs=0.01)


def test_a_neighbour_rests_while_something_that_lies_across_to_it_stays() -> None:
    script = [
        {"at_s": 10, "act": "return", "facing": "B", "across": "C"},
        {"at_s": 60, "act": "return", "facing": "B"},
    ]
    scenario = store(timeline=script, people=QUIET)
    world = World(scenario, plan_visit(scenario, seconds=180, seed=2), seed=2)
    world.open(0.0)
    world.advance(59.0)
    before = weight_g(world, "C", 59.0)
    world.advance(60.0)
    assert weight_g(world, "C", 60.0) == pytest.approx(before, abs=0.001)


def test_filling_a_facing_puts_right_what_lay_across() -> None:
    script = [
        {"at_s": 10, "act": "return", "facing": "B", "across": "A"},
        {"at_s": 30, "act": "return", "facing": "B", "across": "C"},
        {"at_s": 50, "act": "restock", "facing": "B", "quantity": 2},
    ]
    world, moved = lived(store(timeline=script, people=QUIET), seed=4)
    assert [sorted(one.across) for one in moved] == [["A"], ["A", "C"], []]
    for facing, on_hand in {"A": 8, "B": 12, "C": 8}.items():
        expected = on_hand * UNITS_G[facing]
        assert weight_g(world, facing, 300.0) == pytest.approx(expected, abs=0.01)


def test_nobody_works_on_a_neighbour_while_something_is_laid_across_to_it() -> None:
    scenario = store(seconds=300)
    reaching = 0
    for seed in range(8):
        acts = plan_visit(scenario, seconds=300, seed=seed).acts
        reaching += sum(bool(act.across) for act in acts)
        for facing in UNITS_G:
            on_it = [act for act in acts if facing in (act.facing, *act.across)]
            for before, after in itertools.pairwise(on_it):
                assert after.at_s - before.end_s >= scenario.people.plate_rest_s
    assert reaching > 20


def test_the_share_of_careless_returns_is_what_was_asked_for() -> None:
    people = CALM | {"lays_across": 0.2}
    back = [
        act
        for seed in range(6)
        for act in plan_visit(store(seconds=1800, people=people), seconds=1800, seed=seed).acts
        if act.kind == "return"
    ]
    assert len(back) > 300
    assert 0.15 < sum(bool(act.across) for act in back) / len(back) < 0.25


def test_a_store_where_nobody_is_careless_lives_as_if_nobody_could_be() -> None:
    """Without `x_mm` there are no neighbours at all."""
    people = CALM | {"lays_across": 0}
    apart = [f.model_dump(exclude={"x_mm"}) for f in store().facings]
    plan, same = store(people=people), store(people=people, facings=apart)
    assert plan_visit(plan, seconds=180, seed=7) == plan_visit(same, seconds=180, seed=7)


def test_the_truth_says_what_lies_across_and_the_score_reads_it(tmp_path: Path) -> None:
    scenario = store()
    virtual = VirtualStore(scenario, seed=5)
    for _ in virtual.advance(180.0):
        pass
    moves = [one for one in virtual.truth if isinstance(one, ItemsMoved)]
    assert any(one.across for one in moves)
    stocked = [Stocked(facing=f.id, gtin=f.gtin, on_hand=f.on_hand) for f in scenario.facings]
    with TruthFile(tmp_path / "truth.jsonl") as file:
        file.write(
            Opened(occurred_at=OPENED_AT, store="s1", seed=5, seconds=180, door=False, facings=stocked)
        )
        for record in virtual.truth:
            file.write(record)
    truth = read_truth(tmp_path / "truth.jsonl")
    assert truth.moved == moves
    assert truth.final_on_hand() == {name: virtual.world.on_hand(name) for name in UNITS_G}
    seen = Seen([], [], 0, 0, catching_up=False, pending=None)
    assert score(truth, seen).measures["exact_share"] == 0


def test_a_line_of_truth_is_as_before_where_nothing_lies_across() -> None:
    moved = Moved("A", GTINS["A"], "pick", 1, 7, 1.0, 1.0, 2.0)
    assert b"across" not in msgspec.json.encode(truth_of(moved, 0.0, OPENED_AT))


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"timeline": [{"at_s": 1, "act": "return", "facing": "A", "across": "C"}]}, "'C' is not beside 'A'"),
        (
            {"timeline": [{"at_s": 1, "act": "pick", "facing": "A", "across": "B"}]},
            "across is for the return",
        ),
        ({"devices": [{"id": "one", "kind": "mqtt-plate"}]}, "no two facings with a plate each"),
    ],
)
def test_what_cannot_lie_across_is_told(parts: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        store(**parts)
