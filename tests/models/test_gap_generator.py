"""Drawn shelves: the same seed draws the same shelf, and its truth lies where it can be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SIDE = 192


@pytest.fixture
def draw(outside_data: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Draws and looks at the shelf of a seed with package photos that training uses."""
    monkeypatch.syspath_prepend(str(ROOT / "models"))
    from gap.camera import seen
    from gap.shelf import shelf
    from gap.textures import split

    textures = split(outside_data / "grocery-textures")[0]

    def drawn(seed: int) -> Any:
        random = np.random.default_rng(seed)
        return seen(random, shelf(random, textures), SIDE)

    return drawn


def test_a_seed_draws_one_shelf_and_another_seed_another(draw: Any) -> None:
    first, again, other = draw(3), draw(3), draw(4)
    assert np.array_equal(first.picture, again.picture)
    assert np.array_equal(first.gaps, again.gaps)
    assert np.array_equal(first.ignored, again.ignored)
    assert not np.array_equal(first.picture, other.picture)


def test_gaps_are_seen_in_the_picture_and_differ_from_full_facings(draw: Any) -> None:
    from gap.scene import bounds

    found = 0
    for seed in range(20):
        scene = draw(seed)
        assert scene.picture.shape == (SIDE, SIDE, 3)
        for corners in (scene.gaps, scene.stocked):
            cut = np.clip(bounds(corners), 0, SIDE)
            assert ((cut[:, 2:] - cut[:, :2]) >= 7).all()
        middles = scene.gaps.mean(axis=1)
        for left, top, right, bottom in bounds(scene.stocked):
            within = (middles > (left, top)).all(axis=1) & (middles < (right, bottom)).all(axis=1)
            upright = scene.stocked.size and abs(scene.stocked[0, 0, 1] - scene.stocked[0, 1, 1]) < 1
            assert not (within.any() and upright)
        found += len(scene.gaps)
    assert found > 10


def test_packages_kept_out_of_training_are_other_files(outside_data: Path, monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "models"))
    from gap.textures import HELD_OUT, split

    train, held_out = split(outside_data / "grocery-textures")
    assert {path.parts[-3] for path in held_out.paths} == set(HELD_OUT)
    assert not set(HELD_OUT) & {path.parts[-3] for path in train.paths}
