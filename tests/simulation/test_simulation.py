"""Thousands of seeded histories of the real journal, uplink, ingest and engine, and rules that they need.

One seed again: `SIM_SEED=N python -m pytest tests/simulation -k lost_or_doubled`; `SIM_STEPS` as the failure says.
"""

from __future__ import annotations

import gc
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.simulation import broken
from tests.simulation.checker import problems
from tests.simulation.net import FATES
from tests.simulation.world import World

STEPS = int(os.environ.get("SIM_STEPS", "18"))
SEEDS = range(1000)
SOAK_BLOCKS, SOAK_BLOCK = 40, 500
CAUGHT_WITHIN = 400
"""Seeds within which a broken rule must show."""
MUST_HAPPEN = (
    *World.weights,
    *(f"batch {fate}" for fate in FATES),
    *(f"hello {reason}" for reason in ("first", "continue", "fork", "switch", "unknown_base", "want")),
    *(f"409 {reason}" for reason in ("gap", "stale_session")),
    "state shown",
    "batch arrives late",
)

Scratch = Callable[[], Path]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Troubles are what this is about: no log of them, and no collector between thousands of small worlds."""
    logging.disable(logging.CRITICAL)
    gc.disable()
    yield
    gc.enable()
    logging.disable(logging.NOTSET)


def lived(
    seed: int, scratch: Scratch, *, kind: type[World] = World, steps: int = STEPS
) -> tuple[World, list[str]]:
    """The world of this seed after it has healed, and what is wrong with it."""
    folder = scratch()
    world = kind(seed, folder)
    try:
        with world.opened():
            world.live(steps)
            world.heal()
            world.digest = world.trace()
            return world, problems(world)
    finally:
        shutil.rmtree(folder)
        if not seed % 50:
            gc.collect()


def again(seed: int, steps: int) -> str:
    return (
        f"seed {seed}: SIM_SEED={seed} SIM_STEPS={steps} python -m pytest tests/simulation -k lost_or_doubled"
    )


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_and_every_trouble_has_been_met(scratch: Scratch) -> None:
    only = os.environ.get("SIM_SEED")
    happened: Counter[str] = Counter()
    for seed in SEEDS if only is None else [int(only)]:
        world, found = lived(seed, scratch)
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
    first, second = (lived(seed, scratch)[0] for _ in range(2))
    assert first.told == second.told
    assert first.digest == second.digest
    assert first.digest != lived(seed + 1, scratch)[0].digest


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (broken.trust_numbers, ("is lost", "is held and not told", "does not get through")),
        (broken.no_merge_base, ("is there 2 times",)),
        (broken.prune_at_applied, ("is lost",)),
        (broken.answer_before_commit, ("is lost",)),
        (broken.agent_does_not_compare, ("is lost", "is held and not told", "does not get through")),
    ],
)
def test_a_broken_rule_is_caught(
    breaks: broken.Break, says: tuple[str, ...], scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = breaks(monkeypatch)
    for seed in range(CAUGHT_WITHIN):
        _, found = lived(seed, scratch, kind=kind)
        if any(word in problem for problem in found for word in says):
            return
    pytest.fail(f"{CAUGHT_WITHIN} histories without {breaks.__name__}: the check is blind")


def test_where_hq_keeps_what_it_committed_that_is_safe_to_forget(scratch: Scratch) -> None:
    """The other side of `answer_before_commit`: the same worlds with an HQ that commits first."""
    for seed in range(40):
        assert lived(seed, scratch, kind=broken.SteadyWorld)[1] == [], f"seed {seed}"
