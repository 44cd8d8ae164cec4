"""A store on a virtual clock says the same as one on real wires, and faster."""

from __future__ import annotations

import time
from collections import Counter

from device_sims.scenario import Scenario, load_scenario
from device_sims.truth import ItemsMoved
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
