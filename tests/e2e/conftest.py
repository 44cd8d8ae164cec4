"""Real processes on loopback: HQ, an agent, a broker, scales over TCP; each ended by its own id."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cloud_bridge.cli import main as commands
from device_sims.proxy_thread import ProxyThread
from tests.typed import typed

T = TypeVar("T")
STORE = "store-0042"
GTIN = "06901234567892"
UNIT_G = 352.0


def poll(condition: Callable[[], T], *, seconds: float = 20, what: str = "condition") -> T:
    """Poll until the condition is truthy; the test fails and says what did not happen.

    Looks less and less often: who is waited for needs the core more than who asks.
    """
    pause_s, deadline = 0.01, time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(pause_s)
        pause_s = min(1.3 * pause_s, 0.1)
    raise AssertionError(f"{what} did not happen within {seconds:.0f} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class World:
    """One store and its HQ in one folder. Processes can be killed and started again."""

    folder: Path
    hq_port: int = field(default_factory=free_port)
    edge_port: int = field(default_factory=free_port)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    token: str = ""

    @property
    def bridge_yaml(self) -> Path:
        return self.folder / "bridge.yaml"

    @property
    def store_yaml(self) -> Path:
        return self.folder / "store.yaml"

    def prepare_hq(self) -> None:
        self.bridge_yaml.write_text(f"http: {{host: 127.0.0.1, port: {self.hq_port}}}\ndata_dir: ./hq\n")
        (self.folder / "store.token").write_text(self.bridge("store", "add", STORE)["token"])
        self.token = self.bridge("token", "add", "test", "--role", "viewer")["token"]

    def bridge(self, *words: str, status: int = 0) -> Any:
        """A `cloud-bridge` command's JSON."""
        done = typed(commands, *words, "-c", str(self.bridge_yaml), "--json")
        assert done.status == status, done.err + done.out
        return json.loads(done.out)

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{name}.log").open("ab")
        self.running[name] = subprocess.Popen([*command], stdout=log, stderr=log)
        log.close()
        return self.running[name]

    def start_hq(self) -> None:
        self.start("hq", sys.executable, "-m", "cloud_bridge", "run", "-c", str(self.bridge_yaml))
        poll(lambda: answers(f"http://127.0.0.1:{self.hq_port}/readyz"), what="HQ ready")

    def start_agent(self) -> None:
        self.start("agent", sys.executable, "-m", "edge_agent", "run", "-c", str(self.store_yaml))
        poll(lambda: answers(f"http://127.0.0.1:{self.edge_port}/healthz"), what="agent ready")

    def write_store(self, body: str, *, uplink_port: int | None = None) -> None:
        self.store_yaml.write_text(
            f"store: {{id: {STORE}, timezone: Asia/Shanghai}}\n"
            f"agent: {{data_dir: ./edge, http: {{port: {self.edge_port}}}}}\n"
            f"uplink: {{url: 'http://127.0.0.1:{uplink_port or self.hq_port}', token_file: ./store.token}}\n"
            + body
        )

    def kill(self, name: str) -> int:
        process = self.running.pop(name)
        process.kill()
        process.wait(10)
        return process.pid

    def stop(self, name: str) -> tuple[int, float]:
        """SIGTERM; returns the exit status and the seconds it took."""
        process, began = self.running.pop(name), time.monotonic()
        process.send_signal(signal.SIGTERM)
        return process.wait(20), time.monotonic() - began

    def hq(self, path: str) -> Any:
        url = f"http://127.0.0.1:{self.hq_port}{path}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def facings(self) -> dict[str, Any]:
        return {f["facing"]: f for f in self.hq(f"/v1/stores/{STORE}/facings")["items"]}

    def on_hand(self, facing: str) -> int | None:
        """HQ's count, None while it knows nothing."""
        shown: int | None = self.facings().get(facing, {}).get("on_hand")
        return shown

    def events(self, kind: str = "") -> list[Any]:
        """The whole feed, page by page."""
        found: list[Any] = []
        cursor = ""
        while True:
            page = self.hq(
                f"/v1/events?store={STORE}&limit=1000" + cursor + (f"&type={kind}" if kind else "")
            )
            found += page["items"]
            if not page["items"]:
                return found
            cursor = f"&after={page['next_cursor']}"

    def caught_up(self) -> bool:
        """HQ has every row of the agent's journal."""
        try:
            [store] = [s for s in self.hq("/v1/stores")["items"] if s["store"] == STORE]
            answer = self.hq(f"/v1/stores/{STORE}/facings")
        except (OSError, ValueError):
            return False
        return store["pending"] == 0 and not answer["catching_up"] and self.applied() == self.journaled()

    def journaled(self, kind: str = "") -> int:
        """The newest durable row of the agent; with `kind`, how many rows of that kind it holds."""
        if kind:
            return self._journal("select count(*) from outbox where kind = ?", kind)
        return self._journal("select coalesce(max(seq), (select base_seq from sync)) from outbox")

    def applied(self) -> int:
        return self._journal("select applied from sync")

    def _journal(self, statement: str, *values: str) -> int:
        path = self.folder / "edge/journal.db"
        if not path.exists():
            return 0
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return int(db.execute(statement, values).fetchone()[0])
        except sqlite3.OperationalError:  # the schema is not there yet
            return 0
        finally:
            db.close()

    def status(self) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.edge_port}/v1/status", timeout=5) as answer:
            return json.load(answer)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def end(self) -> None:
        for name in list(self.running):
            self.stop(name)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="session")
