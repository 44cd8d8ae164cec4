"""The patch of drawings over `store.yaml`: which counts, and where its mistakes are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_agent.cli import app
from edge_agent.config.store import StoreSettings
from edge_agent.contract.errors import ConfigError
from edge_agent.service.settings import load

STORE = """\
store: {id: s1}
agent: {data_dir: ./var}
products: [{gtin: "06901234567892"}]
facings: [{id: A1-01, gtin: "06901234567892", capacity: 9}]
devices:
  - {id: cam-door, driver: camera, source: clip.mp4, footfall: {lines: [{id: door, from: [0, 5], to: [9, 5]}], detections_per_s: 8}}
  - {id: cam-a, driver: camera, source: clip.mp4}
"""
RUNNER = CliRunner()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "var").mkdir()
    (tmp_path / "store.yaml").write_text(STORE)
    return tmp_path / "store.yaml"


def draw(config: Path, text: str) -> Path:
    path = config.parent / "var/cameras.patch.yaml"
    path.write_text(text)
    return path


def used(config: Path) -> StoreSettings:
    from edge_agent.config.drawn import with_drawn

    return with_drawn(load(config, StoreSettings, env_prefix="EDGE_AGENT", environ={}))


def test_what_the_patch_says_counts_and_the_rest_is_as_in_the_file(config: Path) -> None:
    draw(config, "devices: [{id: cam-door, footfall: {lines: [{id: new, from: [1, 1], to: [2, 2]}]}}]")
    door, other = used(config).devices
    assert [line.id for line in door.footfall.lines] == ["new"]
    assert door.footfall.detections_per_s == 8
    assert door.source == str(config.parent / "clip.mp4")
    assert other == load(config, StoreSettings, env_prefix="X", environ={}).devices[1]


def test_check_says_what_comes_from_the_patch_and_what_of_it_is_not_used(config: Path) -> None:
    path = draw(config, "devices: [{id: cam-a, masks: [[[0, 0], [1, 0], [1, 1]]]}, {id: gone, masks: []}]")
    told = RUNNER.invoke(app, ["check", "-c", str(config)])
    assert told.exit_code == 0
    assert f"note: cam-a: masks come from {path}, drawn at the camera page" in told.stdout
    assert f"note: {path}: no camera 'gone' is configured, its drawing is not used" in told.stdout
    notes = json.loads(RUNNER.invoke(app, ["check", "-c", str(config), "--json"]).stdout)["notes"]
    assert len(notes) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("devices:\n- id: cam-door\n  lines: []", ":3:3 devices.0.lines: is not a setting here"),
        (
            "devices:\n- id: cam-a\n  shelf_gap: {facings: {B1: [[0, 0], [1, 0], [1, 1]]}}",
            ":3:29 devices.0.shelf_gap.facings.B1: facing 'B1' is not in facings",
        ),
        (
            "devices: [{id: a, masks: []}, {id: a, masks: []}]",
            ":1:36 devices.1.id: 'a' is used twice; ids are unique",
        ),
        (
            "devices: [{id: a, footfall: {lines: [{id: l, from: [0, 0], to: [1, 1]}, {id: l, from: [0, 0], to: [1, 1]}]}}]",
            ":1:29 devices.0.footfall: line id 'l' is used twice",
        ),
    ],
)
def test_a_mistake_in_the_patch_is_told_at_its_own_line(config: Path, text: str, problem: str) -> None:
    path = draw(config, text)
    with pytest.raises(ConfigError) as error:
        used(config)
    assert error.value.problems[0].startswith(f"{path}{problem}")


FLOOR = "zones: [{id: till, polygon: [[0, 0], [9, 0], [9, 9]]}], heat_map: {}"


def test_zones_and_heat_map_of_the_file_stay_when_all_lines_are_drawn_away(config: Path) -> None:
    config.write_text(STORE.replace("detections_per_s: 8", FLOOR))
    draw(config, "devices: [{id: cam-door, footfall: {lines: []}}]")
    footfall = used(config).devices[0].footfall
    assert (footfall.lines, [zone.id for zone in footfall.zones]) == ([], ["till"])
    assert footfall.heat_map is not None


def test_a_drawn_line_with_the_id_of_a_zone_is_told(config: Path) -> None:
    config.write_text(STORE.replace("detections_per_s: 8", FLOOR))
    path = draw(
        config, "devices: [{id: cam-door, footfall: {lines: [{id: till, from: [0, 0], to: [1, 1]}]}}]"
    )
    with pytest.raises(ConfigError, match="zone id 'till' is used twice") as error:
        used(config)
    assert error.value.message.startswith(f"{path}: ")


def test_the_environment_of_the_agent_does_not_change_the_patch(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_AGENT__DEVICES", "[]")
    monkeypatch.setenv("__DEVICES", "[]")
    draw(config, "devices: [{id: cam-a, masks: [[[0, 0], [1, 0], [1, 1]]]}]")
    assert used(config).devices[1].masks == [[[0, 0], [1, 0], [1, 1]]]


@pytest.mark.parametrize(
    ("page", "what"),
    [
        ("{enabled: true, host: 0.0.0.0}", "is beyond loopback and shows people"),
        ("{host: 192.168.1.5, token_file: t}", "is beyond loopback and shows people"),
        ("{host: 192.168.1.5, cert_file: c, key_file: k}", "is beyond loopback and shows people"),
        ("{cert_file: c}", "cert_file and key_file go together"),
        ("{host: 192.168.1.5, allow_insecure: true}", "allow_insecure: is not a setting here"),
    ],
)
def test_beyond_loopback_there_is_no_way_around_tls_and_a_token(config: Path, page: str, what: str) -> None:
    config.write_text(STORE.replace("data_dir: ./var", f"data_dir: ./var, camera_page: {page}"))
    with pytest.raises(ConfigError) as error:
        load(config, StoreSettings, env_prefix="X", environ={})
    assert any(problem.startswith(f"{config}:2:") and what in problem for problem in error.value.problems)
