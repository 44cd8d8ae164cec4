"""Settle decision → HQ's REST answer changed, over 500 changes on 12 scales (MT-SICS over TCP)."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.store import percentile, processes, start_agent, start_hq, wait_for

SCALES, CHANGES = 12, 500
UNIT_G = 100.0


class Shelf:
    """Twelve scales that answer SI with the weight of what lies on them."""

    def __init__(self) -> None:
        self.counts = [5] * SCALES
        self.ports: list[int] = []
        self._ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        self._ready.wait(10)

    async def _serve(self) -> None:
        servers = []
        for index in range(SCALES):
            server = await asyncio.start_server(
                lambda r, w, index=index: self._scale(index, r, w), "127.0.0.1", 0
            )
            servers.append(server)
            self.ports.append(server.sockets[0].getsockname()[1])
        self._ready.set()
        await asyncio.gather(*(server.serve_forever() for server in servers))

    async def _scale(self, index: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            command = line.strip()
            if command in (b"@", b"I4"):
                writer.write(b'I4 A "%08d"\r\n' % index)
            elif command == b"SI":
                weight_g = self.counts[index] * UNIT_G + random.gauss(0, 0.15)
                writer.write(b"S S %10.2f g\r\n" % weight_g)


def main() -> dict[str, float]:
    shelf = Shelf()
    items = "\n".join(f"  - {{id: A1-{i:02}, gtin: '06901234567892', capacity: 24}}" for i in range(SCALES))
    scales = "\n".join(
        f"  - {{id: s-{i:02}, driver: mt-sics, port: 'socket://127.0.0.1:{port}', facings: [A1-{i:02}]}}"
        for i, port in enumerate(shelf.ports)
    )
    products = f"products: [{{gtin: '06901234567892', name: Cola, unit_weight_g: {UNIT_G}}}]\n"
    with tempfile.TemporaryDirectory() as name, processes(Path(name)) as running:
        hq = start_hq(running)
        agent, _ = start_agent(running, hq, extra=f"{products}facings:\n{items}\ndevices:\n{scales}\n")
        path = "/v1/stores/bench/facings"
        wait_for(
            lambda: {f["on_hand"] for f in hq.get(path)["items"]} == {5}, seconds=30, what="first counts"
        )
        delays, settle = [], []
        while len(delays) < CHANGES:
            touched = time.time()
            waiting = {}
            for index in range(SCALES):
                shelf.counts[index] = shelf.counts[index] % 20 + 1
                waiting[f"A1-{index:02}"] = shelf.counts[index]
            deadline = time.monotonic() + 15
            while waiting and time.monotonic() < deadline:
                items_now = hq.get(path)["items"]
                seen = time.time()
                for facing in items_now:
                    if waiting.get(facing["facing"]) == facing["on_hand"]:
                        del waiting[facing["facing"]]
                        decided = datetime.fromisoformat(facing["changed_at"]).astimezone(UTC).timestamp()
                        delays.append(seen - decided)
                        settle.append(decided - touched)
            assert not waiting, f"never seen at HQ: {waiting}"
        hq.audit()
        rss_mb = round(psutil.Process(agent.pid).memory_info().rss / 2**20, 1)
        return {
            "changes": len(delays),
            "settled_to_hq_p50_ms": round(percentile(delays, 0.5) * 1000, 1),
            "settled_to_hq_p99_ms": round(percentile(delays, 0.99) * 1000, 1),
            "touched_to_settled_p50_ms": round(percentile(settle, 0.5) * 1000, 1),
            "agent_rss_mb": rss_mb,
        }


if __name__ == "__main__":
    print(json.dumps(main()))
