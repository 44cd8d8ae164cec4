"""A thousand seeded histories of the real journal, uplink, ingest and engine.

One seed again: `SIM_SEED=N python -m pytest tests/simulation -k lost_or_doubled`; `SIM_STEPS` as the failure says.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.simulation.lives import Scratch, again, lived
from tests.simulation.net import FATES
from tests.simulation.world import World

STEPS = int(os.environ.get("SIM_STEPS", "18"))
SEEDS = range(1000)
SOAK_BLOCKS, SOAK_BLOCK = 40, 500
MUST_HAPPEN = (
    *World.weights,
    *(f"batch {fate}" for fate in FATES),
    *(f"hello {reason}" for reason in ("first", "continue", "fork", "switch", "unknown_base", "want")),
    *(f"409 {reason}" for reason in ("gap", "stale_session")),
    "state shown",
    "batch arrives late",
)


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_and_every_trouble_has_been_met(scratch: Scratch) -> None:
    only = os.environ.get("SIM_SEED")
    happened: Counter[str] = Counter()
    for seed in SEEDS if only is None else [int(only)]:
        world, found = lived(seed, scratch, steps=STEPS)
        assert found == [], again(seed, STEPS)
        happened.update(world.happened)
    if only is None:
        print(dict(sorted(happened.items())))
        assert [what for what in MUST_HAPPEN if not happened[what]] == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(SOAK_BLOCKS))
def test_nothing_is_lost_or_doubled_in_many_longer_histories(block: int, scratch: Scratch) -> None:
    for seed in range(100_000 + block * SOAK_BLOCK, 100_000 + (block + 1) * SOAK_BLOCK):
        _, found = lived(seed, scratch, steps=60)
        assert found == [], again(seed, 60)


@pytest.mark.parametrize("seed", [3, 14])
def test_a_seed_repeats_its_history(seed: int, scratch: Scratch) -> None:
    first, second = (lived(seed, scratch, steps=STEPS)[0] for _ in range(2))
    assert first.told == second.told
    assert first.digest == second.digest
    assert first.digest != lived(seed + 1, scratch, steps=STEPS)[0].digest
