"""One seeded history after the other, each in a folder of its own."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.simulation.checker import problems
from tests.simulation.world import World

STEPS = 18
Scratch = Callable[[], Path]


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
