"""What a count costs: an update, the gate that lets an unchanged reading pass, the memory of a facing."""

from __future__ import annotations

import gc
import random
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from edge_agent.contract.planogram import Facing, Planogram, Product
from edge_agent.moment import Moment
from edge_agent.readings import WeightReading
from edge_agent.stock.estimate import Estimator
from edge_agent.stock.hypothesis import Item
from edge_agent.stock.plate_belief import PlateBelief
from edge_agent.stock.sensors import Wiring

FACINGS, PER_SHELF, UPDATES = 2_000, 20, 2_000
GTINS = ("06901234100013", "06901234101386", "06901234104127", "06901234108231")
START = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> dict[str, Any]:
    figures: dict[str, Any] = {
        f"update_us_{kinds}_kinds": round(median(_updates_us(kinds))) for kinds in (1, 2, 3)
    }
    gc.collect()
    tracemalloc.start()
    estimator = _store()
    readings = [WeightReading(f"s{n}", None, 8 * 200.0, None) for n in range(FACINGS)]
    for tenth in range(10):
        for reading in readings:
            estimator.weight(reading, _at(tenth / 10))
    gc.collect()
    figures["kb_per_facing"] = round(tracemalloc.get_traced_memory()[0] / 1024 / FACINGS, 1)
    tracemalloc.stop()
    began, rounds = time.perf_counter(), 20
    for tenth in range(rounds):
        for reading in readings:
            estimator.weight(reading, _at(1 + tenth / 10))
    gate_us = (time.perf_counter() - began) / rounds / FACINGS * 1e6
    figures["gate_us"] = round(gate_us, 1)
    figures["percent_of_a_core_at_10_hz"] = round(gate_us * FACINGS * 10 / 1e4, 1)
    return figures


def _at(second: float) -> Moment:
    return Moment(START + timedelta(seconds=second), second)


def _store() -> Estimator:
    products = [Product(gtin=gtin, unit_weight_g=200.0 + 31 * n) for n, gtin in enumerate(GTINS)]
    facings = [
        Facing(id=f"f{n}", gtin=GTINS[n % len(GTINS)], capacity=16, shelf=f"S{n // PER_SHELF}")
        for n in range(FACINGS)
    ]
    wiring = Wiring({(f"s{n}", None): [f"f{n}"] for n in range(FACINGS)}, {})
    return Estimator(Planogram(products=products, facings=facings), wiring)


def _updates_us(kinds: int) -> list[float]:
    """Each settled change of a plate with so many kinds of item, in microseconds."""
    draw = random.Random(1)
    items = [Item(f"f{n}", f"g{n}", 155.0 * (1 + 0.37 * n), 1.55, 20) for n in range(kinds)]
    belief = PlateBelief(items, {f"n{n}": (100.0 + 37 * n, 2.0) for n in range(5)})
    counts, spent = [20] * kinds, list[float]()
    for step in range(UPDATES):
        index = draw.randrange(kinds)
        counts[index] = 20 if counts[index] < 3 else counts[index] - draw.choice((1, 1, 1, 2))
        weight_g = sum(n * item.unit_weight_g for n, item in zip(counts, items, strict=True)) * 1.003
        began = time.perf_counter()
        belief.weigh(weight_g + draw.gauss(0, 1), 60.0 * step)
        spent.append((time.perf_counter() - began) * 1e6)
    return spent


if __name__ == "__main__":
    print(main())
