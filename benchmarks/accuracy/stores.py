"""The simulated stores whose counts are scored: what lies there, how it is sensed, what goes wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from device_sims.scenario import Scenario
from edge_agent.contract.gs1 import check_digit

HOURS = 1.0
ACTS_PER_FACING = 60
"""As many as in half a day, in an hour; so are bags and drift."""
ACTS_PER_SHOPPER = 11.7
"""Filling included; counted: 4,226 of 360 shoppers."""
FACINGS = 24
PER_SHELF = 6
MEDIAN_UNIT_G = 155.0
"""Of 84 items of a competition's catalogue (AutoCheckout 2020)."""


@dataclass(frozen=True, slots=True)
class StoreKind:
    """`drift_g` is the random walk of a plate's zero over the whole run; shares are of acts.

    `wide`: two facings side by side lie on three plates, each on a half of its own and on the one between them.
    """

    name: str
    unit_cv: float
    unit_bias: float
    drift_g: float
    tagged: float
    bags: float = 0.0
    bag_stays_s: tuple[float, float] = (60.0, 400.0)
    misplaces: float = 0.0
    per_plate: int = 1
    weighed: bool = True
    wide: bool = False
    lays_across: float = 0.0


KINDS = (
    StoreKind("easy", 0.01, 0.005, 7, 1.0),
    StoreKind("typical", 0.01, 0.01, 14, 0.95, bags=0.01),
    StoreKind("sticky", 0.01, 0.01, 14, 0.95, bags=0.01, bag_stays_s=(4000.0, 7000.0)),
    StoreKind("hard", 0.03, 0.02, 28, 0.90, bags=0.03, misplaces=0.02),
    StoreKind("produce", 0.10, 0.05, 14, 0.0, bags=0.01),
    StoreKind("mixed", 0.01, 0.01, 14, 0.95, bags=0.01, per_plate=2),
    StoreKind("misplaced", 0.01, 0.01, 14, 0.0, misplaces=0.10),
    StoreKind("rfid-only", 0.01, 0.01, 14, 0.95, weighed=False),
    StoreKind("wide", 0.01, 0.01, 14, 0.95, bags=0.01, wide=True),
    StoreKind("neighbours", 0.01, 0.01, 14, 0.95, bags=0.01, lays_across=0.05),
)


def scenario_of(kind: StoreKind, seed: int) -> Scenario:
    """A store of that kind; the same seed is the same store."""
    chance = Random(f"{kind.name}/{seed}")
    products, facings = [], []
    for index in range(FACINGS):
        unit_g = round(min(1500.0, max(20.0, MEDIAN_UNIT_G * math.exp(chance.gauss(0, 0.6)))), 1)
        capacity = chance.randint(6, 24)
        gtin = _gtin(index)
        products.append(
            {
                "gtin": gtin,
                "name": f"item {index}",
                "unit_weight_g": unit_g,
                "unit_weight_sd_g": round(kind.unit_cv * unit_g, 2),
                "tagged": kind.tagged,
            }
        )
        facings.append(
            {
                "id": f"F{index:02}",
                "gtin": gtin,
                "capacity": capacity,
                "reorder_point": 2,
                "on_hand": capacity - chance.randint(0, 2),
                "shelf": f"S{index // PER_SHELF}",
                "x_mm": 200.0 * (index % PER_SHELF),
                "width_mm": 200.0,
            }
        )
    return Scenario.model_validate(
        {
            "seconds": HOURS * 3600,
            "store": {"id": f"{kind.name}-{seed}", "timezone": "Asia/Shanghai"},
            "products": products,
            "facings": facings,
            "devices": _devices(kind),
            "noise": {
                "unit_weight_cv": kind.unit_cv,
                "unit_weight_bias": kind.unit_bias,
                "drift_g_per_sqrt_h": kind.drift_g / math.sqrt(HOURS),
            },
            "people": {
                "shoppers_per_minute": ACTS_PER_FACING * FACINGS / (HOURS * 60) / ACTS_PER_SHOPPER,
                "misplaces": kind.misplaces,
                "lays_across": kind.lays_across,
                "leaves_bag": kind.bags,
                "bag_stays_s": list(kind.bag_stays_s),
            },
        }
    )


def _devices(kind: StoreKind) -> list[dict[str, Any]]:
    readers = [{"id": "rfid-{shelf}", "kind": "impinj-r700"}] if kind.tagged else []
    if not kind.weighed:
        return readers
    if kind.wide:
        return [_plate(f"plate-{n:02}", names) for n, names in enumerate(_in_threes())] + readers
    if kind.per_plate == 1:
        return [_plate("plate-{facing}", ["*"]), *readers]
    firsts = range(0, FACINGS, kind.per_plate)
    plates = [_plate(f"plate-{n:02}", [f"F{i:02}" for i in range(n, n + kind.per_plate)]) for n in firsts]
    return plates + readers


def _plate(name: str, facings: list[str]) -> dict[str, Any]:
    return {"id": name, "kind": "mqtt-plate", "every_s": 0.5, "facings": facings}


def _in_threes() -> Iterator[list[str]]:
    for first in range(0, FACINGS, 2):
        left, right = f"F{first:02}", f"F{first + 1:02}"
        yield from ([left], [left, right], [right])


def _gtin(index: int) -> str:
    body = f"0690123{index:06d}"
    return f"{body}{check_digit(body)}"
