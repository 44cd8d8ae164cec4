"""A simulated Zebra reader: the fields of each mode, event numbers, times as the IoT Connector writes them."""

from __future__ import annotations

from typing import Any

import pytest

from device_sims.plan import plan_visit
from device_sims.radio import Radio
from device_sims.scenario import load_scenario
from device_sims.world import World
from device_sims.zebra import IotcReader, Mode
from edge_agent.contract.gs1 import decode_epc
from edge_agent.contract.times import parse_rfc3339

AT_NS = 1_700_000_000_123_456_789


def reader(mode: Mode) -> tuple[IotcReader, list[str]]:
    scenario = load_scenario("demo")
    world = World(scenario, plan_visit(scenario, seconds=45, seed=1), seed=1)
    facings = [facing.id for facing in scenario.facings]
    radio = Radio(world, facings, scenario.noise, seed="1")
    return IotcReader(radio, mode=mode), [f.gtin for f in scenario.facings]


@pytest.mark.parametrize(
    ("mode", "fields"),
    [
        ("SIMPLE", {"eventNum", "format", "idHex"}),
        ("INVENTORY", {"eventNum", "format", "idHex", "antenna", "peakRssi", "reads"}),
    ],
)
def test_a_mode_tells_its_fields_and_no_more(mode: Mode, fields: set[str]) -> None:
    simulated, _ = reader(mode)
    events = list(simulated.look(5.0, AT_NS))
    assert events
    assert {frozenset(event["data"]) for event in events} == {frozenset(fields)}
    assert {event["type"] for event in events} == {mode}


def test_most_tags_are_heard_at_home() -> None:
    simulated, gtins = reader("CUSTOM")
    events = list(simulated.look(5.0, AT_NS))
    at_home = 0
    for event in events:
        tag: dict[str, Any] = event["data"]
        item = decode_epc(tag["idHex"].lower())
        assert item is not None
        at_home += gtins[tag["antenna"] - 1] == item.gtin
        assert -80 < tag["peakRssi"] < -30
        assert len(tag["CRC"]) == 4
    assert 0.85 < at_home / len(events) < 1.0


def test_events_are_numbered_from_one_and_anew_after_power_on() -> None:
    simulated, _ = reader("INVENTORY")
    for _ in range(2):
        numbers = [event["data"]["eventNum"] for _ in range(3) for event in simulated.look(1.0, AT_NS)]
        assert numbers == list(range(1, len(numbers) + 1))
        simulated.power_on()


def test_times_have_an_offset_without_a_colon() -> None:
    simulated, _ = reader("INVENTORY")
    told = simulated.heartbeat(AT_NS)["timestamp"]
    assert told == "2023-11-14T22:13:20.123+0000"
    assert parse_rfc3339(told).timestamp() == pytest.approx(AT_NS / 1e9, abs=1e-3)
