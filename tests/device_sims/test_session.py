"""`device-sims run` as a program uses it: devices that answer, a store.yaml that works, a clean end."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import serial

from device_sims import control
from device_sims.cli import main as sims
from device_sims.scenario import load_scenario
from device_sims.truth import read_truth
from edge_agent.cli import main as agent
from edge_agent.contract.errors import ConfigError
from tests.typed import typed

WORDS = ["run", "demo", "--json", "--seed", "7"]
COMMAND = [sys.executable, "-m", "device_sims", *WORDS]


@contextmanager
def running(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    process = subprocess.Popen(
        [*COMMAND, "--dir", str(folder), "--truth", str(folder / "truth.jsonl"), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def test_a_held_store_answers_opens_on_command_and_ends_with_its_stdin(tmp_path: Path) -> None:
    with running(tmp_path, "--hold", "--hq", "http://127.0.0.1:9") as (process, ready):
        assert ready["event"] == "ready"
        assert ready["uplink"].startswith("http://127.0.0.1:")
        scenario = load_scenario("demo")
        facing = scenario.facings[0]
        unit_g = scenario.product(facing.gtin).unit_weight_g
        assert unit_g is not None
        with serial.Serial(ready["ports"]["scale-a1-01"], timeout=5) as port:
            port.write(b"S\r\n")
            status, weight, unit = port.readline().decode().split()[1:]
        assert (status, unit) == ("S", "g")
        assert round(float(weight) / unit_g) == facing.on_hand
        assert process.stdin is not None
        assert process.stdout is not None
        assert read_lines(tmp_path / "truth.jsonl") == []
        with pytest.raises(ConfigError, match="the store is closed: nobody moves anything"):
            asyncio.run(control.ask(tmp_path, {"do": "move", "facing": facing.id, "change": -1}))
        mute = {"do": "fault", "fault": "mute", "device": ["scale-a1-01"]}
        assert asyncio.run(control.ask(tmp_path, mute)) == {"number": 1}
        assert json.loads(process.stdout.readline())["event"] == "fault"
        process.stdin.write("open\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["event"] == "opened"
        assert read_truth(tmp_path / "truth.jsonl").opened.seed == 7
        process.stdin.close()
        process.send_signal(signal.SIGTERM)
        assert json.loads(process.stdout.readline()) == {"event": "stopped"}
        assert process.wait(timeout=15) == 0
    assert not any(path.is_symlink() for path in (tmp_path / "tty").iterdir())


def read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_a_held_store_that_is_never_opened_ends_quietly(tmp_path: Path) -> None:
    with running(tmp_path, "--hold") as (process, ready):
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        assert ready["uplink"] is None
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=15) == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_its_store_file_passes_the_agents_own_check(tmp_path: Path) -> None:
    with running(tmp_path, "--hold") as (_, ready):
        done = typed(agent, "check", "-c", ready["store_file"], "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["devices"] == 14


@pytest.mark.parametrize("address", ["127.0.0.1:8780", "https://hq.example", "http://127.0.0.1"])
def test_an_hq_address_that_cannot_be_cut_is_refused(tmp_path: Path, address: str) -> None:
    done = typed(sims, *WORDS, "--dir", str(tmp_path), "--hq", address)
    assert done.status == 2, done.err
    assert "must be http://host:port" in done.err
