"""A real bridge process, a store that speaks the sync API to it, and Chromium."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from edge_agent.contract.messages import (
    CHAIN_START,
    SCHEMA_VERSION,
    Batch,
    BatchReply,
    DeviceChanged,
    FootfallCounted,
    Hello,
    HelloReply,
    OutboxRow,
    PlanogramApplied,
    Position,
    StockChanged,
    StoreProfile,
    encode,
    fold_chain,
)
from edge_agent.contract.times import rfc3339, utc_now

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
VENDOR = Path(__file__).parents[2] / "cloud_bridge" / "web" / "vendor" / "manifest.json"
STORE = "store-0042"
DEADLINE_S = 20.0

PRODUCTS = [
    {"gtin": "06901234567892", "name": "可乐 330 ml"},
    {"gtin": "04006381333931", "name": "Sparkling water 500 ml"},
    {"gtin": "05901234123457", "name": "Oat milk 1 l"},
]
FACINGS = [
    {
        "id": "A1-01",
        "gtin": "06901234567892",
        "capacity": 24,
        "reorder_point": 6,
        "shelf": "A1-S1",
        "x_mm": 0,
    },
    {
        "id": "A1-02",
        "gtin": "04006381333931",
        "capacity": 12,
        "reorder_point": 3,
        "shelf": "A1-S1",
        "x_mm": 200,
    },
    {
        "id": "A1-03",
        "gtin": "05901234123457",
        "capacity": 12,
        "reorder_point": 3,
        "shelf": "A1-S2",
        "x_mm": 0,
    },
]


class Bridge:
    """`cloud-bridge run` as its own process on one port, so that it can go away and come back."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "bridge.yaml"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        port = self.url.rpartition(":")[2]
        self.config.write_text(f"http: {{host: 127.0.0.1, port: {port}}}\ndata_dir: ./hq\n", encoding="utf-8")
        self.log = (folder / "bridge.log").open("w", encoding="utf-8")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return when it is ready."""
        self.process = subprocess.Popen(
            [_cloud_bridge(), "run", "-c", str(self.config)], stdout=self.log, stderr=subprocess.STDOUT
        )
        wait_until(self._is_ready, "the bridge to be ready")

    def stop(self) -> None:
        """Stop it with SIGTERM."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(timeout=DEADLINE_S) == 0
        self.process = None

    def command(self, *arguments: str) -> str:
        """What `cloud-bridge ARGUMENTS` prints."""
        result = subprocess.run(
            [_cloud_bridge(), *arguments, "-c", str(self.config)], capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def login_link(self, name: str) -> str:
        """A fresh one-time link."""
        words = self.command("user", "add", name, "--role", "viewer").split()
        return next(word for word in words if "/login?code=" in word)

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the bridge ended, see bridge.log"
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False


class StoreLine:
    """One store's agent, as far as HQ can tell: hello, then contiguous batches over a hash chain."""

    def __init__(self, bridge: Bridge, store: str = STORE) -> None:
        self.bridge = bridge
        self.store = store
        self.token = json.loads(bridge.command("store", "add", store, "--json"))["token"]
        self.seq = 0
        self.chain = CHAIN_START
        self.on_hand: dict[str, int] = {}
        self.hello()

    def hello(self) -> None:
        """Open a session at the own head."""
        here = Position(self.seq, self.chain.hex())
        hello = Hello(
            store=self.store, agent_id="browser-test", boot_id="boot", last_seq=self.seq, base_seq=0,
            base_chain=CHAIN_START.hex(), locator=[here, Position(0, CHAIN_START.hex())], versions={},
            sent_at=rfc3339(utc_now()), profile=StoreProfile(name="人民路店", timezone="Asia/Shanghai"),
        )  # fmt: skip
        reply = msgspec.json.decode(self._post("hello", hello), type=HelloReply)
        assert reply.applied == here
        self.session, self.branch = reply.session, reply.branch

    def send(self, *bodies: tuple[str, msgspec.Struct]) -> None:
        """Rows of (kind, body) in one batch, acknowledged when this returns; none is a heartbeat."""
        rows = [self._row(self.seq + n, kind, body) for n, (kind, body) in enumerate(bodies, 1)]
        last_chain = fold_chain(self.chain, rows)
        batch = Batch(
            session=self.session, branch=self.branch, first=self.seq + 1, prev_chain=self.chain.hex(),
            last_chain=last_chain.hex(), last_seq=self.seq + len(rows), rows=rows,
        )  # fmt: skip
        reply = msgspec.json.decode(self._post("batch", batch), type=BatchReply)
        self.seq, self.chain = self.seq + len(rows), last_chain
        assert reply.applied == Position(self.seq, self.chain.hex())

    def stock(self, facing: str, on_hand: int, *, cause: str = "pick", due: str | None = None) -> None:
        """A facing's new count."""
        place = next(one for one in FACINGS if one["id"] == facing)
        low = on_hand <= int(str(place["reorder_point"]))
        change = on_hand - self.on_hand.get(facing, 0)
        self.on_hand[facing] = on_hand
        body: dict[str, Any] = {
            "facing": facing, "gtin": place["gtin"], "on_hand": on_hand, "change": change, "confidence": 0.97,
            "status": "out" if on_hand == 0 else "low" if low else "ok", "cause": cause, "sources": ["weight"],
            "observed_at": rfc3339(utc_now()), "reasons": [], "reorder_due_at": due,
        }  # fmt: skip
        self.send(("stock.changed", msgspec.convert(body, StockChanged)))

    def furnish(self) -> None:
        """Planogram, first counts, devices and a minute of footfall."""
        self.send(("planogram.applied", PlanogramApplied(revision=0, products=PRODUCTS, facings=FACINGS)))
        self.stock("A1-01", 12, cause="initial")
        self.stock("A1-02", 2, cause="initial")
        self.send(
            ("device.changed", _device("scale-a1-01", "online", None)),
            ("device.changed", _device("rfid-a", "offline", "E-LINK-LOST")),
            ("footfall.counted", _minute(entered=4, exited=1)),
        )

    def _row(self, seq: int, kind: str, body: msgspec.Struct) -> OutboxRow:
        return OutboxRow(
            seq=seq, eid=secrets.token_hex(16), kind=kind, version=SCHEMA_VERSION, occurred_at=rfc3339(utc_now()),
            boot_id="boot", mono_ms=time.monotonic_ns() // 1_000_000, body=encode(body).decode(),
        )  # fmt: skip

    def _post(self, call: str, message: msgspec.Struct) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.bridge.url}/v1/sync/{call}", encode(message), headers)
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as reply:
            return bytes(reply.read())


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    """Poll a condition that only another process can make true."""
    give_up_at = time.monotonic() + DEADLINE_S
    while not is_true():
        assert time.monotonic() < give_up_at, f"waited {DEADLINE_S} s for {what}"
        time.sleep(0.05)


