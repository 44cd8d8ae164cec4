"""Trains the shelf-gap net on this machine's processor: `SHELF_EDGE_DATA=... python models/train_gap_net.py`.

The same seed, steps and library versions give the same net. Needs `pip install -e .[train]`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from time import monotonic, process_time

import numpy as np
import torch
from gap.graph import FROZEN_TO, build, with_weights
from gap.lessons import Batch, Lessons
from gap.net import GraphNet
from gap.targets import loss

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "edge_agent" / "vision" / "models" / "gap-net.onnx"
BACKBONE = Path("models", "yolox_nano_416_coco.onnx")
SEED, STEPS = 20, 1600
_RATE, _BACKBONE_SHARE, _WARM_UP, _DECAY = 2e-3, 0.4, 40, 0.05
_MEAN_OVER = 0.995
_AHEAD = 4


def main() -> None:
    """Train, write the ONNX, print a line every 20 steps."""
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--steps", type=int, default=STEPS)
    wanted.add_argument("--output", type=Path, default=OUTPUT)
    chosen = wanted.parse_args()
    folder = os.environ.get("SHELF_EDGE_DATA")
    if not folder:
        sys.exit("SHELF_EDGE_DATA is not set: the folder with grocery-textures, shelf-gaps and models")
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    graph = build(Path(folder) / BACKBONE, np.random.default_rng(SEED))
    net = GraphNet(graph).to(memory_format=torch.channels_last)
    weights = train(net, Path(folder), chosen.steps)
    chosen.output.write_bytes(with_weights(graph, weights))
    print(f"{chosen.output.name}: {chosen.output.stat().st_size / 1e6:.1f} MB")


def train(net: GraphNet, data: Path, steps: int) -> dict[str, np.ndarray]:
    """The weights averaged over the last steps (exponentially), by their name in the graph."""
    net.freeze(FROZEN_TO)
    free = {name: weight for name, weight in net.named_parameters() if weight.requires_grad}
    groups = [
        {"params": [w for name, w in free.items() if ".w_head" in name], "lr": _RATE},
        {"params": [w for name, w in free.items() if ".w_head" not in name], "lr": _RATE * _BACKBONE_SHARE},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=_DECAY)
    rates = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    means = {name: weight.copy() for name, weight in net.trained().items()}
    started = monotonic()
    for number, batch in enumerate(_batches(data, steps)):
        cells = net(torch.from_numpy(batch.pictures).to(memory_format=torch.channels_last))
        off, parts = loss(cells, batch.wanted)
        optimiser.zero_grad()
        off.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        rates.step()
        keep = min(_MEAN_OVER, (number + 1) / (number + 10))
        for name, weight in net.trained().items():
            means[name] += (1 - keep) * (weight - means[name])
        if number % 20 == 0:
            shown = " ".join(f"{name} {value:.3f}" for name, value in parts.items())
            print(
                f"{number:5d} {shown}  {monotonic() - started:.0f} s, {process_time():.0f} CPU s", flush=True
            )
    return means


def _rate(step: int, steps: int) -> float:
    """Warm up, then half a cosine down to a fiftieth."""
    if step < _WARM_UP:
        return (step + 1) / _WARM_UP
    done = (step - _WARM_UP) / max(1, steps - _WARM_UP)
    return float(0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * done)))


def _batches(data: Path, steps: int) -> Iterator[Batch]:
    """Every batch in order, drawn ahead in another process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as drawer:
        ahead = [drawer.submit(_draw, data, number) for number in range(min(_AHEAD, steps))]
        for number in range(steps):
            batch = ahead.pop(0).result()
            if number + _AHEAD < steps:
                ahead.append(drawer.submit(_draw, data, number + _AHEAD))
            yield batch


def _draw(data: Path, number: int) -> Batch:
    return _lessons(data).batch(number)


@cache
def _lessons(data: Path) -> Lessons:
    return Lessons(data, SEED)


if __name__ == "__main__":
    main()
