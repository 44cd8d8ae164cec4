"""Scenario files: the built-in ones load, wrong ones say where and what."""

from pathlib import Path
from typing import Any

import pytest

from device_sims.fault import Fault
from device_sims.scenario import load_scenario
from device_sims.serve import PARTS, bench
from device_sims.settings_table import settings_of
from edge_agent.contract.errors import AssetsMissing, ConfigError

SMALL = """\
store: {id: s1}
products:
  - {gtin: "06901234100013", name: cola, unit_weight_g: 352}
facings:
  - {id: A1-01, gtin: "06901234100013", capacity: 8, on_hand: 5}
devices:
  - {id: "scale-{facing}", kind: mt-sics}
"""


def problems(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_scenario(path)
    return [problem.removeprefix(f"{path}:") for problem in caught.value.problems]


@pytest.mark.parametrize("name", ["demo", "opening"])
def test_built_in_scenarios_have_twelve_facings_mostly_tagged(name: str) -> None:
    scenario = load_scenario(name)
    assert len(scenario.facings) == 12
    assert all(8 <= facing.capacity <= 24 for facing in scenario.facings)
    assert all(scenario.product(facing.gtin).tagged == 0.95 for facing in scenario.facings)


def test_the_run_can_be_made_shorter(tmp_path: Path) -> None:
    assert load_scenario("demo", seconds=45).seconds == 45


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(AssetsMissing) as caught:
        load_scenario("nowhere")
    assert "delivery, demo" in caught.value.hint


def test_a_file_that_does_not_exist_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_scenario("nowhere.yaml")


def test_each_problem_is_reported_at_its_line(tmp_path: Path) -> None:
    assert problems(tmp_path, SMALL.replace("on_hand: 5", "on_hand: 9")) == [
        "5:5 facings.0: on_hand 9 is above capacity 8"
    ]
    assert problems(tmp_path, SMALL.replace(", unit_weight_g: 352", "")) == [
        "5:23 facings.0.gtin: product 06901234100013 has no unit_weight_g; a simulated item must weigh something"
    ]
    acts = SMALL + "timeline:\n  - {at_s: 1, facing: A1-02, act: pick}\n"
    assert problems(tmp_path, acts) == ["9:23 timeline.0.facing: 'A1-02' is no facing; known: A1-01"]
    faults = SMALL + "faults:\n  - {fault: unplug, device: scale-z, at_share: 0.5}\n"
    wrong = (
        SMALL
        + "faults:\n  - {fault: wrong-checksum, device: scale-*, at_s: 1}\n  - {fault: broker-restart}\n"
    )
    assert problems(tmp_path, wrong) == [
        "9:37 faults.0.device: wrong-checksum cannot befall 'scale-a1-01': it is for Modbus RTU and serial RFID readers, whose frames have a check",
        "10:5 faults.1: this store has no broker: none of its devices speaks MQTT",
    ]
    late = (
        SMALL
        + "timeline:\n  - {at_s: 90, facing: A1-01, act: pick}\nfaults:\n  - {fault: power-cut, at_s: 99}\n"
    )
    assert problems(tmp_path, late) == [
        "9:12 timeline.0.at_s: 90 s: by then the store has closed",
        "11:30 faults.0.at_s: 99 s: by then the store has closed",
    ]
    assert problems(tmp_path, faults) == [
        "9:29 faults.0.device: 'scale-z' is no device of this store; known: scale-a1-01"
    ]


def test_an_unknown_fault_lists_the_known_ones(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, SMALL + "faults:\n  - {fault: unplugged, at_share: 0.5}\n")
    assert "'unplugged'" in problem
    assert "'mute'" in problem
    assert problem.endswith("did you mean 'unplug'?")


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        ({"fault": "drop", "by": 5}, "by 5 is no share of drop"),
        ({"fault": "stuck", "manner": "refused"}, "stuck knows no `manner`"),
        ({"fault": "stuck", "by": 1}, "stuck knows no `by`"),
    ],
)
def test_what_means_nothing_for_a_fault_is_a_mistake(fault: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Fault.model_validate({"device": "a", **fault})


def test_an_antenna_that_a_reader_lacks_cannot_be_off() -> None:
    store = bench("impinj-r700", facings=2)
    fault = Fault(fault="antenna-off", device="impinj-r700-1", by=3)
    assert list(store.fault_problems(fault)) == ["'impinj-r700-1' has 2 antennas, and not number 3"]


@pytest.mark.parametrize("part", PARTS)
def test_every_part_tells_its_settings(part: str) -> None:
    settings = {one.name: one for one in settings_of(PARTS[part])}
    assert settings.keys() >= PARTS[part].model_fields.keys() - {"kind", "act"}
    assert "" not in {text for one in settings.values() for text in (one.allowed, one.default)}
