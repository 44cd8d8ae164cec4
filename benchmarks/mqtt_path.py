"""MQTT QoS 1 → durable → HQ: a backlog drained by the agent on one core, then 300 messages/s paced.

Every message is one read of another tag, so that each becomes a row that HQ must have. The agent receives
with manual acknowledgement after its commit. At the end HQ's ledger is audited and its rows are counted.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import tempfile
import time
from pathlib import Path

import psutil
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5

from benchmarks.store import (
    STORE,
    Hq,
    metric,
    page,
    processes,
    start_agent,
    start_broker,
    start_hq,
    wait_for,
)

BACKLOG, PACED, RATE = 40_000, 3_000, 300
AGENT_CORE, OTHER_CORE = 0, 1

STORE_YAML = """\
mqtt: {{url: 'mqtt://127.0.0.1:{port}'}}
products: [{{gtin: '06901234567892', name: Cola, unit_weight_g: 352, tagged: 1}}]
facings: [{{id: A1-01, gtin: '06901234567892', capacity: 24}}]
devices: [{{id: rfid-a, driver: impinj-r700, topic: rfid/a, antennas: {{'1': A1-01}}}}]
"""


def main() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name, processes(Path(name)) as running:
        hq = start_hq(running, core=OTHER_CORE)
        port = start_broker(running, core=OTHER_CORE)
        extra = STORE_YAML.format(port=port)
        agent, url = start_agent(running, hq, extra=extra, core=AGENT_CORE)
        wait_for(lambda: online(url), seconds=20, what="reader online")
        agent.terminate()
        agent.wait(15)

        publish(port, range(BACKLOG))
        agent, url = start_agent(running, hq, extra=extra, core=AGENT_CORE)
        process = psutil.Process(agent.pid)
        began = wait_for(
            lambda: metric(page(f"{url}/metrics"), "edge_events_total") > 0 and time.monotonic(),
            seconds=20,
            what="first event",
        )
        cpu_before, done_before = cpu(process), metric(page(f"{url}/metrics"), "edge_events_total")
        wait_for(lambda: rows_at_hq(hq) >= BACKLOG, seconds=120, what="backlog at HQ")
        seconds, cpu_s = time.monotonic() - began, cpu(process) - cpu_before
        drained = BACKLOG - done_before

        before = commit_times(url)
        publish(port, range(BACKLOG, BACKLOG + PACED), rate=RATE)
        wait_for(lambda: rows_at_hq(hq) >= BACKLOG + PACED, seconds=60, what="paced messages at HQ")
        slow = share_within(before, commit_times(url))

        hq.audit()
        with sqlite3.connect(f"file:{running.folder}/edge/journal.db?mode=ro", uri=True) as journal:
            rows, eids = journal.execute("select count(*), count(distinct eid) from outbox").fetchone()
            assert rows == eids >= BACKLOG + PACED
        return {
            "messages_per_s": round(drained / seconds),
            "agent_cpu_s_per_10k": round(cpu_s / drained * 10_000, 2),
            "durable_share_under_20ms_at_300_per_s": slow[0],
            "durable_share_under_50ms_at_300_per_s": slow[1],
            "agent_rss_mb": round(process.memory_info().rss / 2**20, 1),
        }


def publish(port: int, tags: range, rate: float | None = None) -> None:
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    client.max_inflight_messages_set(500)
    client.connect("127.0.0.1", port)
    client.loop_start()
    began, last = time.monotonic(), None
    for count, tag in enumerate(tags):
        last = client.publish("rfid/a", payload(tag), qos=1)
        if rate:
            time.sleep(max(0.0, began + count / rate - time.monotonic()))
    assert last is not None
    while not client.want_write() and not last.is_published():
        last.wait_for_publish(1)
    last.wait_for_publish(60)
    client.disconnect()
    client.loop_stop()


def payload(serial: int) -> bytes:
    """One R700 event: SGTIN-96 with company prefix 0614141, item 812345 and this serial number."""
    header = (0x30 << 88) | (3 << 85) | (5 << 82) | (614141 << 58) | (812345 << 38) | serial
    epc = header.to_bytes(12, "big")
    event = {
        "timestamp": "2026-11-22T10:00:00.123456789Z",
        "eventType": "tagInventory",
        "tagInventoryEvent": {
            "epc": base64.urlsafe_b64encode(epc).decode(),
            "antennaPort": 1,
            "peakRssiCdbm": -5200,
        },
    }
    return json.dumps(event, separators=(",", ":")).encode()


def online(url: str) -> bool:
    devices = json.loads(page(f"{url}/v1/status"))["devices"]
    return bool(devices[0]["status"] == "online")


def rows_at_hq(hq: Hq) -> int:
    [store] = [s for s in hq.get("/v1/stores")["items"] if s["store"] == STORE]
    if store["pending"]:
        return 0
    database = hq.config.parent / "hq/bridge.sqlite3"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        return int(db.execute("select count(*) from ledger where kind = 'item.arrived'").fetchone()[0])


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def commit_times(url: str) -> dict[str, float]:
    text = page(f"{url}/metrics")
    return {le: metric(text, f'edge_commit_seconds_bucket{{le="{le}"}}') for le in ("0.02", "0.05", "+Inf")}


def share_within(before: dict[str, float], after: dict[str, float]) -> tuple[float, float]:
    total = after["+Inf"] - before["+Inf"]
    return round((after["0.02"] - before["0.02"]) / total, 4), round(
        (after["0.05"] - before["0.05"]) / total, 4
    )


if __name__ == "__main__":
    print(json.dumps(main()))
