"""`device-sims serve`, `fault`, `move`, `status` and `list` as a test engineer uses them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import serial
import yaml

from device_sims.broker import Broker, User, available_brokers
from device_sims.cli import main
from device_sims.equipment import HomieShelf, MqttPlate
from device_sims.fault import FAULTS
from device_sims.scenario import Scenario, built_in_scenarios, load_scenario
from device_sims.serve import KINDS, bench
from device_sims.store_file import AgentFiles, Places, store_yaml
from edge_agent.cli import main as agent
from edge_agent.config.store import ENV_PREFIX, StoreSettings
from edge_agent.contract.errors import ConfigError
from edge_agent.service.settings import load
from tests.typed import typed

DOCS = (Path(__file__).parents[2] / "docs/simulators.md").read_text(encoding="utf-8")


def sims(*words: str, status: int = 0) -> str:
    done = typed(main, *words)
    assert done.status == status, done.out + done.err
    return done.out if status == 0 else done.err


@contextmanager
def served(folder: Path, *words: str) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "device_sims", "serve", *words, "--json", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.communicate(timeout=20)
    assert process.returncode == 0


def weight_g(port: serial.Serial) -> float:
    port.write(b"S\r\n")
    return float(port.readline().split()[2])


def test_a_scale_alone_weighs_what_is_moved_and_breaks_and_heals(tmp_path: Path) -> None:
    here = ("--dir", str(tmp_path))
    with served(tmp_path, "mt-sics", "--items", "4", "--unit-weight-g", "100") as ready:
        (entry,) = ready["devices"]
        assert (entry["driver"], entry["facings"]) == ("mt-sics", ["A1-01"])
        with serial.Serial(entry["port"], timeout=8) as port:
            assert weight_g(port) == pytest.approx(400, abs=20)
            sims("move", "A1-01", "-3", *here)
            deadline = time.monotonic() + 15
            while abs(weight_g(port) - 100) > 10:
                assert time.monotonic() < deadline
            assert json.loads(sims("status", "--json", *here))["on_hand"] == {"A1-01": 1}
            sims("fault", "over", "mt-sics-1", *here)
            port.write(b"SI\r\n")
            assert port.readline() == b"S +\r\n"
            assert "over mt-sics-1" in sims("status", *here)
            assert sims("fault", "heal", *here) == "1 ended\n"
            assert weight_g(port) == pytest.approx(100, abs=10)
        for words, wanted in (
            (("fault", "wrong-checksum", "mt-sics-1"), "cannot befall"),
            (("fault", "unplg", "mt-sics-1"), "did you mean 'unplug'?"),
            (("fault", "heal", "--number", "99"), "no fault with number 99"),
            (("fault", "slow-drip", "mt-sics-1", "--by", "-1"), "no seconds between bytes of slow-drip"),
            (("fault", "mute", "scale-9"), "no device of this store; known: mt-sics-1"),
            (("fault", "mute"), "needs a device"),
            (("fault", "uplink-cut"), "no line to HQ"),
            (("move", "A1-01", "-9"), "1 items lie on A1-01"),
            (("move", "B1", "1"), "known: A1-01"),
        ):
            told = sims(*words, *here, status=2)
            assert wanted in told
            assert "Traceback" not in told
    assert "no simulated store runs" in sims("status", *here, status=3)


def test_a_device_alone_on_a_port_of_ones_choice(tmp_path: Path, unused_tcp_port: int) -> None:
    with served(tmp_path, "toledo-8217", "--link", "tcp", "--port", str(unused_tcp_port)) as ready:
        assert ready["devices"][0]["port"] == f"socket://127.0.0.1:{unused_tcp_port}"
        with serial.serial_for_url(f"socket://127.0.0.1:{unused_tcp_port}", timeout=8) as port:
            port.write(b"W")
            assert bytes(byte & 0x7F for byte in port.read(2))[:1] == b"\x02"


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"shelf-camera"}))
def test_every_kind_can_be_served_and_the_agent_takes_its_line(kind: str, tmp_path: Path) -> None:
    scenario = bench(kind)
    (device,) = scenario.equipment
    broker = Broker("mosquitto", 1884, 1884, User("agent", "a"), User("reader", "r"), tmp_path / "pw")
    source, line = ("http://127.0.0.1:9/door.mjpeg", ((100.0, 300.0), (500.0, 300.0)))
    port = "127.0.0.1:5084" if kind == "llrp" else "/tty/one"
    places = Places({device.id: port}, {}, broker, source, line)
    path = tmp_path / "store.yaml"
    path.write_text(store_yaml(scenario, places, AgentFiles(tmp_path / "var")), "utf-8")
    settings = load(path, StoreSettings, env_prefix=ENV_PREFIX, environ={})
    assert [one.id for one in settings.devices] == [device.id]


def test_a_shelf_camera_shows_the_shelf_as_it_is_filled(tmp_path: Path) -> None:
    with served(tmp_path, "shelf-camera", "--facings", "3", "--items", "6") as ready:
        url = ready["ports"]["shelf-camera-1"]
        first = picture(url)
        for change in ("-2", "-4"):
            sims("move", "A1-02", change, "--dir", str(tmp_path))
        deadline = time.monotonic() + 15
        while (np.abs(first.astype(int) - picture(url)).max(axis=2) > 25).mean() < 0.025:
            assert time.monotonic() < deadline
    [entry] = ready["devices"]
    assert entry["source"] == url
    assert {name: len(corners) for name, corners in entry["shelf_gap"]["facings"].items()} == {
        "A1-01": 4,
        "A1-02": 4,
        "A1-03": 4,
    }


def picture(url: str) -> Any:
    """The next frame of a stream."""
    stream = cv2.VideoCapture(url)
    found, frame = stream.read()
    stream.release()
    assert found
    return frame


def test_what_cannot_be_served_is_said_in_words() -> None:
    with pytest.raises(ConfigError, match="no device of kind 'toaster'") as caught:
        bench("toaster")
    assert "mt-sics" in caught.value.hint
    with pytest.raises(ConfigError, match="maker"):
        bench("ascii-scale", options={"maker": "nobody"})
    with pytest.raises(ConfigError, match="link"):
        bench("impinj-r700", link="tcp")
    with pytest.raises(ConfigError, match="such a device can 4"):
        bench("r2000", facings=5)


def test_the_list_and_the_page_name_every_kind_fault_and_scenario() -> None:
    told = json.loads(sims("list", "--json"))
    assert told["devices"].keys() == KINDS.keys()
    assert told["faults"].keys() == FAULTS.keys()
    assert told["scenarios"] == built_in_scenarios()
    for name in [*FAULTS, *built_in_scenarios()]:
        assert f"`{name}`" in DOCS, name
    plain = sims("list")
    assert all(name in plain for name in [*KINDS, *FAULTS, *built_in_scenarios()])


@pytest.mark.parametrize("name", built_in_scenarios())
def test_every_built_in_scenario_is_sound(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.equipment
    assert {facing for plate in scenario.plates() for facing in plate} == {f.id for f in scenario.facings}


def test_the_scenario_of_the_page_is_one(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    scenario = Scenario.model_validate(yaml.safe_load(text))
    assert [device.id for device in scenario.equipment] == [
        "scale-f1-01", "scale-f1-02", "scale-f1-03", "rfid-1", "probe-cold-1",
    ]  # fmt: skip
    assert scenario.fridge_of("F1-02") == "cold-1"


def test_one_line_stands_for_many_devices_and_shelves_for_many_facings(tmp_path: Path) -> None:
    product = {"gtin": "06901234567892", "name": "a", "unit_weight_g": 100}
    scenario = Scenario.model_validate(
        {
            "store": {"id": "s1"},
            "products": [product],
            "shelving": [{"prefix": "P", "shelves": 3, "facings_each": 4}],
            "devices": [
                {"id": "plate-{facing}", "kind": "mqtt-plate", "facings": ["P001-*"]},
                {"id": "shelf-{shelf}", "kind": "homie-shelf", "facings": ["P002-*", "P003-*"]},
            ],
        }
    )
    assert len(scenario.facings) == 12
    kinds = [type(device) for device in scenario.equipment]
    assert kinds == [MqttPlate] * 4 + [HomieShelf] * 2
    assert scenario.equipment[0].id == "plate-p001-01"
    assert scenario.equipment[5].facings == ["P003-01", "P003-02", "P003-03", "P003-04"]


@pytest.mark.parametrize(
    ("devices", "problem"),
    [
        (
            [{"id": "a", "kind": "modbus-scale", "channels": {"1": ["*"]}}],
            "laumas has one plate: use facings",
        ),
        ([{"id": "a", "kind": "homie-shelf", "channels": {"2": ["*"]}}], 'channels 2 must be "1", "2", … in'),
        ([{"id": "a", "kind": "homie-shelf", "channels": {"1": ["B1"]}}], "'B1' is no facing"),
        ([{"id": "a", "kind": "homie-shelf", "channels": {"1": ["*"], "2": []}}], "nothing on channel 2"),
        (
            [{"id": "a", "kind": "homie-shelf", "facings": ["*"], "channels": {"1": ["*"]}}],
            "both facings and channels",
        ),
        ([{"id": "a", "kind": "m100"}, {"id": "a", "kind": "m100"}], "is there twice"),
        ([{"id": "a b", "kind": "mt-sics"}], "is no identifier"),
        (
            [{"id": "a", "kind": "mt-sics", "facings": ["A1-01", "B*"]}],
            "'B\\*' is no facing or fridge; known: A1-01",
        ),
        ([{"id": "probe", "kind": "tasmota-probe", "fridge": "F9"}], "covers nothing"),
        ([{"id": "a", "kind": "door-camera"}, {"id": "b", "kind": "door-camera"}], "one door"),
    ],
)
def test_devices_that_cannot_be_are_told(devices: list[dict[str, Any]], problem: str) -> None:
    file = bench("mt-sics").model_dump(exclude={"devices", "shelving"}, exclude_none=True)
    with pytest.raises(ValueError, match=problem):
        Scenario.model_validate(file | {"devices": devices})


@pytest.mark.skipif(not available_brokers(), reason="no MQTT broker is installed")
def test_a_device_on_mqtt_brings_its_broker(tmp_path: Path) -> None:
    with served(tmp_path, "homie-shelf", "--facings", "2") as ready:
        assert ready["mqtt"].startswith("mqtt://127.0.0.1:")
        done = typed(agent, "check", "-c", ready["store_file"])
        assert done.status == 0, done.err
