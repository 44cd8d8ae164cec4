"""Three days without a line: a million rows wait, the line comes back. When is the present right at HQ, how fast
does the past follow, and what does it cost in memory?

Real processes. BACKLOG_ROWS (1,000,000) are of 300 facings and a door, as a store makes them in three days.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from benchmarks.store import STORE, Hq, metric, page, processes, start_agent, start_hq, wait_for
from device_sims.proxy_thread import ProxyThread
from edge_agent.contract.messages import FootfallCounted
from edge_agent.contract.times import rfc3339
from edge_agent.journal import Capture, Journal
from edge_agent.stock.belief import Belief

FACINGS, ROWS_A_CAPTURE = 300, 50
GTIN = "06901234567892"
OUTAGE = timedelta(days=3)
LOOK_EVERY_S = 0.25


def main() -> dict[str, Any]:
    rows = int(os.environ.get("BACKLOG_ROWS", "1000000"))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name, processes(Path(name)) as running:
        folder = Path(name)
        present, written_s = write_backlog(folder / "edge", rows)
        hq = start_hq(running)
        with ProxyThread("127.0.0.1", int(hq.url.rsplit(":", 1)[1]), mode="refused") as line:
            cut_hq = Hq(hq.config, f"http://127.0.0.1:{line.proxy.port}", hq.token, hq.store_token)
            agent, url = start_agent(running, cut_hq, extra=planogram())
            wait_for(
                lambda: json.loads(page(f"{url}/v1/status"))["outbox"]["rows"] >= rows,
                seconds=60,
                what="the agent knows its backlog",
            )
            hq_process = next(p for p in running.started if "cloud_bridge" in " ".join(map(str, p.args)))
            watch = Memory({"agent": agent.pid, "hq": hq_process.pid})
            line.set("open")
            returned = time.monotonic()
            wait_for(
                lambda: metric(page(f"{url}/metrics"), "edge_sync_hellos_total"), seconds=60, what="hello"
            )
            greeted = time.monotonic()
            wait_for(lambda: shown(hq) == present, seconds=60, what="the present at HQ")
            right = time.monotonic()
            catching_up = hq.get(f"/v1/stores/{STORE}/facings?limit=1")["catching_up"]
            drained_by = time.monotonic() + 600
            while pending(hq):
                assert time.monotonic() < drained_by, "HQ has every row"
                watch.look()
                time.sleep(LOOK_EVERY_S)  # how often the memory is looked at
            drained = time.monotonic()
            audit = hq.audit()
            assert shown(hq) == present
            assert catching_up
            return {
                "rows": rows,
                "rows_written_per_s": round(rows / written_s),
                "line_back_to_hello_s": round(greeted - returned, 2),
                "hello_to_present_s": round(right - greeted, 2),
                "drained_s": round(drained - greeted, 1),
                "drained_rows_per_s": round(rows / (drained - greeted)),
                "audited_rows": audit["items"][0]["rows"],
                **watch.figures(),
            }


def write_backlog(folder: Path, rows: int) -> tuple[dict[str, int], float]:
    """A journal with `rows` that HQ does not have; what the shelves hold at the end, and the seconds it took."""
    journal, chance = Journal(folder), random.Random(1)
    beliefs = {f"A1-{n:03}": Belief(f"A1-{n:03}", GTIN, 0, 0.99, "ok", ("weight",)) for n in range(FACINGS)}
    began, start = time.perf_counter(), datetime.now(UTC) - OUTAGE
    last = None
    for number in range(rows // ROWS_A_CAPTURE):
        at = start + OUTAGE * (number * ROWS_A_CAPTURE / rows)
        made = Capture()
        for facing in chance.choices(list(beliefs), k=ROWS_A_CAPTURE - 1):
            before = beliefs[facing]
            counted = chance.randint(1, 40)
            beliefs[facing] = now = Belief(facing, GTIN, counted, 0.99, "ok", ("weight",), (), at, at)
            made.effects.beliefs.append(now)
            made.effects.tell("stock.changed", now.changed_from(before, "pick"), at)
        minute = rfc3339(at.replace(second=0, microsecond=0))
        people = FootfallCounted(
            device="cam", line="door", start=minute, seconds=60, entered=number % 9, exited=number % 7
        )
        made.effects.tell("footfall.counted", people, at)
        last = journal.submit(made)
    if last is not None:
        last.result(600)
    took_s = time.perf_counter() - began
    journal.close()
    return {name: belief.on_hand or 0 for name, belief in beliefs.items()}, took_s


def planogram() -> str:
    items = "\n".join(f"  - {{id: A1-{n:03}, gtin: '{GTIN}', capacity: 40}}" for n in range(FACINGS))
    return f"products: [{{gtin: '{GTIN}', name: Cola, unit_weight_g: 350}}]\nfacings:\n{items}\n"


def shown(hq: Hq) -> dict[str, int]:
    """Every count that HQ shows."""
    items = hq.get(f"/v1/stores/{STORE}/facings?limit=1000")["items"]
    return {item["facing"]: item["on_hand"] for item in items}


def pending(hq: Hq) -> int:
    [store] = hq.get("/v1/stores")["items"]
    return int(store["pending"])


@dataclass
class Memory:
    """Resident memory of processes over time, in MiB."""

    pids: dict[str, int]
    seen: dict[str, list[float]] = field(default_factory=dict)

    def look(self) -> None:
        for name, pid in self.pids.items():
            self.seen.setdefault(name, []).append(psutil.Process(pid).memory_info().rss / 2**20)

    def figures(self) -> dict[str, float]:
        """The middle of the second quarter and of the last: flat when they are alike."""
        found: dict[str, float] = {}
        for name, values in self.seen.items():
            quarter = max(1, len(values) // 4)
            for label, part in (
                ("second_quarter", values[quarter : 2 * quarter]),
                ("last", values[-quarter:]),
            ):
                middle = sorted(part or values)[len(part or values) // 2]
                found[f"{name}_rss_mb_{label}"] = round(middle, 1)
        return found


if __name__ == "__main__":
    print(json.dumps(main()))
