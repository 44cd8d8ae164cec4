"""The demo as a newcomer runs it: real processes on loopback, a cut line, a verdict that can be either."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
import yaml

from device_sims.cli import main
from device_sims.scenario import BUILT_IN
from tests.typed import typed

COMMAND = [sys.executable, "-m", "device_sims"]
pytestmark = pytest.mark.timeout(150)


def demo(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    ports = ["--hq-port", "0", "--edge-port", "0"]
    return subprocess.run(
        [*COMMAND, "demo", *ports, *words],
        capture_output=True,
        text=True,
        env=os.environ | environ,
        timeout=140,
    )


def test_a_short_demo_passes_and_says_why() -> None:
    done = demo("--seconds", "45", "--seed", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("PASS")
    for line in ("on-hand", "picks", "returns", "footfall in/out", "nothing lost or doubled"):
        assert re.search(rf"^{line} .* pass$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^present after a cut +15 s .* pass$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^log in once with  http://127\.0\.0\.1:\d+/\S+$", done.stdout, re.MULTILINE)
    assert "line to HQ cut in silence" in done.stdout
    assert "HQ OFFLINE" in done.stdout
    assert "HQ BACK" in done.stdout


def test_a_scale_that_is_unplugged_for_good_fails_on_any_broker(tmp_path: Path) -> None:
    scenario = yaml.safe_load((BUILT_IN / "demo.yaml").read_text(encoding="utf-8"))
    scenario["faults"].append({"fault": "unplug", "device": "scale-a1-05", "at_share": 0.5})
    path = tmp_path / "unplugged.yaml"
    path.write_text(yaml.safe_dump(scenario, allow_unicode=True), encoding="utf-8")
    broker = {"DEVICE_SIMS__BROKER": "iotcore"} if find_spec("iotcore") else {}
    done = demo("--scenario", str(path), "--seconds", "40", "--seed", "5", **broker)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("FAIL")
    assert re.search(r"^on-hand .* fail$", done.stdout, re.MULTILINE), done.stdout
    assert "A1-05" in done.stdout
    assert "scale-a1-05: unplug began" in done.stdout


@contextmanager
def running_demo(folder: Path) -> Iterator[subprocess.Popen[str]]:
    words = ["demo", "--hq-port", "0", "--edge-port", "0", "--keep", str(folder), "--seed", "1"]
    process = subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str], words: str) -> str:
    heard = ""
    assert process.stdout is not None
    for line in process.stdout:
        heard += line
        if words in line:
            return heard
    raise AssertionError(f"the demo ended without saying {words!r}:\n{heard}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_a_demo_that_is_stopped_leaves_no_process_behind(number: signal.Signals, tmp_path: Path) -> None:
    with running_demo(tmp_path / "kept") as process:
        said(process, "doors open")
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 4, [child.name() for child in children]
        asked_s = time.monotonic()
        process.send_signal(number)
        if number == signal.SIGINT:
            said(process, "stopped before the end: no score")
            assert process.wait(timeout=30) == 1
            assert time.monotonic() - asked_s < 25
        _, alive = psutil.wait_procs(children, timeout=20)
        assert [child.cmdline() for child in alive] == []


def test_an_occupied_keep_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    done = demo("--keep", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith("Error:")
    assert "not empty" in done.stderr


def test_wrong_use_of_the_commands_is_said_without_a_traceback(tmp_path: Path) -> None:
    for words in (["run", "nowhere.yaml"], ["demo", "--video", "x.mp4"], ["demo", "--line", "1,2,3,4"]):
        done = typed(main, *words)
        assert done.status == 2, done.err
        assert done.err.startswith("Error:")
    (tmp_path / "token").write_text("t")
    (tmp_path / "truth").write_text('{"truth": "closed", "occurred_at": "2026-11-22T10:00:00.000Z"}\n')
    words = ["score", "--hq", "http://127.0.0.1:9", "--token-file", str(tmp_path / "token"), "--truth"]
    done = typed(main, *words, str(tmp_path / "truth"))
    assert done.status == 2
    assert "does not begin" in done.err
