"""Bytes that reach the disk for each reading, at two group-commit windows: what wears a gateway's flash.

300 readings a second, each another tag and therefore an event: nothing a store does writes more for a reading.
Counted by the kernel (`write_bytes` of this process), the last checkpoint included.
"""

from __future__ import annotations

import json
import tempfile
import time
from concurrent.futures import Future
from pathlib import Path

from benchmarks.journal import capture
from edge_agent.journal import Journal

RATE, SECONDS = 300, 10
WINDOWS_MS = (5, 100)


def main() -> dict[str, float]:
    figures: dict[str, float] = {}
    for window_ms in WINDOWS_MS:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
            figures |= at_window(Path(name), window_ms)
    first, last = (figures[f"bytes_per_reading_{ms}_ms"] for ms in WINDOWS_MS)
    return {**figures, "ratio": round(last / first, 3)}


def at_window(folder: Path, window_ms: int) -> dict[str, float]:
    journal = Journal(folder / "journal", commit_window_s=window_ms / 1000)
    before = written_bytes()
    waits: list[Future[None]] = []
    began = time.monotonic()
    for number in range(RATE * SECONDS):
        time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        waits.append(journal.submit(capture(number)))
    for wait in waits:
        wait.result(10)
    assert journal.durable_seq == RATE * SECONDS
    journal.close()
    return {f"bytes_per_reading_{window_ms}_ms": round((written_bytes() - before) / (RATE * SECONDS))}


def written_bytes() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


if __name__ == "__main__":
    print(json.dumps(main()))
