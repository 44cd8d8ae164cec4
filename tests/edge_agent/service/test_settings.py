"""Configuration errors carry their place, what was found and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.config.store import DEVICE_KINDS, StoreSettings
from edge_agent.contract.errors import ConfigError
from edge_agent.service.settings import load, read_secret

GOOD = """\
store: {id: store-0042, timezone: Asia/Shanghai}
agent: {data_dir: ./var}
products:
  - {gtin: "6901234567892", name: 可乐 330 ml, unit_weight_g: 352.0}
facings:
  - {id: A1-01, gtin: "06901234567892", capacity: 24, reorder_point: 6}
devices:
  - {id: scale-1, driver: mt-sics, port: /dev/ttyUSB0, facings: [A1-01]}
"""


def read(folder: Path, text: str, **environ: str) -> StoreSettings:
    file = folder / "store.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, StoreSettings, env_prefix="EDGE_AGENT", environ=environ)


def problems(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, text, **environ)
    return [problem.replace(str(folder) + "/", "") for problem in caught.value.problems]


def test_a_good_file_loads_with_padded_gtin_and_paths_beside_the_file(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD)
    assert settings.products[0].gtin == "06901234567892"
    assert settings.agent.data_dir == tmp_path / "var"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"6901234567892"', '"6901234567893"', "store.yaml:4:12 products.0.gtin: GTIN 6901234567893 has a wrong check digit (expected 2)"),
        ("mt-sics", "mt-sic", f"store.yaml:8:27 devices.0.driver: found 'mt-sic', which is not known; one of: {', '.join(DEVICE_KINDS)}; did you mean 'mt-sics'?"),
        ("port:", "prot:", "store.yaml:8:36 devices.0.prot: is not a setting here; did you mean 'port'?"),
        ("capacity: 24", "capacity: 0", "store.yaml:6:51 facings.0.capacity: found 0; input should be greater than 0"),
        ("reorder_point: 6", "reorder_point: 25", "store.yaml:6:5 facings.0: reorder_point 25 is above capacity 24"),
        ("Asia/Shanghai", "Asia/Shangai", "store.yaml:1:35 store.timezone: found 'Asia/Shangai', which is not a time zone; use a name like Asia/Shanghai"),
        ("[A1-01]", "[A1-02]", "store.yaml:8:66 devices.0.facings.0: facing 'A1-02' is not in facings"),
        ('id: A1-01, gtin: "06901234567892"', 'id: A1-01, gtin: "04012345000009"', "store.yaml:6:23 facings.0.gtin: facing 'A1-01' has GTIN 04012345000009, which no product has; add it to products"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_line_with_its_place(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert expected in problems(tmp_path, GOOD.replace(old, new, 1))


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = (
        GOOD.replace("capacity: 24", "capacity: x").replace("port:", "prot:").replace("Shanghai", "Shangai")
    )
    assert len(problems(tmp_path, text)) == 4  # prot is unknown, port is missing


def test_duplicate_ids_are_found(tmp_path: Path) -> None:
    text = GOOD + "  - {id: scale-1, driver: mt-sics, port: /dev/x}\n"
    assert problems(tmp_path, text) == [
        "store.yaml:9:10 devices.1.id: 'scale-1' is used twice; ids are unique"
    ]


def test_a_key_written_twice_is_found(tmp_path: Path) -> None:
    assert problems(tmp_path, GOOD + "store: {id: other}\n") == [
        "store.yaml:9:1 store: written twice, keep one"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "store: [",
        "- just\n- a list\n",
        "\t",
        "store: {id: 2026-13-45}",
        "? [a]\n: b",
        "x: !!python/name:x",
        "[" * 3000,
    ],
)
def test_broken_yaml_is_a_line_never_a_traceback(tmp_path: Path, text: str) -> None:
    assert len(problems(tmp_path, text)) == 1


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("  - {id: r, topic: t}", "store.yaml:9:5 devices.1.driver: is required and missing"),
        ("  - {id: r, driver: impinj-r700, topic: t, antennas: {one: A1-01}}", "store.yaml:9:5 devices.1: antenna 'one' must be"),
        ("  - {id: r, driver: impinj-r700, topic: t, antennas: {'4': A1-01}, back_room: [4]}", "store.yaml:9:5 devices.1: antenna 4 is over 'A1-01' and in back_room; keep one of both"),
        ("  - {id: r, driver: impinj-r700, topic: t, back_room: [4, 5, 4]}", "store.yaml:9:5 devices.1: antenna 4 is twice in back_room"),
        ("  - {id: r, driver: r2000, port: p, back_room: [5]}", "store.yaml:9:5 devices.1: antenna 5 must be from 1 to 4"),
        ("  - {id: r, driver: m100, port: p, antennas: {'1': A1-01}, back_room: [2]}", "store.yaml:9:5 devices.1: has more than one antenna"),
        ("  - {id: r, driver: impinj-r700, topic: a/#/b}", "store.yaml:9:41 devices.1.topic: found 'a/#/b'; + stands"),
        ("mqtt: {url: 'mqtt://127.0.0.1:x'}", "store.yaml:9:7 mqtt: Port could not be cast"),
        ("uplink: {url: 'http://127.0.0.1:99999', token_file: t}", "store.yaml:9:9 uplink: Port out of range"),
    ],
)  # fmt: skip
def test_each_place_is_one_that_the_file_has(tmp_path: Path, extra: str, expected: str) -> None:
    [problem] = problems(tmp_path, f"{GOOD}{extra}\n")
    assert problem.startswith(expected)


def test_an_alias_to_itself_is_told_not_followed(tmp_path: Path) -> None:
    assert problems(tmp_path, "a: &a [*a]")[-1].startswith("store.yaml:1:1 a: is not a setting here")


def test_an_empty_file_names_what_is_missing(tmp_path: Path) -> None:
    assert problems(tmp_path, "") == ["store.yaml:1:1 store: is required and missing"]


@pytest.mark.parametrize("text", ["0042", "4012345000009", "[", "2026-13-45", "true"])
def test_a_scalar_in_the_environment_stays_text(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, GOOD, EDGE_AGENT__STORE__NAME=text).store.name == text


def test_environment_wins_and_is_named_in_its_errors(tmp_path: Path) -> None:
    settings = read(
        tmp_path, GOOD, EDGE_AGENT__AGENT__HTTP__PORT="9000", EDGE_AGENT__DEVICES__0__PORT="/dev/x"
    )
    assert settings.agent.http.port == 9000
    assert settings.devices[0].port == "/dev/x"  # type: ignore[union-attr]
    [problem] = problems(tmp_path, GOOD, EDGE_AGENT__STORE__TIMEZONE="Mars")
    assert problem.startswith("environment EDGE_AGENT__STORE__TIMEZONE store.timezone: found 'Mars'")


@pytest.mark.parametrize(
    ("extra", "word"),
    [
        ("uplink: {url: 'http://192.0.2.1', token_file: t}", "https"),
        ("mqtt: {url: 'mqtt://192.0.2.1'}", "mqtts"),
        ("mqtt: {url: 'http://127.0.0.1'}", "mqtt://host:port"),
    ],
)
def test_nothing_leaves_loopback_unprotected_by_accident(tmp_path: Path, extra: str, word: str) -> None:
    [problem] = problems(tmp_path, GOOD + extra + "\n")
    assert word in problem


def test_products_file_is_read_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("gtin,name,unit_weight_g\n6901234567892,Cola,352\n")
    text = GOOD.replace(
        'products:\n  - {gtin: "6901234567892", name: 可乐 330 ml, unit_weight_g: 352.0}',
        "products_file: items.csv",
    )
    assert read(tmp_path, text).products[0].unit_weight_g == 352.0


def test_a_mistake_in_the_products_file_is_told_at_its_line(tmp_path: Path) -> None:
    text = "store: {id: s1}\nproducts_file: items.csv\n"
    (tmp_path / "items.csv").write_text("gtin,name\n6901234567892,Cola\n6901234567893,Tea,1\n")
    wrong, many = problems(tmp_path, text)
    assert wrong.startswith(
        "store.yaml:2:16 products_file: items.csv:3 gtin: GTIN 6901234567893 has a wrong check digit"
    )
    assert "items.csv:3 (too many)" in many
    (tmp_path / "items.csv").write_bytes(b"\xff\xfe")
    assert "is not UTF-8 CSV" in problems(tmp_path, text)[0]


@pytest.mark.parametrize("secret", [b"", b"\xff\xfe", b"two\nlines"])
def test_what_is_no_secret_is_told_with_a_hint(tmp_path: Path, secret: bytes) -> None:
    (tmp_path / "token").write_bytes(secret)
    with pytest.raises(ConfigError) as told:
        read_secret(tmp_path / "token")
    assert told.value.hint


@given(st.text(max_size=200))
def test_no_text_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(ConfigError):
        load(file, StoreSettings, env_prefix="EDGE_AGENT", environ={})


@pytest.mark.parametrize(
    ("wiring", "word"),
    [
        ("facings: [A1-01, A1-01]", "facings.1: facing 'A1-01' is already on this plate of 'scale-1'"),
        (
            'profile: load-cell-16, channels: {"1": [A1-01], "2": [A1-01, A1-01]}',
            "channels.2.1: facing 'A1-01' is already on this plate of 'scale-1'",
        ),
        ('channels: {"²": [A1-01]}', "must be a number in quotes"),
    ],
)
def test_a_plate_names_a_facing_once_and_plates_have_numbers(tmp_path: Path, wiring: str, word: str) -> None:
    modules = GOOD.replace("mt-sics", "modbus-scale")
    [problem] = problems(tmp_path, modules.replace("facings: [A1-01]", wiring))
    assert word in problem


WIDE = GOOD.replace(
    "reorder_point: 6}",
    'reorder_point: 6, shelf: A1}\n  - {id: A1-02, gtin: "06901234567892", capacity: 24, shelf: A1}',
)


@pytest.mark.parametrize(
    "devices",
    [
        ['modbus-scale, port: /tty/1, profile: load-cell-16, channels: {"1": [A1-01], "2": [A1-01]}'],
        ['modbus-scale, port: /tty/1, profile: load-cell-16, channels: {"1": [A1-01], "2": [A1-01, A1-02]}'],
        [f"mt-sics, port: /tty/{n}, facings: [{on}]" for n, on in enumerate(("A1-01", "A1-02, A1-01"))],
    ],
)
def test_a_wide_facing_lies_on_several_plates_of_its_shelf(tmp_path: Path, devices: list[str]) -> None:
    lines = [f"  - {{id: s{n}, driver: {device}}}\n" for n, device in enumerate(devices)]
    assert len(read(tmp_path, WIDE[: WIDE.index("  - {id: scale-1")] + "".join(lines)).devices) == len(lines)


@pytest.mark.parametrize("shelf", ["shelf: A2", "reorder_point: 0"])
def test_plates_that_a_facing_joins_stand_on_one_shelf(tmp_path: Path, shelf: str) -> None:
    """Without a shelf a facing has one to itself."""
    apart = WIDE.replace("capacity: 24, shelf: A1}", f"capacity: 24, {shelf}}}")
    second = "  - {id: scale-2, driver: mt-sics, port: /dev/ttyUSB1, facings: [A1-02, A1-01]}\n"
    [problem] = problems(tmp_path, apart + second)
    assert problem == (
        "store.yaml:10:65 devices.1.facings: facing 'A1-01' lies on several plates, on this one with 'A1-02' of "
        "another shelf; give both the same shelf"
    )


def test_lines_of_one_camera_have_names_of_their_own(tmp_path: Path) -> None:
    line = "{id: door, from: [0, 0], to: [9, 9]}"
    camera = f"  - {{id: cam, driver: camera, source: usb:0, footfall: {{lines: [{line}, {line}]}}}}\n"
    [problem] = problems(tmp_path, GOOD + camera)
    assert "line id 'door' is used twice" in problem
