"""A store on a virtual clock says the same as one on real wires, and faster."""

from __future__ import annotations

import time
from collections import Counter

from device_sims.scenario import Scenario, load_scenario
from device_sims.truth import FaultChanged, ItemsMoved
from device_sims.virtual import VirtualStore
from edge_agent.drivers.decode import decode_stream


def lived(
    scenario: Scenario, seed: int, *, until_s: float
) -> tuple[VirtualStore, dict[str, bytes], list[bytes]]:
    store = VirtualStore(scenario, seed=seed)
    scales = [one.id for one in scenario.equipment if one.id.startswith("scale-")]
    said = dict.fromkeys(scales, b"")
    published: list[bytes] = []
    for tick in range(1, round(until_s)):
        published += [message.body for _, _, message in store.advance(float(tick))]
        for scale in scales:
            said[scale] += store.ask(scale, b"SI\r\n")
    return store, said, published


def test_an_hour_passes_in_seconds_and_every_scale_ends_with_what_lies_on_it() -> None:
    scenario = load_scenario("opening").model_copy(update={"seconds": 3600.0})
    began = time.perf_counter()
    store = VirtualStore(scenario, seed=3)
    reads = sum(1 for _ in store.advance(3600.0))
    assert time.perf_counter() - began < 300
    assert reads > 10_000
    assert len({record.facing for record in store.truth if isinstance(record, ItemsMoved)}) == 12
    for facing in scenario.facings:
        (reading,) = decode_stream("mt-sics", [store.ask(f"scale-{facing.id.lower()}", b"SI\r\n")])
        assert isinstance(reading, dict)
        unit_g = scenario.product(facing.gtin).unit_weight_g
        assert unit_g is not None
        assert round(reading["weight_g"] / unit_g) == store.world.on_hand(facing.id)


def test_the_same_seed_says_the_same_bytes_and_another_does_not() -> None:
    scenario = load_scenario("demo")
    first, second, other = (lived(scenario, seed, until_s=40) for seed in (5, 5, 6))
    assert first[1:] == second[1:]
    assert first[0].truth == second[0].truth
    assert first[1] != other[1]


def test_what_is_moved_is_what_the_scales_say() -> None:
    scenario = load_scenario("demo")
    store, said, _ = lived(scenario, 7, until_s=90)
    change: Counter[str] = Counter()
    for record in store.truth:
        if isinstance(record, ItemsMoved):
            change[record.facing] += record.quantity * (-1 if record.cause == "pick" else 1)
    for facing in scenario.facings:
        scale = f"scale-{facing.id.lower()}"
        readings = [one for one in decode_stream("mt-sics", [said[scale]]) if isinstance(one, dict)]
        weights = [one["weight_g"] for one in readings if "weight_g" in one]
        unit_g = scenario.product(facing.gtin).unit_weight_g
        assert unit_g is not None
        assert round((weights[-1] - weights[0]) / unit_g) == change[facing.id]


def test_any_mix_of_devices_runs_on_a_virtual_clock() -> None:
    for name in ("rush-hour", "fridge-failure", "theft", "stock-out"):
        scenario = load_scenario(name)
        store = VirtualStore(scenario, seed=1)
        said = Counter(connection for _, connection, _ in store.advance(30.0))
        assert said.keys() == set(store.rig.hubs)


def test_a_scripted_fault_befalls_and_ends_at_its_time() -> None:
    """A scale is unplugged, another is stuck, a hub goes and says so; each is as before afterwards."""
    scenario = Scenario.model_validate(
        {
            "seconds": 60,
            "store": {"id": "s1", "timezone": "Asia/Shanghai"},
            "products": [{"gtin": "06901234567892", "name": "Cola", "unit_weight_g": 352.0}],
            "facings": [
                {"id": name, "gtin": "06901234567892", "capacity": 24, "reorder_point": 4, "on_hand": 10}
                for name in ("a", "b", "c")
            ],
            "devices": [
                {"id": "pulled", "kind": "mt-sics", "facings": ["a"]},
                {"id": "stuck", "kind": "mt-sics", "facings": ["b"]},
                {"id": "plate", "kind": "mqtt-plate", "facings": ["c"]},
            ],
            "people": {"shoppers_per_minute": 0},
            "faults": [
                {"fault": "unplug", "device": ["pulled", "plate"], "at_s": 10, "for_s": 20},
                {"fault": "unplug", "device": "*", "at_s": 11, "for_s": 0.5},
                {"fault": "stuck", "device": "stuck", "at_s": 10, "for_s": 20},
            ],
        }
    )
    store = VirtualStore(scenario, seed=1)
    answers: dict[str, list[bytes]] = {"pulled": [], "stuck": []}
    topics = list[tuple[float, str]]()
    for second in (5.0, 12.0, 25.0, 35.0):
        topics += [(at_s, said.topic) for at_s, _, said in store.advance(second)]
        for device, said in answers.items():
            said.append(store.ask(device, b"SI\r\n"))
    assert [bool(said) for said in answers["pulled"]] == [True, False, False, True]
    shown = [said.split(b"\r\n")[-2] for said in answers["stuck"]]
    assert shown[1] == shown[2] != shown[3]
    assert [at_s for at_s, topic in topics if not topic.endswith("state") and 10.1 < at_s < 29.9] == []
    assert len([at_s for at_s, topic in topics if at_s > 30]) > 4
    changes = [(one.fault, one.state) for one in store.truth if isinstance(one, FaultChanged)]
    both = ("began", "ended")
    assert Counter(changes) == {("stuck", one): 1 for one in both} | {("unplug", one): 2 for one in both}