def wait_for() -> Any:
    """`wait_for(condition, seconds=, what=)`: poll, or fail with what did not happen."""
    return poll


@pytest.fixture(scope="module")
def module_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for all tests of a file."""
    made = World(tmp_path_factory.mktemp("world"))
    made.prepare_hq()
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.prepare_hq()
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def line(world: Any) -> Iterator[ProxyThread]:
    """The line between agent and HQ, driven from the test."""
    with ProxyThread("127.0.0.1", world.hq_port) as made:
        yield made


class ScaleShelf:
    """Scales that answer MT-SICS on TCP with the weight of `counts` items, written from the manual's text."""

    def __init__(self, scales: int) -> None:
        self.counts = [10] * scales
        self.ports: list[int] = []
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        for index in range(scales):
            self.ports.append(self._call(self._open(index, 0)))

    def unplug(self, index: int) -> None:
        self._call(self._close(index))

    def plug(self, index: int) -> None:
        self._call(self._open(index, self.ports[index]))

    def end(self) -> None:
        for index in range(len(self._servers)):
            self.unplug(index)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def devices(self) -> str:
        """The scales, their facings and their product as `store.yaml` lines."""
        lines = [
            f"products: [{{gtin: '{GTIN}', name: Cola, unit_weight_g: {UNIT_G}, tagged: 1}}]",
            "facings:",
        ]
        lines += [
            f"  - {{id: A1-{i:02}, gtin: '{GTIN}', capacity: 24, reorder_point: 3}}"
            for i in range(len(self.ports))
        ]
        lines += ["devices:"]
        lines += [
            f"  - {{id: scale-{i:02}, driver: mt-sics, port: 'socket://127.0.0.1:{port}', facings: [A1-{i:02}]}}"
            for i, port in enumerate(self.ports)
        ]
        return "\n".join(lines) + "\n"

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _open(self, index: int, port: int) -> int:
        server = await asyncio.start_server(lambda r, w: self._serve(index, r, w), "127.0.0.1", port)
        if index < len(self._servers):
            self._servers[index] = server
        else:
            self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _close(self, index: int) -> None:
        self._servers[index].close()
        for writer in list(self._writers):
            if writer.get_extra_info("sockname")[1] == self.ports[index]:
                writer.close()
                self._writers.remove(writer)

    async def _serve(self, index: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            while line := await reader.readline():
                command = line.strip()
                if command in (b"@", b"I4"):
                    writer.write(b'I4 A "%08d"\r\n' % index)
                elif command == b"SI":
                    weight_g = self.counts[index] * UNIT_G + random.gauss(0, 0.15)
                    writer.write(b"S S %10.2f g\r\n" % weight_g)
                else:
                    writer.write(b"ES\r\n")
        except ConnectionError:
            writer.close()


@pytest.fixture
def scales() -> Iterator[ScaleShelf]:
    made = ScaleShelf(3)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[int]:
    """A broker with persistence in the test's folder; yields its port."""
    if shutil.which("mosquitto") is None:
        pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
    port, config = free_port(), tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
    process = subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        poll(lambda: connects(port), what="broker ready")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
