"""Events a second into HQ over HTTP, by engine, batch size and number of bridge processes.

Beside it, in the same run, what each database takes in bare: the same rows into one table without a rule, a
transaction a batch. Clients, bridges and database share the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import secrets
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
import zstandard

from benchmarks.store import free_port
from edge_agent.contract.messages import CHAIN_START, Batch, Hello, OutboxRow, StoreProfile, chain_next

STORES, FACINGS = 16, 400
SIZES = {20: 60, 500: 8}
"""Batches a store, by their number of events."""
AT = "2026-11-22T10:00:00.000Z"
GTIN = "06901234567892"


def main() -> dict[str, float]:
    figures: dict[str, float] = {}
    with tests_postgres().running({"fsync": "on", "full_page_writes": "on"}) as server:
        for size, count in SIZES.items():
            for engine, processes in (("sqlite", 1), ("postgresql", 1), ("postgresql", 2)):
                url = server.new_database() if engine == "postgresql" else engine
                run = asyncio.run(through_hq(url, processes, size, count))
                name = f"{engine}_{processes}x{size}"
                figures[f"{name}_events_per_s"] = round(STORES * size * count / run.seconds)
                figures[f"{name}_p99_ms"] = round(run.p99_ms)
            figures[f"bare_sqlite_x{size}_events_per_s"] = round(bare_sqlite(size))
            figures[f"bare_postgresql_x{size}_events_per_s"] = round(
                asyncio.run(bare_postgres(server.new_database(), size))
            )
    return figures


@dataclass
class Run:
    """How long all batches took, and each of them."""

    seconds: float = 0
    waits: list[float] = field(default_factory=list)

    @property
    def p99_ms(self) -> float:
        return sorted(self.waits)[int(len(self.waits) * 0.99)] * 1000


async def through_hq(database: str, processes: int, size: int, count: int) -> Run:
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / str(n) for n in range(processes)]
        with contextlib.ExitStack() as stack:
            urls = [stack.enter_context(bridge(folder, database)) for folder in folders]
            async with aiohttp.ClientSession() as http:
                await asyncio.gather(*(ready(http, url) for url in urls))
                stores = [
                    Store(http, urls[n % processes], f"s{n}", token(folders[0], f"s{n}"))
                    for n in range(STORES)
                ]
                await asyncio.gather(*(store.hello(size, count) for store in stores))
                run, began = Run(), time.perf_counter()
                await asyncio.gather(*(store.send(run.waits) for store in stores))
                run.seconds = time.perf_counter() - began
    return run


@contextlib.contextmanager
def bridge(folder: Path, database: str) -> Iterator[str]:
    """A real `cloud-bridge run`; its address."""
    folder.mkdir()
    port = free_port()
    (folder / "bridge.yaml").write_text(f"http: {{port: {port}}}\ndatabase: {database}\n")
    process = subprocess.Popen([sys.executable, "-m", "cloud_bridge", "run", "-c", folder / "bridge.yaml"])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def ready(http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with http.get(f"{url}/readyz") as reply:
                    if reply.status == 200:
                        return
            await asyncio.sleep(0.05)


def token(folder: Path, store: str) -> str:
    command = [sys.executable, "-m", "cloud_bridge", "store", "add", store, "-c", folder / "bridge.yaml"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@dataclass
class Store:
    """Sends batches that were made before, one after another, as an agent that catches up."""

    http: aiohttp.ClientSession
    url: str
    name: str
    token: str
    bodies: list[bytes] = field(default_factory=list)

    async def hello(self, size: int, count: int) -> None:
        hello = Hello(
            store=self.name, agent_id="a", boot_id="b", last_seq=0, base_seq=0, base_chain=CHAIN_START.hex(),
            locator=[], versions={}, sent_at=AT, profile=StoreProfile(name="", timezone="UTC"),
        )  # fmt: skip
        while (answer := await self.post("hello", zstandard.compress(msgspec.json.encode(hello)))) is None:  # noqa: ASYNC110 - the token is news to it
            await asyncio.sleep(0.1)
        chain, first = CHAIN_START, 1
        for _ in range(count):
            rows, last = outbox_rows(first, size, chain)
            batch = Batch(
                session=answer["session"], branch=answer["branch"], first=first, prev_chain=chain.hex(),
                last_chain=last.hex(), last_seq=first + size - 1, rows=rows,
            )  # fmt: skip
            self.bodies.append(zstandard.compress(msgspec.json.encode(batch)))
            chain, first = last, first + size

    async def send(self, waits: list[float]) -> None:
        for body in self.bodies:
            began = time.perf_counter()
            assert await self.post("batch", body) is not None
            waits.append(time.perf_counter() - began)

    async def post(self, call: str, body: bytes) -> dict[str, Any] | None:
        headers = {
            "Authorization": f"Bearer {self.token}", "Content-Type": "application/json", "Content-Encoding": "zstd",
        }  # fmt: skip
        async with self.http.post(f"{self.url}/v1/sync/{call}", data=body, headers=headers) as reply:
            return await reply.json() if reply.status == 200 else None


def outbox_rows(first: int, size: int, chain: bytes) -> tuple[list[OutboxRow], bytes]:
    rows = []
    for seq in range(first, first + size):
        body = {
            "facing": f"A{seq * 7 % FACINGS}", "gtin": GTIN, "on_hand": seq % 24, "change": 1, "confidence": 0.9,
            "status": "ok", "cause": "pick", "sources": ["weight"], "observed_at": AT,
        }  # fmt: skip
        text, eid = json.dumps(body), secrets.token_bytes(16)
        chain = chain_next(chain, eid, "stock.changed", 1, text)
        rows.append(
            OutboxRow(
                seq=seq,
                eid=eid.hex(),
                kind="stock.changed",
                version=1,
                occurred_at=AT,
                boot_id="b",
                mono_ms=1,
                body=text,
            )
        )
    return rows, chain


# --- the limit -----------------------------------------------------------------------------------

BARE = "create table bare (store text, seq bigint, eid bytea, chain bytea, kind text, at text, body text, primary key (store, seq))"


def bare_rows(store: str, first: int, size: int) -> list[tuple[Any, ...]]:
    body = outbox_rows(1, 1, CHAIN_START)[0][0].body
    return [(store, first + n, bytes(16), bytes(16), "stock.changed", AT, body) for n in range(size)]


def bare_sqlite(size: int) -> float:
    batches = [bare_rows("s", n * size, size) for n in range(STORES * SIZES[size])]
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(sqlite3.connect(Path(folder) / "bare", isolation_level=None)) as db,
    ):
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        db.execute(BARE)
        began = time.perf_counter()
        for rows in batches:
            db.execute("begin immediate")
            db.executemany("insert into bare values (?, ?, ?, ?, ?, ?, ?)", rows)
            db.execute("commit")
        return len(batches) * size / (time.perf_counter() - began)


async def bare_postgres(url: str, size: int) -> float:
    """By COPY on 8 connections at once."""
    async with asyncpg.create_pool(url, min_size=8, max_size=8) as pool:
        await pool.execute(BARE)
        batches = [[bare_rows(f"s{s}", n * size, size) for n in range(SIZES[size])] for s in range(STORES)]

        async def copy(store: list[list[tuple[Any, ...]]]) -> None:
            for rows in store:
                await pool.copy_records_to_table("bare", records=rows)

        began = time.perf_counter()
        await asyncio.gather(*(copy(store) for store in batches))
        return STORES * SIZES[size] * size / (time.perf_counter() - began)


def tests_postgres() -> Any:
    """The server that the tests start; their folder is no package."""
    path = Path(__file__).parent.parent / "tests/postgres.py"
    spec = importlib.util.spec_from_file_location("tests_postgres", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
