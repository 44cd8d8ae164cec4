"""One simulated store: its devices speak to a process that counts; what that says meets the truth."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from benchmarks.accuracy.events import Events, events_of
from benchmarks.accuracy.frames import Briefing, CountedByHand, Heard, Published, Report, receive, send
from benchmarks.accuracy.informed import habits_of
from benchmarks.accuracy.premises import Premises, premises
from benchmarks.accuracy.stores import StoreKind
from benchmarks.accuracy.tally import Tally
from benchmarks.accuracy.timeline import Timeline
from device_sims.broker import Broker, User
from device_sims.scenario import Scenario
from device_sims.store_file import AgentFiles, Places, store_yaml
from device_sims.virtual import VirtualStore

FIRST_S, EVERY_S, LAST_BEFORE_S = 60.0, 20.0, 30.0
"""Counts are asked for from the first to the last moment: what happens at the very end is not known as truth."""
ROOT = Path(__file__).parents[2]
AT_ONCE = 2_000
"""Messages in one frame."""
IN_ORDER = {"PYTHONHASHSEED": "0"}
"""For the process that counts: sums of floats go through sets in the same order each time."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one store: a tally for each facing, and what was told."""

    tallies: list[Tally]
    events: Events


def run(kind: StoreKind, seed: int, *, seconds: float) -> Ran:
    """The store of that kind and seed for so many of its seconds."""
    drawn = premises(kind, seed)
    store = VirtualStore(drawn.world, seed=seed)
    opened_at = store.now
    steps = int((seconds - LAST_BEFORE_S - FIRST_S) // EVERY_S) + 1
    samples_s = [FIRST_S + EVERY_S * step for step in range(steps)]
    report = _counted(drawn, store, seconds, samples_s)
    timeline = Timeline(drawn.world, store.truth, opened_at.timestamp())
    if not kind.counted_by_sensors:
        for asked in report.asked:
            del asked["informed"]  # nothing of what it was told bears on lines and pictures
    return Ran(_tallied(report, timeline, samples_s), events_of(report.told, timeline))


def _tallied(report: Report, timeline: Timeline, samples_s: list[float]) -> list[Tally]:
    tallies = {facing.id: Tally() for facing in timeline.world.facings}
    for at_s, asked in zip(samples_s, report.asked, strict=True):
        ours = asked.pop("ours")
        for facing, tally in tallies.items():
            if timeline.at_rest(facing, at_s):
                others = {name: counts[facing] for name, counts in asked.items() if facing in counts}
                tally.add(timeline.on_hand(facing, at_s), ours[facing], others)
    return list(tallies.values())


def _counted(drawn: Premises, store: VirtualStore, seconds: float, samples_s: list[float]) -> Report:
    """What the process that counts says of this store."""
    with tempfile.TemporaryDirectory() as folder:
        printed, told = written(Path(folder), drawn.printed), written(Path(folder), drawn.told)
        habits = asdict(habits_of(drawn.kind, drawn.world.noise))
        briefing = Briefing(printed, told, habits, store.now, samples_s, drawn.kind.desks)
        command = [sys.executable, "-m", "benchmarks.accuracy.counting"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=os.environ | IN_ORDER
        ) as counting:
            assert counting.stdin is not None
            assert counting.stdout is not None
            send(counting.stdin, briefing)
            batch = list[Heard]()
            for said in _said(drawn, store, seconds):
                batch.append(said)
                if len(batch) == AT_ONCE:
                    send(counting.stdin, batch)
                    batch = []
            send(counting.stdin, batch)
            counting.stdin.close()
            return msgspec.msgpack.decode(receive(counting.stdout), type=Report)


def _said(drawn: Premises, store: VirtualStore, seconds: float) -> Iterator[Heard]:
    """What devices publish, and what staff count by hand, in order."""
    counted_s = drawn.kind.counted_at_s
    for at_s, _, said in store.advance(seconds):
        if counted_s is not None and counted_s <= at_s:
            counted_s = None
            for facing in drawn.world.facings:
                yield CountedByHand(at_s, facing.id, store.world.on_hand(facing.id))
        yield Published(at_s, said.topic, said.body)


def written(folder: Path, planogram: Scenario) -> str:
    """The agent's configuration in this store: the file's name."""
    secret = folder / "secret"
    secret.write_text("none", encoding="utf-8")
    nobody = User("agent", "none")
    places = Places({}, broker=Broker("mosquitto", 1, 2, nobody, nobody, secret))
    file = folder / f"{len(list(folder.iterdir()))}.yaml"
    file.write_text(store_yaml(planogram, places, AgentFiles(folder)), encoding="utf-8")
    return str(file)
