"""One simulated store through the decoders and every estimator; what they say, every twenty seconds."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.accuracy.estimators import Ours, TagCount, Told, Weighed
from benchmarks.accuracy.gateway import readings, settings_of
from benchmarks.accuracy.scoring import Sample, at_rest
from benchmarks.accuracy.stores import StoreKind, scenario_of
from device_sims.truth import AnyRecord, ItemsMoved
from device_sims.virtual import VirtualStore

FIRST_S, EVERY_S = 60.0, 20.0


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one store."""

    samples: list[Sample]
    told: list[Told]
    truth: list[AnyRecord]

    @property
    def moves(self) -> int:
        """How often something was moved."""
        return sum(isinstance(record, ItemsMoved) for record in self.truth)


def run(kind: StoreKind, seed: int, *, seconds: float) -> Ran:
    """The store of that kind and seed for so many of its seconds."""
    scenario = scenario_of(kind, seed)
    settings = settings_of(scenario)
    store = VirtualStore(scenario, seed=seed)
    opened_s = store.now.timestamp()
    ours, weighed, tags = Ours(settings), Weighed(settings), TagCount(settings)
    samples, next_s = list[Sample](), FIRST_S
    for now, heard in readings(store, settings, seconds):
        for one in (ours, weighed, tags):
            one.read(heard, now)
        if heard or now.mono_s < next_s:
            continue
        next_s += EVERY_S
        counts = ours.counts()
        for facing in counts:
            others = {
                "division": weighed.divided.get(facing),
                "sum of changes": weighed.summed.get(facing),
                "tag count": tags.present[facing] if kind.tagged else None,
            }
            there = store.world.on_hand(facing)
            samples.append(Sample(seed, now.mono_s, facing, there, counts[facing], others))
    return Ran(at_rest(samples, store.truth, opened_s), ours.told, store.truth)
