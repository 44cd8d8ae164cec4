"""The agent's commands as a person types them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_agent.cli import main
from tests.typed import typed

ENVIRONMENT = {**os.environ, "NO_COLOR": "1"}


def agent(*words: str, status: int = 0) -> tuple[str, str]:
    done = typed(main, *words)
    assert done.status == status, done
    return done.out, done.err


def piped(stdin: bytes, *words: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "edge_agent", *words],
        input=stdin,
        capture_output=True,
        timeout=60,
        env=ENVIRONMENT,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 0, (done.returncode, out, err)
    assert "Traceback" not in err
    return out, err


def test_check_of_the_commented_example_passes() -> None:
    example = Path(__file__).parents[2] / "configs/store.example.yaml"
    assert "ok, 3 devices, 5 facings" in agent("check", "-c", str(example))[0]


def test_check_of_the_example_passes_with_every_device_uncommented(tmp_path: Path) -> None:
    example = (Path(__file__).parents[2] / "configs/store.example.yaml").read_text(encoding="utf-8")
    head, devices = example.split("\ndevices:\n")
    commented = r"(?m)^  # (?=- |  [a-z_]+: )"
    file = tmp_path / "store.yaml"
    file.write_text(head + "\ndevices:\n" + re.sub(commented, "  ", devices), encoding="utf-8")
    assert f"ok, {3 + len(re.findall(r'(?m)^  # - ', devices))} devices" in agent("check", "-c", str(file))[0]


def test_check_names_file_line_and_column_and_exits_2(tmp_path: Path) -> None:
    file = tmp_path / "store.yaml"
    file.write_text("store: {id: s1}\ndevices:\n  - {id: a, driver: mt-sics, prot: /dev/x}\n")
    _, err = agent("check", "-c", str(file), status=2)
    assert f"{file}:3:30 devices.0.prot: is not a setting here; did you mean 'port'?" in err
    assert f"{file}:3:5 devices.0.port: is required and missing" in err


def test_a_missing_file_is_a_line_with_a_hint() -> None:
    _, err = agent("check", "-c", "nowhere.yaml", status=2)
    assert "nowhere.yaml: cannot be read" in err
    assert "Try:" in err


def test_status_without_an_agent_exits_3(tmp_path: Path) -> None:
    file = tmp_path / "store.yaml"
    file.write_text("store: {id: s1}\nagent: {http: {port: 1}}\n")
    assert "Try:" in agent("status", "-c", str(file), status=3)[1]


def test_decode_prints_readings_and_complains_on_stderr_about_the_rest() -> None:
    out, err = piped(b"S S     100.00 g\r\ngarbage\r\nS D     0.4 kg\r\n", "decode", "mt-sics")
    first, second = (json.loads(line) for line in out.splitlines())
    assert (first["kind"], first["weight_g"], first["stable"], first["device"]) == (
        "weight",
        100.0,
        True,
        None,
    )
    assert (second["weight_g"], second["stable"]) == (400.0, False)
    assert len(err.splitlines()) == 1


def test_decode_reads_mqtt_payloads_a_line_each() -> None:
    event = {
        "eventType": "tagInventory",
        "tagInventoryEvent": {"epc": "ikUCJA==", "antennaPort": 3, "peakRssiCdbm": -7400},
    }
    out, err = piped(json.dumps(event).encode() + b"\nnot json\n", "decode", "impinj-r700")
    tag = json.loads(out)
    assert (tag["epc"], tag["antenna"], tag["rssi_dbm"], tag["gtin"]) == ("8a450224", 3, -74.0, None)
    assert err


def test_an_unknown_driver_exits_2() -> None:
    assert "mt-sics" in agent("decode", "mt-sick", status=2)[1]


def test_a_taken_port_and_a_second_agent_are_clear_lines(world: Any, scales: Any, wait_for: Any) -> None:
    world.write_store(scales.devices())
    world.start_agent()
    _, err = agent("run", "-c", str(world.store_yaml), status=2)
    assert "in use by another process" in err
    other = world.folder / "other.yaml"
    other.write_text(world.store_yaml.read_text().replace("./edge", "./edge2"))
    _, err = agent("run", "-c", str(other), status=2)
    assert "cannot listen on" in err


def test_status_shows_the_store(world: Any, scales: Any, wait_for: Any) -> None:
    world.write_store(scales.devices())
    world.start_hq()
    world.start_agent()
    wait_for(lambda: world.on_hand("A1-00") == 10, what="first count")
    answer = json.loads(agent("status", "-c", str(world.store_yaml), "--json")[0])
    assert answer["sync"]["online"] is True
    assert {d["status"] for d in answer["devices"]} == {"online"}
    text = agent("status", "-c", str(world.store_yaml))[0]
    assert "SYNCED" in text
    assert "A1-00" in text


def test_doctor_finds_what_is_sound_and_what_is_not(world: Any, scales: Any) -> None:
    world.write_store(scales.devices() + "  - {id: ghost, driver: mt-sics, port: /dev/no-such-scale}\n")
    world.start_hq()
    found = json.loads(agent("doctor", "-c", str(world.store_yaml), "--json", status=1)[0])
    levels = {f["what"]: f["level"] for f in found}
    assert levels["scale-00"] == levels["HQ"] == levels["clock"] == levels["disk"] == "ok"
    assert levels["ghost"] == "FAIL"
    assert next(f["hint"] for f in found if f["what"] == "ghost")
    (world.folder / "store.token").write_text("wrong")
    found = json.loads(agent("doctor", "-c", str(world.store_yaml), "--json", status=1)[0])
    [hq] = [f for f in found if f["what"] == "HQ"]
    assert hq["level"] == "FAIL"
    assert "cloud-bridge store add" in hq["hint"]


@pytest.mark.parametrize("command", ["run", "check", "doctor", "status", "decode", "schema"])
def test_every_command_helps_with_an_example(command: str) -> None:
    text = agent(command, "--help")[0]
    assert "Example:" in text
    assert "edge-agent" in text


def test_a_bare_install_names_the_extra_that_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "store.yaml"
    file.write_text("store: {id: s1}\n")
    code = "import sys; sys.modules['paho'] = None; from edge_agent.cli import main; main()"
    words = [sys.executable, "-c", code, "run", "-c", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, env=ENVIRONMENT)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "pip install 'shelf-edge[edge]'" in done.stderr


def test_a_reader_that_has_enough_of_any_command_ends_it_well() -> None:
    words = f"yes 'S S     100.00 g' | {sys.executable} -m edge_agent decode mt-sics; echo status $? >&2"
    done = subprocess.run(["bash", "-c", f"({words}) | head -1"], capture_output=True, text=True, timeout=30)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == "status 0\n"
