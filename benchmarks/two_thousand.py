"""2,000 devices at 1 Hz each: what the agent needs, whether all arrives, and all of them gone and back at once.

TWO_THOUSAND_S seconds (60) of shoppers; the simulator runs on the same machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.store import answers, free_port, metric, page, processes, start_hq, wait_for
from device_sims import control
from device_sims.truth import read_truth

DARK_S = 15.0
WARM_UP_S = 10.0
SILENCE_S = 0.5


def main() -> dict[str, Any]:
    seconds = float(os.environ.get("TWO_THOUSAND_S", "60"))
    with tempfile.TemporaryDirectory() as name, processes(Path(name)) as running:
        folder = Path(name)
        hq = start_hq(running)
        port = free_port()
        os.environ["DEVICE_SIMS__STORE__ID"] = "bench"
        words = ["run", "two-thousand", "--json", "--hold", "--seed", "1", "--seconds", str(seconds)]
        words += ["--dir", name, "--truth", str(folder / "truth.jsonl"), "--edge-port", str(port)]
        words += ["--hq", hq.url, "--token-file", str(hq.store_token)]
        sims = running.start("sims", sys.executable, "-m", "device_sims", *words)
        said = folder / "sims.log"  # a file: a pipe that nobody reads would stop the simulator
        wait_for(lambda: '"ready"' in said.read_text(), seconds=60, what="devices ready")
        agent = running.start("agent", sys.executable, "-m", "edge_agent", "run", "-c", f"{name}/store.yaml")
        return _measured(hq, sims, psutil.Process(agent.pid), f"http://127.0.0.1:{port}", folder, seconds)


def _measured(
    hq: Any, sims: Any, agent: psutil.Process, url: str, folder: Path, seconds: float
) -> dict[str, Any]:
    wait_for(lambda: answers(f"{url}/healthz"), seconds=30, what="agent ready")
    started = time.monotonic()
    wait_for(lambda: None not in _on_hand(url).values(), seconds=120, what="every facing counted")
    counted_s = time.monotonic() - started
    time.sleep(WARM_UP_S)  # what waited at the broker while the agent started is not what is measured
    simulator = psutil.Process(sims.pid)
    published_before, taken_before = _counted_in_silence(folder, url)
    sims.stdin.write(b"open\n")
    sims.stdin.flush()
    before, cpu_before = page(f"{url}/metrics"), (_cpu_s(agent), _cpu_s(simulator))
    opened, said_before = time.monotonic(), _ask(folder, do="status")["published"]
    rss = []
    while time.monotonic() < opened + seconds + 5 and not _closed(folder):
        rss.append(agent.memory_info().rss / 2**20)
        time.sleep(1)  # how often the memory is looked at
    spent_s = time.monotonic() - opened
    after = page(f"{url}/metrics")
    cpu = [_cpu_s(one) - was for one, was in zip((agent, simulator), cpu_before, strict=True)]
    said = _ask(folder, do="status")["published"] - said_before
    published, taken = _counted_in_silence(folder, url)
    wait_for(lambda: _settled(hq), seconds=60, what="HQ has everything")
    truth = read_truth(folder / "truth.jsonl")
    seen = {facing["facing"]: facing["on_hand"] for facing in _all(hq, "/v1/stores/bench/facings")}
    wrong = {f: (n, seen.get(f)) for f, n in truth.final_on_hand().items() if seen.get(f) != n}
    figures = {
        "devices": 2000,
        "seconds": round(spent_s),
        "first_counts_s": round(counted_s, 1),
        "messages_per_s": round(said / spent_s),
        "messages_lost": (published - published_before) - (taken - taken_before),
        "readings_taken": round(metric(after, "edge_readings_total") - metric(before, "edge_readings_total")),
        "agent_cpu_percent": round(100 * cpu[0] / spent_s, 1),
        "simulator_cpu_percent": round(100 * cpu[1] / spent_s, 1),
        "agent_rss_mb": round(max(rss), 1),
        "commit_p99_below_ms": _quantile_ms(before, after, 0.99),
        "moves": len(truth.moved),
        "facings_wrong_at_hq": len(wrong),
    }
    return figures | _dark(hq, url, folder, seen)


def _counted_in_silence(folder: Path, url: str) -> tuple[int, int]:
    """Messages published and messages taken, at a moment when none is under way: all devices are mute."""
    devices = [name for name in _ask(folder, do="status")["devices"] if name.startswith(("plate-", "rfid-"))]
    number = _ask(folder, do="fault", fault="mute", device=devices)["number"]
    taken, before = _taken(url), -1
    while taken != before:
        time.sleep(SILENCE_S)  # asked again until the count stands still
        before, taken = taken, _taken(url)
    published = _ask(folder, do="status")["published"]
    _ask(folder, do="heal", number=number)
    return published, taken


def _taken(url: str) -> int:
    return round(metric(page(f"{url}/metrics"), "edge_mqtt_messages_total"))


def _dark(hq: Any, url: str, folder: Path, before: dict[str, int]) -> dict[str, Any]:
    log = folder / "agent.log"
    lines = len(log.read_text().splitlines())
    changes = len(_all(hq, "/v1/events?type=stock.changed"))
    _ask(folder, do="fault", fault="power-cut", for_s=DARK_S)
    wait_for(lambda: "online" not in _states(url), seconds=DARK_S, what="all gone")
    began = time.monotonic()
    wait_for(lambda: _states(url) == {"online"}, seconds=90, what="all back")
    back_s = time.monotonic() - began
    wait_for(lambda: _settled(hq), seconds=60, what="HQ has everything")
    hq.audit()
    said = log.read_text().splitlines()[lines:]
    after = {facing["facing"]: facing["on_hand"] for facing in _all(hq, "/v1/stores/bench/facings")}
    return {
        "gone_and_back_s": round(back_s, 1),
        "gone_and_back_log_lines": len(said),
        "wrong_after_it": sum(after[facing] != n for facing, n in before.items()),
        "changes_told_of_it": len(_all(hq, "/v1/events?type=stock.changed")) - changes,
        "tracebacks": log.read_text().count("Traceback"),
    }


def _closed(folder: Path) -> bool:
    return '"truth":"closed"' in (folder / "truth.jsonl").read_text()[-200:]


def _ask(folder: Path, **question: Any) -> Any:
    return asyncio.run(control.ask(folder, question))


def _on_hand(url: str) -> dict[str, int | None]:
    return {f["facing"]: f["on_hand"] for f in json.loads(page(f"{url}/v1/status"))["facings"]}


def _states(url: str) -> set[str]:
    return {d["status"] for d in json.loads(page(f"{url}/v1/status"))["devices"]}


def _settled(hq: Any) -> bool:
    [store] = hq.get("/v1/stores")["items"]
    return bool(store["pending"] == 0 and not hq.get("/v1/stores/bench/facings?limit=1")["catching_up"])


def _all(hq: Any, path: str) -> list[Any]:
    """Every item of a list, page by page."""
    joint = "&" if "?" in path else "?"
    found, cursor, name = [], "", "after" if "events" in path else "cursor"
    while True:
        answer = hq.get(f"{path}{joint}limit=1000{cursor}")
        found += answer["items"]
        if not answer["items"] or not answer["next_cursor"]:
            return found
        cursor = f"&{name}={answer['next_cursor']}"


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _quantile_ms(before: str, after: str, share: float) -> float:
    """The upper edge of the histogram bucket in which so large a share of the commits lies."""

    def buckets(text: str) -> list[tuple[float, float]]:
        found = re.findall(r'^edge_commit_seconds_bucket\{le="(\S+)"\} (\S+)$', text, re.MULTILINE)
        return [(float(edge), float(count)) for edge, count in found]

    grown = [
        (edge, count - was) for (edge, count), (_, was) in zip(buckets(after), buckets(before), strict=True)
    ]
    return next(edge for edge, count in grown if count >= share * grown[-1][1]) * 1000


if __name__ == "__main__":
    print(json.dumps(main()))