def _cloud_bridge() -> str:
    return str(Path(sys.executable).parent / "cloud-bridge")


def _device(device: str, status: str, reason: str | None) -> DeviceChanged:
    driver = "impinj-r700" if device.startswith("rfid") else "mt-sics"
    body = {"device": device, "driver": driver, "status": status, "reason": reason}
    return msgspec.convert(body, DeviceChanged)


def _minute(*, entered: int, exited: int) -> FootfallCounted:
    start = rfc3339(utc_now().replace(second=0, microsecond=0))
    return FootfallCounted(
        device="cam-door", line="door", start=start, seconds=60, entered=entered, exited=exited
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; closed before other modules, whose event loops it would disturb."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed; the page is tested in Debian's chromium")
    if not VENDOR.exists():
        pytest.skip("page assets are not built; make setup builds them")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    """A running HQ with an empty database."""
    bridge = Bridge(tmp_path_factory.mktemp("hq"))
    try:
        bridge.start()
        yield bridge
    finally:
        if bridge.process is not None:
            bridge.process.kill()
            bridge.process.wait()
        bridge.log.close()


@pytest.fixture(scope="module")
def line(bridge: Bridge) -> StoreLine:
    """A store with three facings, of which one has no evidence yet."""
    line = StoreLine(bridge)
    line.furnish()
    return line


@pytest.fixture(scope="module")
def logged_in(browser: Browser, bridge: Bridge) -> Any:
    """Cookies of a person who used a login link."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(bridge.login_link("li-na"))
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def page(browser: Browser, logged_in: Any) -> Iterator[Page]:
    """A logged-in tab in English that must not report an error: no exception, no policy violation."""
    context = browser.new_context(
        storage_state=logged_in, locale="en-GB", viewport={"width": 1280, "height": 900}
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    refused = "net::ERR_CONNECTION_REFUSED"  # what Chromium says of a bridge that was stopped on purpose
    assert [complaint for complaint in complaints if refused not in complaint] == []
