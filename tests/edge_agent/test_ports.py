"""A port has one device, unless its protocol lets many share a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_agent.config.store import ENV_PREFIX, StoreSettings
from edge_agent.contract.errors import ConfigError
from edge_agent.service.settings import load


def problems(folder: Path, *devices: str, more: str = "") -> tuple[str, ...]:
    """What `check` says of a store with these devices."""
    path = folder / "store.yaml"
    path.write_text(
        "store: {id: s1}\ndevices:\n" + "".join(f"  - {{{device}}}\n" for device in devices) + more
    )
    try:
        load(path, StoreSettings, env_prefix=ENV_PREFIX)
    except ConfigError as error:
        return tuple(problem.partition("store.yaml:")[2] for problem in error.problems)
    return ()


@pytest.mark.parametrize("port", ["/dev/ttyUSB0", "socket://10.0.0.5:4001"])
def test_two_devices_on_one_port_are_a_mistake_of_the_configuration(tmp_path: Path, port: str) -> None:
    assert problems(
        tmp_path,
        f"id: a, driver: mt-sics, port: '{port}'",
        f"id: b, driver: toledo-8217, port: '{port}'",
    ) == (f"4:40 devices.1.port: {port} is already the port of 'a'; one device has it to itself",)


def test_a_port_is_the_same_however_its_path_is_written(tmp_path: Path) -> None:
    names = ("/dev/serial/by-id/usb-A", "/dev/serial/../serial/by-id//usb-A")
    found = problems(tmp_path, *(f"id: s{i}, driver: mt-sics, port: {name}" for i, name in enumerate(names)))
    assert len(found) == 1
    assert "already the port of 's0'" in found[0]


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("driver: modbus-scale, unit_id: 2, baudrate: 9600", ""),
        ("driver: modbus-scale, unit_id: 2, baudrate: 19200", "baudrate: must be 9600 as for 'a'"),
        ("driver: mt-sics", "port: /dev/ttyUSB0 is already the port of 'a'"),
    ],
)
def test_modbus_modules_share_a_line_at_one_speed_and_with_nobody_else(
    tmp_path: Path, second: str, said: str
) -> None:
    first = "id: a, driver: modbus-scale, unit_id: 1, baudrate: 9600, port: /dev/ttyUSB0"
    found: Any = problems(tmp_path, first, f"id: b, port: /dev/ttyUSB0, {second}")
    assert len(found) == bool(said)
    assert all(said in problem for problem in found)


def test_two_scales_cannot_be_one_plate_of_one_modbus_module(tmp_path: Path) -> None:
    facings = "\nproducts: [{gtin: '4006381333931', name: P, unit_weight_g: 100}]\nfacings:" + "".join(
        f"\n  - {{id: {name}, gtin: '4006381333931', capacity: 5}}" for name in ("A1", "A2")
    )
    line = "driver: modbus-scale, port: /dev/ttyUSB0"
    found = problems(
        tmp_path,
        f"id: a, {line}, unit_id: 1, facings: [A1]",
        f"id: b, {line}, unit_id: 1, facings: [A2]",
        more=facings,
    )
    assert [problem.partition(" ")[2] for problem in found] == [
        "devices.1.unit_id: 1 is already 'a' on this port, with the same plate"
    ]
    split = f"{line}, unit_id: 1, profile: load-cell-16"
    apart = (f'id: {name}, {split}, channels: {{"{n}": [A{n}]}}' for n, name in ((1, "a"), (2, "b")))
    assert problems(tmp_path, *apart, more=facings) == ()


@pytest.mark.parametrize("driver", ["mt-sics", "toledo-8217", "ascii-scale"])
def test_a_scale_of_one_plate_takes_no_channels(tmp_path: Path, driver: str) -> None:
    (found,) = problems(tmp_path, f'id: a, driver: {driver}, port: /dev/ttyUSB0, channels: {{"1": []}}')
    assert "has one plate and no channels; use facings" in found


def test_a_channel_written_twice_in_two_ways_is_told(tmp_path: Path) -> None:
    module = "id: a, driver: modbus-scale, port: /dev/ttyUSB0, profile: load-cell-16"
    (found,) = problems(tmp_path, f'{module}, channels: {{"1": [], "01": []}}')
    assert "channel '01' must be a number in quotes, without zeros before it" in found
