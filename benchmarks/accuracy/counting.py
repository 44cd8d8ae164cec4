"""The process that counts: it hears what devices say and cannot import the simulator.

`python -m benchmarks.accuracy.counting`, with frames on standard input and output.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import BinaryIO

import msgspec

from benchmarks.accuracy.counters import Counters
from benchmarks.accuracy.frames import Asked, Briefing, Heard, Report, receive, send
from benchmarks.accuracy.gateway import readings, settings_of
from edge_agent.stock.habits import Habits

SIMULATOR = "device_sims"


class NoSimulator(MetaPathFinder):
    """Nothing of the simulator can be imported behind this."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuses the simulator, leaves all else to others."""
        del path, target
        if fullname.partition(".")[0] == SIMULATOR:
            raise ImportError(f"{fullname}: who counts must not know the simulator")
        return None


def main() -> None:
    sys.meta_path.insert(0, NoSimulator())
    if SIMULATOR in sys.modules:
        raise ImportError("who counts has imported the simulator")
    pipe = sys.stdin.buffer
    briefing = msgspec.msgpack.decode(receive(pipe), type=Briefing)
    settings, told = settings_of(briefing.store_yaml), settings_of(briefing.told_yaml)
    counters = Counters(settings, told, Habits(**briefing.told), desks=briefing.desks)
    asked, left_s = list[Asked](), list(reversed(briefing.samples_s))
    for now, arrived in readings(_heard(pipe), settings, briefing.opened_at):
        counters.read(arrived, now)
        while left_s and not arrived and left_s[-1] <= now.mono_s:
            left_s.pop()
            asked.append(counters.asked())
    send(sys.stdout.buffer, Report(asked, counters.ours.told))


def _heard(pipe: BinaryIO) -> Iterator[Heard]:
    decode = msgspec.msgpack.Decoder(list[Heard]).decode
    while frame := receive(pipe):
        yield from decode(frame)


if __name__ == "__main__":
    main()
