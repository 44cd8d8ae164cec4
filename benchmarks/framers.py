"""Device bytes → readings, pure: the MT-SICS framer and the R700 decoder, beside the least that could be done.

The baselines read the same bytes in the same run: `bytes.splitlines` only finds the lines of a scale,
`json.loads` only parses a reader's payload. Both results are checked before a figure is printed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from edge_agent.drivers.impinj_r700 import decode_payload
from edge_agent.drivers.mt_sics import MtSicsFramer, Reply, weight_reading

LINES, PAYLOADS, ROUNDS = 100_000, 50_000, 5
READ_SIZE = 64
"""Bytes a serial port hands over at once; what a framer meets in a store."""


def main() -> dict[str, float]:
    stream = b"".join(b"S %c %10.2f g\r\n" % (b"SD"[n % 2], n / 7) for n in range(LINES))
    payloads = [payload(n) for n in range(PAYLOADS)]
    frames_s, lines_s = best(lambda: scale(stream)), best(lambda: len(stream.splitlines()))
    reads_s, loads_s = best(lambda: reader(payloads)), best(lambda: sum(1 for _ in map(json.loads, payloads)))
    return {
        "mt_sics_readings_per_s": round(LINES / frames_s),
        "mt_sics_mb_per_s": round(len(stream) / frames_s / 1e6, 2),
        "mt_sics_time_over_splitlines": round(frames_s / lines_s, 1),
        "r700_reads_per_s": round(PAYLOADS / reads_s),
        "r700_mb_per_s": round(sum(map(len, payloads)) / reads_s / 1e6, 2),
        "r700_time_over_json_loads": round(reads_s / loads_s, 3),
    }


def scale(stream: bytes) -> int:
    framer, readings = MtSicsFramer(), 0
    for start in range(0, len(stream), READ_SIZE):
        for item in framer.feed(stream[start : start + READ_SIZE]):
            assert isinstance(item, Reply)
            readings += weight_reading("s1", item) is not None
    assert framer.skipped_bytes == 0
    return readings


def reader(payloads: list[bytes]) -> int:
    return sum(len(decode_payload("r1", one).readings) for one in payloads)


def payload(number: int) -> bytes:
    """One event as an R700 sends it; 500 tags in view."""
    event = {
        "epc": "MDQle_QAt4AABMsv",
        "epcHex": f"3034257BF400B780{number % 500:08X}",
        "antennaPort": number % 4 + 1,
        "antennaName": "Shelf A1",
        "peakRssiCdbm": -5000 - number % 3000,
        "frequency": 866900,
        "lastSeenTime": "2026-11-22T10:00:00.499734Z",
    }
    body = {
        "timestamp": f"2026-11-22T10:00:{number % 60:02}.432087177Z",
        "eventType": "tagInventory",
        "tagInventoryEvent": event,
    }
    return json.dumps(body).encode()


def best(run: Callable[[], int]) -> float:
    """The shortest of several runs in seconds; each must find everything."""
    shortest = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        found = run()
        shortest = min(shortest, time.perf_counter() - began)
        assert found in (LINES, PAYLOADS), found
    return shortest


if __name__ == "__main__":
    print(json.dumps(main()))
