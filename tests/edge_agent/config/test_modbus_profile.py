"""Register-map profiles: the shipped ones are whole, mistakes are told at their lines, a store may have its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.config.devices import UNITS, ModbusScale
from edge_agent.config.modbus_profile import SHIPPED, Value, read_profile, shipped_profiles
from edge_agent.config.store import ENV_PREFIX, StoreSettings
from edge_agent.contract.errors import ConfigError
from edge_agent.service.settings import load

GOOD = """\
title: A module of our own
function: 4
numbering: numbers
polls:
  - {start: 30011, count: 3}
values:
  - {at: 30011, type: float32, status: 30013, stable: {bit: 0}}
"""

STORE = """\
store: {id: s1}
products: [{gtin: "06901234567892", name: cola, unit_weight_g: 352}]
facings: [{id: A1, gtin: "06901234567892", capacity: 9, reorder_point: 2}, {id: A2, gtin: "06901234567892", capacity: 9, reorder_point: 2}]
devices:
  - {id: plate, driver: modbus-scale, port: /dev/ttyUSB0, %s}
"""


def problems(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_profile(str(path))
    return [problem.removeprefix(str(tmp_path) + "/") for problem in raised.value.problems]


def store(tmp_path: Path, device: str) -> StoreSettings:
    path = tmp_path / "store.yaml"
    path.write_text(STORE % device)
    return load(path, StoreSettings, env_prefix=ENV_PREFIX, environ={})


def test_the_shipped_profiles_are_the_files_of_the_configuration_folder() -> None:
    assert shipped_profiles() == ["baykon", "dini-argeo", "laumas", "load-cell-16", "sht20"]
    assert SHIPPED.resolve() == Path(__file__).parents[3] / "configs" / "profiles"


@pytest.mark.parametrize("name", ["baykon", "dini-argeo", "laumas", "load-cell-16", "sht20"])
def test_a_shipped_profile_says_where_it_is_from(name: str) -> None:
    assert "Source: " in (SHIPPED / f"{name}.yaml").read_text()
    assert read_profile(name).every_value


def test_quantities_are_those_of_the_settings_and_the_weight() -> None:
    allowed = Value.model_fields["quantity"].annotation.__args__  # type: ignore[union-attr]
    assert set(allowed) == {"weight", *UNITS}


def test_repeated_values_are_written_out_with_their_status() -> None:
    plates = read_profile("dini-argeo").every_value
    assert [(p.channel, p.at, p.status) for p in plates] == [
        (1, 40203, 40202),
        (2, 40206, 40205),
        (3, 40209, 40208),
        (4, 40212, 40211),
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("float32", "flot32"), "own.yaml:7:23 values.0.type: found 'flot32', allowed: "),
        (("stable: {bit: 0}", "stabel: {bit: 0}"), "own.yaml:7:47 values.0.stabel: is not a setting here"),
        (("{bit: 0}", "{bit: 16}"), "own.yaml:7:61 values.0.stable.bit: found 16; "),
        (("{bit: 0}", "{bit: 0, bits: [0, 1]}"), "own.yaml:7:55 values.0.stable: needs either bit or bits"),
        (("{bit: 0}", "{bits: [3, 1]}"), "own.yaml:7:62 values.0.stable.bits: found [3, 1]; the lower bit"),
        (("status: 30013, ", ""), "own.yaml:7:5 values.0: a bit has no register"),
        (("count: 3", "count: 2"), "own.yaml:7:5 values.0: registers 30011 to 30013 are not read by one poll"),
        (("start: 30011", "start: 40011"), "own.yaml:5:13 polls.0.start: found 40011; with this function"),
        (("count: 3}", "count: 3, every_s: 5}"), "own.yaml:5:3 polls: every poll has every_s"),
        (("numbering: numbers", "max_registers: 2\nnumbering: numbers"), "own.yaml:6:27 polls.0.count: found 3"),
        (("title: A module of our own\n", ""), "own.yaml:1:1 title: is required and missing"),
        (("status:", "negative: {bit: 1}, status:"), "own.yaml:7:5 values.0: has a sign bit apart, so its type"),
        (("at: 30011,", "at: 30011, repeat: {times: 2, step: 1},"), "own.yaml:7:5 values.0: is repeated and needs"),
        (("at: 30011,", "quantity: door, at: 30011,"), "own.yaml:7:5 values.0: a door is of type bit"),
        (("function: 4\n", "function: 4\nscaling: {at: 30020}\n"), "own.yaml:3:15 scaling.at: register 30020"),
        (("values:", "values:\n  - {at: 30011, type: int32}"), "own.yaml:8:5 values.1: weight of channel None is"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_column(
    tmp_path: Path, change: tuple[str, str], problem: str
) -> None:
    found = problems(tmp_path, GOOD.replace(*change))
    assert any(line.startswith(problem) for line in found), found


def test_plates_of_one_module_need_their_channels(tmp_path: Path) -> None:
    second = "  - {channel: 2, at: 30011, type: int32}\n"
    (problem,) = problems(tmp_path, GOOD + second)
    assert "there are several weights, so each needs its channel" in problem


def test_a_stores_own_profile_is_looked_for_beside_its_file(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "own.yaml").write_text(GOOD)
    (device,) = store(tmp_path, "profile: maps/own.yaml, facings: [A1]").devices
    assert isinstance(device, ModbusScale)
    assert read_profile(device.profile).title == "A module of our own"


def test_a_mistake_in_a_stores_own_profile_is_told_by_check(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(GOOD.replace("float32", "flot32"))
    with pytest.raises(ConfigError) as raised:
        store(tmp_path, "profile: own.yaml, facings: [A1]")
    (problem,) = raised.value.problems
    assert problem.startswith(f"{tmp_path}/store.yaml:5:68 devices.0.profile: ")
    assert f"{tmp_path}/own.yaml:7:23 values.0.type: found 'flot32'" in problem


@pytest.mark.parametrize(
    ("device", "problem"),
    [
        ("profile: lamas", "found 'lamas'; shipped profiles: baykon, dini-argeo, laumas"),
        ("profile: gone.yaml", "gone.yaml: cannot be read: No such file"),
        ("channels: {'1': [A1]}", "profile laumas has one plate; use facings"),
        ("profile: load-cell-16, facings: [A1]", "several plates; use channels: 1, 2, 3"),
        ("profile: dini-argeo, channels: {'5': [A1]}", "channel '5' is not in profile dini-argeo; known: 1, 2, 3, 4"),
        ("profile: sht20, facings: [A1]", "has no plate"),
        ("unit_id: 248", "found 248; input should be less than or equal to 247"),
    ],
)  # fmt: skip
def test_a_device_that_does_not_fit_its_profile_is_told_by_check(
    tmp_path: Path, device: str, problem: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        store(tmp_path, device)
    assert any(problem in line and "store.yaml:5:" in line for line in raised.value.problems)


@pytest.mark.parametrize("port", ["udp://h:1", "tcp://h", "tcp://:502", "socket://h:5:6"])
def test_a_port_is_a_path_or_an_address(port: str) -> None:
    with pytest.raises(ValueError, match="Modbus TCP"):
        ModbusScale(id="m", driver="modbus-scale", port=port)


@pytest.mark.parametrize("port", ["/dev/ttyUSB0", "tcp://192.168.1.9:502", "socket://[::1]:4001"])
def test_serial_ports_gateways_and_port_servers_are_ports(port: str) -> None:
    assert ModbusScale(id="m", driver="modbus-scale", port=port).port == port
