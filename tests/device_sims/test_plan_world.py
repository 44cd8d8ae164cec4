"""The seeded store: the same seed gives the same store, and nothing in it is impossible."""

import itertools
from collections import Counter, defaultdict

import pytest

from device_sims.climate import Fridge, FridgeSettings
from device_sims.plan import Plan, plan_visit
from device_sims.scenario import Scenario, load_scenario
from device_sims.world import Moved, World
from edge_agent.contract.gs1 import decode_epc

SEEDS = range(12)


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load_scenario("demo")


def lived(scenario: Scenario, plan: Plan, seed: int = 1) -> tuple[World, list[Moved]]:
    world = World(scenario, plan, seed=seed)
    world.open(100.0)
    return world, [one for one in world.advance(100.0 + plan.seconds) if isinstance(one, Moved)]


def test_the_same_seed_gives_the_same_store(scenario: Scenario) -> None:
    plan = plan_visit(scenario, seconds=90, seed=5)
    assert plan == plan_visit(scenario, seconds=90, seed=5)
    assert plan != plan_visit(scenario, seconds=90, seed=6)
    first, second = lived(scenario, plan), lived(scenario, plan)
    assert first[1] == second[1]
    times = [100 + n * 0.05 for n in range(40)]
    assert [first[0].plates_under("A1-01")[0].weight_g(t) for t in times] == [
        second[0].plates_under("A1-01")[0].weight_g(t) for t in times
    ]


@pytest.mark.parametrize("seconds", [45, 90])
def test_every_facing_ends_elsewhere_than_it_stood_at_half_time(scenario: Scenario, seconds: int) -> None:
    for seed in SEEDS:
        plan = plan_visit(scenario, seconds=seconds, seed=seed)
        change: Counter[str] = Counter()
        for act in plan.acts:
            if act.at_s >= seconds / 2:
                change[act.facing] += act.change
        assert all(change[facing.id] for facing in scenario.facings), seed


def test_each_kind_of_act_happens_and_the_end_is_quiet(scenario: Scenario) -> None:
    for seed in SEEDS:
        plan = plan_visit(scenario, seconds=45, seed=seed)
        assert {act.kind for act in plan.acts} == {"pick", "return", "restock"}, seed
        assert max(act.end_s for act in plan.acts) <= 45 - scenario.people.quiet_s
        assert {p.direction for p in plan.passages} == {"entered", "exited"}, seed


def test_one_plate_serves_one_hand_at_a_time_and_comes_to_rest_between(scenario: Scenario) -> None:
    for seed in SEEDS:
        by_plate, by_person = defaultdict(list), defaultdict(list)
        for act in plan_visit(scenario, seconds=90, seed=seed).acts:
            by_plate[act.facing].append(act)
            by_person[act.person].append(act)
        for acts in by_plate.values():
            for before, after in itertools.pairwise(acts):
                assert after.at_s - before.end_s >= scenario.people.plate_rest_s
        for acts in by_person.values():
            for before, after in itertools.pairwise(acts):
                assert after.at_s > before.end_s


def test_people_keep_apart_in_the_doorway(scenario: Scenario) -> None:
    for seed in SEEDS:
        passages = plan_visit(scenario, seconds=90, seed=seed).passages
        assert all(
            b.at_s - a.at_s >= scenario.people.door_gap_s - 1e-9 for a, b in itertools.pairwise(passages)
        )


def test_no_shelf_is_ever_below_zero_or_above_capacity(scenario: Scenario) -> None:
    capacity = {facing.id: facing.capacity for facing in scenario.facings}
    for seed in SEEDS:
        _, moved = lived(scenario, plan_visit(scenario, seconds=90, seed=seed), seed)
        assert all(0 <= m.on_hand <= capacity[m.facing] for m in moved)


def test_a_plate_carries_the_items_that_lie_on_it(scenario: Scenario) -> None:
    world, _ = lived(scenario, plan_visit(scenario, seconds=90, seed=2), 2)
    for facing in scenario.facings:
        unit_g = scenario.product(facing.gtin).unit_weight_g
        assert unit_g is not None
        [plate] = world.plates_under(facing.id)
        weight_g = plate.weight_g(100.0 + 90 + 30)
        assert round(weight_g / unit_g) == world.on_hand(facing.id)


def test_a_tag_names_its_item_and_most_items_have_one(scenario: Scenario) -> None:
    world = World(scenario, plan_visit(scenario, seconds=90, seed=3), seed=3)
    epcs = [tag.epc for facing in scenario.facings for tag in world.tags(facing.id)]
    items = sum(facing.on_hand for facing in scenario.facings)
    assert len(set(epcs)) == len(epcs)
    assert 0.85 * items <= len(epcs) <= items
    for facing in scenario.facings:
        decoded = [decode_epc(tag.epc) for tag in world.tags(facing.id)]
        assert all(tag is not None and tag.gtin == facing.gtin for tag in decoded)


def test_scripted_acts_happen_at_their_moment() -> None:
    opening = load_scenario("opening")
    plan = plan_visit(opening, seconds=opening.seconds, seed=1)
    restocks = {(act.at_s, act.facing) for act in plan.acts if act.kind == "restock"}
    assert {(3.0, "A1-02"), (9.0, "A1-05"), (15.0, "A1-12")} <= restocks


def store(**parts: object) -> Scenario:
    facing = {"id": "A1", "gtin": "06901234567892", "capacity": 12, "on_hand": 5}
    return Scenario.model_validate(
        {
            "seconds": 60,
            "store": {"id": "s1"},
            "products": [{"gtin": "06901234567892", "name": "cola", "unit_weight_g": 352}],
            "facings": [facing],
            "devices": [{"id": "scale", "kind": "mt-sics"}],
            "people": {"shoppers_per_minute": 0},
            **parts,
        }
    )


def test_without_shoppers_a_minute_nobody_comes() -> None:
    quiet = store()
    assert plan_visit(quiet, seconds=60, seed=1).acts == ()
    assert plan_visit(store(people={"shoppers_per_minute": 6}), seconds=60, seed=1).acts


def test_the_truth_says_what_really_moved_not_what_was_wanted() -> None:
    acts = [{"at_s": at_s, "act": "pick", "facing": "A1", "quantity": 3} for at_s in (5, 15, 25)]
    scenario = store(timeline=acts)
    world = World(scenario, plan_visit(scenario, seconds=60, seed=1), seed=1)
    world.open(0.0)
    moved = [one for one in world.advance(60.0) if isinstance(one, Moved) and one.cause == "pick"]
    assert [(one.quantity, one.on_hand) for one in moved] == [(3, 2), (2, 0)]


@pytest.mark.parametrize("warms_c_per_min", [0.15, 3.0])
def test_a_sound_fridge_stays_cold_while_shoppers_open_it_and_a_broken_one_does_not(
    warms_c_per_min: float,
) -> None:
    kept = FridgeSettings(id="f1", warms_c_per_min=warms_c_per_min)
    fridge = Fridge(kept, seed="1")

    def warmest(until_s: int, since_s: int) -> float:
        shown = []
        for second in range(since_s, until_s):
            if second % 20 == 0:
                fridge.open_door(second + 8.0)
            shown.append(fridge.climate(float(second))[0])
        return max(shown)

    assert warmest(1800, 0) < kept.limit_c - 1
    fridge.failed = True
    assert warmest(3600, 1800) > kept.limit_c
    fridge.failed = False
    assert warmest(7200, 3600) > kept.limit_c
    assert fridge.climate(7300.0)[0] < kept.set_c + kept.swing_c
