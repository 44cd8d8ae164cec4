"""watch, record, replay and devices as a person types them, beside a running agent and without one."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from device_sims.indicator import Indicator
from device_sims.links import PtyLink, plugged_in
from device_sims.mt_sics import MtSicsScale
from device_sims.noise import Noise
from device_sims.plate import Plate
from edge_agent.cli import main
from edge_agent.live.inventory import print_inventory
from tests.typed import typed

RECORDING = Path(__file__).parents[1] / "golden" / "recordings" / "mt-sics.jsonl"
Wait = Callable[..., Any]


@pytest.fixture
def scale(tmp_path: Path) -> Iterator[Path]:
    """A scale of 352 g on a pty, with a loop of its own."""
    plate = Plate(Noise(), "scale")
    plate.lay(352.0)
    dialogue = MtSicsScale(Indicator(plate, max_g=15_000), serial="B021", decimals=1, clock=time.monotonic)
    path, over, ready = tmp_path / "tty", asyncio.Event(), threading.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with plugged_in(PtyLink(dialogue, path)):
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    yield path
    loop.call_soon_threadsafe(over.set)
    thread.join()
    loop.close()


@pytest.fixture
def store(tmp_path: Path, scale: Path) -> Path:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = tmp_path / "store.yaml"
    file.write_text(
        f"store: {{id: s1}}\nagent: {{data_dir: ./var, http: {{port: {port}}}}}\ndevices:\n"
        f"  - {{id: scale-1, driver: mt-sics, port: {scale}}}\n"
        f"  - {{id: scale-2, driver: mt-sics, port: {tmp_path}/nothing}}\n"
        '  - {id: cam, driver: camera, source: "rtsp://u:hidden@127.0.0.1/x"}\n'
    )
    return file


def started(*words: object, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edge_agent", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
    return subprocess.Popen(command, text=True, env={**os.environ, "NO_COLOR": "1"}, **pipes)


def agent(*words: object, status: int = 0) -> tuple[str, str]:
    done = typed(main, *map(str, words))
    assert done.status == status, done
    return done.out, done.err


def watched(store: Path, lines: int) -> tuple[list[Any], str, int]:
    """The first lines of `watch`, then Ctrl-C; its stderr and status."""
    with started("watch", "scale-1", "-c", store) as process:
        assert process.stdout is not None
        found = [json.loads(process.stdout.readline()) for _ in range(lines)]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    return found, err, process.returncode


@pytest.fixture
def running(store: Path, tmp_path: Path, wait_for: Wait) -> Iterator[subprocess.Popen[str]]:
    with (tmp_path / "agent.log").open("w") as log:
        process = started("run", "-c", store, stdout=log, stderr=log)
    wait_for(lambda: "scale-1 is online" in (tmp_path / "agent.log").read_text(), what="the scale is online")
    yield process
    process.terminate()
    assert process.wait(15) == 0


def test_watch_without_an_agent_reads_the_device_and_ctrl_c_ends_it_well(store: Path) -> None:
    found, err, status = watched(store, 3)
    assert {line["kind"] for line in found} == {"weight"}
    assert found[0]["device"] == "scale-1"
    assert err == "scale-1 is online as B021\n"
    assert status == 0


def test_watch_beside_the_agent_asks_it_and_disturbs_nothing(
    store: Path, running: subprocess.Popen[str], tmp_path: Path
) -> None:
    found, err, status = watched(store, 3)
    assert {line["kind"] for line in found} == {"weight"}
    assert (err, status) == ("scale-1 is online as B021\n", 0)
    agent("record", "scale-1", "-c", store, "-o", tmp_path / "a.jsonl", "--seconds", "1")
    states = json.loads(agent("devices", "-c", store, "--json")[0])
    assert states["running"]
    scale, missing, camera = states["devices"]
    assert (scale["status"], scale["identity"]) == ("online", "B021")
    assert missing["status"] == "offline"
    assert camera["place"] == "rtsp://127.0.0.1/x"
    readings = [json.loads(line) for line in agent("replay", tmp_path / "a.jsonl")[0].splitlines()]
    assert len(readings) >= 5
    assert {reading["device"] for reading in readings} == {"scale-1"}


def test_a_reader_of_the_pipe_may_leave(store: Path) -> None:
    words = f"{sys.executable} -m edge_agent watch scale-1 -c {store}; echo status $? >&2"
    done = subprocess.run(["bash", "-c", f"({words}) | head -2"], capture_output=True, text=True, timeout=30)
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == "scale-1 is online as B021\nstatus 0\n"


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (("watch", "nope"), 2, "known: scale-1, scale-2, cam"),
        (("watch", "scale-2"), 3, "absent"),
        (("record", "scale-2", "-o", "{}/new.jsonl"), 3, "absent"),
        (("record", "cam", "-o", "{}/cam.jsonl"), 2, "footfall"),
        (("record", "scale-1", "-o", "{}/no/such/folder"), 2, "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_a_line_with_a_hint(
    store: Path, tmp_path: Path, words: tuple[str, ...], status: int, text: str
) -> None:
    _, err = agent(*(word.format(tmp_path) for word in words), "-c", store, status=status)
    assert text in err
    assert "hidden" not in err
    assert not list(tmp_path.glob("*.jsonl"))


def test_a_killed_recorder_leaves_a_recording(store: Path, tmp_path: Path, wait_for: Wait) -> None:
    file = tmp_path / "a.jsonl"
    with started("record", "scale-1", "-o", file, "-c", store) as process:
        wait_for(lambda: file.exists() and file.read_bytes().count(b"\n") > 10, what="ten pieces")
        process.kill()
    out, _ = agent("replay", file)
    assert len(out.splitlines()) >= 4
    assert "is there already" in agent("record", "scale-1", "-o", file, "-c", store, status=2)[1]


def test_a_damaged_recording_ends_with_1_and_what_is_none_with_2(tmp_path: Path) -> None:
    lines = RECORDING.read_text().splitlines(keepends=True)
    damaged, torn, foreign = (tmp_path / name for name in ("damaged", "torn", "foreign"))
    damaged.write_text("".join([*lines[:5], "?\n", *lines[5:]]))
    torn.write_text("".join(lines)[:-5])
    foreign.write_text("S S 1 g\n")
    whole = len(agent("replay", RECORDING)[0].splitlines())
    out, err = agent("replay", damaged, status=1)
    assert len(out.splitlines()) == whole
    assert "line 6 is damaged" in err
    out, err = agent("replay", torn)
    assert len(out.splitlines()) == whole - 1
    assert "is torn" in err
    assert "not a recording" in agent("replay", foreign, status=2)[1]
    assert "cannot be read" in agent("replay", tmp_path / "nothing", status=2)[1]


def test_a_recorded_device_plays_on_a_pty_for_a_real_agent(tmp_path: Path) -> None:
    expected = [json.loads(line) for line in agent("replay", RECORDING)[0].splitlines()]
    with started("replay", RECORDING, "--pty") as stage:
        assert stage.stdout is not None
        port = stage.stdout.readline().strip()
        store = tmp_path / "played.yaml"
        store.write_text(
            f"store: {{id: s1}}\nagent: {{http: {{port: 0}}}}\n"
            f"devices: [{{id: scale-1, driver: mt-sics, port: {port}}}]\n"
        )
        found, err, _ = watched(store, 5)
        stage.terminate()
    assert [line["weight_g"] for line in found] == [line["weight_g"] for line in expected[:5]]
    assert "B021002593" in err


def test_devices_without_an_agent_says_that_states_are_not_known(store: Path) -> None:
    out, _ = agent("devices", "-c", store)
    assert "scale-1" in out
    assert "hidden" not in out
    assert "no agent is running" in out


def test_a_scan_needs_no_configuration_and_prints_a_line_to_paste(scale: Path) -> None:
    found = json.loads(agent("devices", "--scan", "--json", "--port", scale)[0])
    (port,) = (port for port in found["ports"] if port["port"] == str(scale))
    assert (port["driver"], port["identity"]) == ("mt-sics", "B021")
    shown = StringIO()
    print_inventory(found, Console(file=shown, soft_wrap=True, highlight=False))
    assert "  answers to mt-sics as B021\n" in shown.getvalue()
    assert f"\ndevices:\n  {port['line']}\n" in shown.getvalue()


def test_watch_ends_although_nobody_reads_what_it_printed(store: Path, wait_for: Wait) -> None:
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
    os.write(theirs, bytes(4000))
    with started("watch", "scale-1", "-c", store, stdout=theirs) as process:
        assert process.stderr is not None
        assert "is online" in process.stderr.readline()
        tasks = Path(f"/proc/{process.pid}/task")
        wait_for(lambda: len(list(tasks.iterdir())) > 1, what="a thread hangs at the full pipe")
        process.terminate()
        assert process.wait(10) == 0
    os.close(ours)
    os.close(theirs)


def test_a_recording_of_nothing_replaces_nothing(store: Path, tmp_path: Path) -> None:
    older = tmp_path / "older.jsonl"
    older.write_text("precious")
    agent("record", "scale-2", "-o", older, "--force", "-c", store, status=3)
    assert older.read_text() == "precious"
    out, err = agent("record", "scale-1", "-o", tmp_path / "new", "--seconds", "0", "-c", store, status=1)
    assert (out, err) == ("", "scale-1 said nothing: there is no recording\n")
    assert not (tmp_path / "new").exists()


def test_a_full_disk_ends_a_recording_with_what_it_had_room_for(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "full.jsonl"
    room = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))  # noqa: E731
    with started("record", "scale-1", "-o", file, "-c", store, preexec_fn=room) as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "cannot be written" in err
    assert file.stat().st_size == 700
    _, complaints = agent("replay", file)
    assert "is torn" in complaints


def test_something_else_at_the_agents_address_is_told(store: Path) -> None:
    port = int(store.read_text().partition("port: ")[2].partition("}")[0])
    body = b'{"devices": []}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n" + body
    with socket.create_server(("127.0.0.1", port)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        assert "is no agent of this version" in agent("status", "-c", store, status=3)[1]
