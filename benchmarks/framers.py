"""Device bytes → readings, by driver: golden recordings through the very decoder of their driver, again and again.

Pieces are cut as the link cut them, so a framer meets what it meets in a store. Payloads are compared with the
least that could be done in the same run, `json.loads`. Every recording must give what it is known to hold.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from edge_agent.drivers.decode import decoder_for
from edge_agent.drivers.tap import Heard
from edge_agent.live.recording import Piece, Recording, read_recording

RECORDINGS = Path(__file__).parent.parent / "tests/golden/recordings"
CPU_S = 0.5
"""How long each driver is measured, in its own CPU time."""

COPIES = 20
"""A round is the recording so many times over: building the decoder weighs little."""


def main() -> dict[str, dict[str, float]]:
    figures = {}
    for path in sorted(RECORDINGS.glob("*.jsonl")):
        if not path.name.endswith(".readings.jsonl"):
            figures[path.stem] = of_driver(path)
    return figures


def of_driver(path: Path) -> dict[str, float]:
    with path.open("rb") as file:
        recording = read_recording(file)
        heard = [piece.heard for piece in recording.pieces if isinstance(piece, Piece)]
    expected = len(path.with_suffix(".readings.jsonl").read_text().splitlines())
    size = sum(len(one.chunk) for one in heard if one.direction == "in")
    assert decode(recording, heard) == expected
    seconds = best(lambda: decode(recording, heard * COPIES)) / COPIES
    figures = {
        "readings_per_s": round(expected / seconds),
        "mb_per_s": round(size / seconds / 1e6, 2),
        "cpu_s_per_100k_readings": round(seconds / expected * 100_000, 2),
    }
    if heard[0].topic is not None:
        payloads = [one.chunk for one in heard * COPIES]
        loads_s = best(lambda: sum(1 for _ in map(json.loads, payloads)))
        figures["time_over_json_loads"] = round(seconds * COPIES / loads_s, 2)
    return figures


def decode(recording: Recording, heard: list[Heard]) -> int:
    """How many readings the pieces hold."""
    decoder = decoder_for(recording.settings)
    found = sum(not isinstance(item, str) for one in heard for item in decoder.feed(one))
    return found + sum(not isinstance(item, str) for item in decoder.end())


def best(run: Callable[[], int]) -> float:
    """The shortest of several runs, in CPU seconds."""
    shortest, spent = float("inf"), 0.0
    while spent < CPU_S:
        began = time.process_time()
        run()
        took = time.process_time() - began
        shortest, spent = min(shortest, took), spent + took
    return shortest


if __name__ == "__main__":
    print(json.dumps(main(), indent=1))
