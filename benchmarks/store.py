"""A broker, an agent and HQ as real processes on loopback, for measurements."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STORE = "bench"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Any, *, seconds: float, what: str) -> Any:
    """Poll until `condition()` is true; RuntimeError says what did not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise RuntimeError(f"{what} did not happen within {seconds:.0f} s")


@dataclass
class Processes:
    """What was started here, ended here by its own id. Each has a pipe as its input, written to or not."""

    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, *command: str, core: int | None = None) -> subprocess.Popen[bytes]:
        """Start a process, on one core when `core` is given; its output goes to NAME.log."""
        pin = ["taskset", "-c", str(core)] if core is not None and (os.cpu_count() or 1) > 1 else []
        log = (self.folder / f"{name}.log").open("ab")
        process = subprocess.Popen([*pin, *command], stdin=subprocess.PIPE, stdout=log, stderr=log)
        log.close()
        self.started.append(process)
        return process

    def end(self) -> None:
        for process in reversed(self.started):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self.started):
            process.wait(15)


@dataclass
class Hq:
    """A bridge that runs."""

    config: Path
    url: str
    token: str
    store_token: Path

    def get(self, path: str) -> Any:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def audit(self) -> dict[str, Any]:
        """`cloud-bridge audit`, which recomputes HQ's state from its ledger; fails when they differ."""
        return bridge_command(self.config, "audit", STORE)


def bridge_command(config: Path, *words: str) -> Any:
    command = [sys.executable, "-m", "cloud_bridge", *words, "-c", str(config), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr or done.stdout}")
    return json.loads(done.stdout)


def start_hq(processes: Processes, *, core: int | None = None) -> Hq:
    port = free_port()
    config = processes.folder / "bridge.yaml"
    config.write_text(f"http: {{host: 127.0.0.1, port: {port}}}\ndata_dir: ./hq\n")
    store_token = processes.folder / "store.token"
    store_token.write_text(bridge_command(config, "store", "add", STORE)["token"])
    token = bridge_command(config, "token", "add", "bench", "--role", "viewer")["token"]
    processes.start("hq", sys.executable, "-m", "cloud_bridge", "run", "-c", str(config), core=core)
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: answers(f"{url}/readyz"), seconds=20, what="HQ ready")
    return Hq(config, url, token, store_token)


def start_broker(processes: Processes, *, core: int | None = None) -> int:
    """Mosquitto with persistence off and no queue limit, so that a backlog can wait for the agent."""
    if shutil.which("mosquitto") is None:
        raise SystemExit("this benchmark needs mosquitto (apt-get install mosquitto)")
    port = free_port()
    config = processes.folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n"
    )
    processes.start("mosquitto", "mosquitto", "-c", str(config), core=core)
    wait_for(lambda: connects(port), seconds=10, what="broker ready")
    return port


def start_agent(
    processes: Processes, hq: Hq | None, *, extra: str, core: int | None = None
) -> tuple[subprocess.Popen[bytes], str]:
    """An agent whose store.yaml is `extra` plus store, agent and uplink; returns it and its address."""
    port = free_port()
    uplink = f"uplink: {{url: '{hq.url}', token_file: ./store.token}}\n" if hq else ""
    config = processes.folder / "store.yaml"
    config.write_text(
        f"store: {{id: {STORE}}}\nagent: {{data_dir: ./edge, http: {{port: {port}}}}}\n{uplink}{extra}"
    )
    agent = processes.start("agent", sys.executable, "-m", "edge_agent", "run", "-c", str(config), core=core)
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: answers(f"{url}/healthz"), seconds=20, what="agent ready")
    journal = json.loads(page(f"{url}/v1/status"))["journal"]
    assert (journal["mode"], journal["synchronous"]) == ("wal", "full")
    return agent, url


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def metric(text: str, name: str) -> float:
    """One sample of a Prometheus text page."""
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@contextmanager
def processes(folder: Path) -> Iterator[Processes]:
    started = Processes(folder)
    try:
        yield started
    finally:
        started.end()
