"""One store of a kind, drawn from a seed: the world, and what its planogram says of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from benchmarks.accuracy.stores import ACTS_PER_FACING, FACINGS, HOURS, Range, StoreKind, Unfamiliar
from device_sims.scenario import Scenario
from edge_agent.contract.gs1 import check_digit
from edge_agent.contract.planogram import Product

ACTS_PER_SHOPPER = 11.7
"""Filling included; counted: 4,226 of 360 shoppers."""
PER_SHELF = 6
MEDIAN_UNIT_G = 155.0
"""Of 84 items of a competition's catalogue (AutoCheckout 2020)."""


@dataclass(frozen=True, slots=True)
class Premises:
    """`kind` with the store's own values. `printed`: the planogram that staff wrote; `told`: the same with the
    spread and the tagged share that are true, but the printed weight: parameters of the generator, no draws."""

    kind: StoreKind
    world: Scenario
    printed: Scenario
    told: Scenario


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A store of a kind: its values, its noise, and the planogram's errors for each product."""

    kind: StoreKind
    noise: dict[str, Any]
    chance: Random
    unfamiliar: Unfamiliar | None = None
    printed: list[dict[str, Any]] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)

    def product(self, index: int, unit_g: float) -> dict[str, Any]:
        """One product as it is; what the planogram says of it is noted."""
        true: dict[str, Any] = {
            "gtin": _gtin(index),
            "name": f"item {index}",
            "unit_weight_g": unit_g,
            "unit_weight_sd_g": round(self.kind.unit_cv * unit_g, 2),
            "tagged": self.kind.tagged,
        }
        told, printed = true, true
        if self.unfamiliar is not None:
            of, chance = self.unfamiliar, self.chance
            if self.kind.tagged:
                true["tagged"] = round(chance.uniform(*of.tagged), 3)
            told = true | {"unit_weight_g": round(unit_g * (1 + chance.uniform(*of.unit_bias)), 1)}
            printed = dict(told)
            if self.kind.tagged:
                off = chance.uniform(*of.tagged_off)
                printed["tagged"] = round(min(1.0, max(0.0, true["tagged"] + off)), 2)
            if chance.random() < of.without_spread:
                printed["unit_weight_sd_g"] = None
        self.told.append(told)
        self.printed.append(printed)
        return true


def premises(kind: StoreKind, seed: int) -> Premises:
    """A store of that kind; the same seed is the same store."""
    drawn = _drawn(kind, seed)
    kind, chance = drawn.kind, Random(f"{kind.name}/{seed}")
    products, facings = [], []
    for index in range(FACINGS):
        unit_g = round(min(1500.0, max(20.0, MEDIAN_UNIT_G * math.exp(chance.gauss(0, 0.6)))), 1)
        capacity = chance.randint(6, 24)
        products.append(drawn.product(index, unit_g))
        facings.append(
            {
                "id": f"F{index:02}",
                "gtin": _gtin(index),
                "capacity": capacity,
                "reorder_point": 2,
                "on_hand": capacity - chance.randint(0, 2),
                "shelf": f"S{index // PER_SHELF}",
                "x_mm": 200.0 * (index % PER_SHELF),
                "width_mm": 200.0,
            }
        )
    world = Scenario.model_validate(
        {
            "seconds": HOURS * 3600,
            "store": {"id": f"{kind.name}-{seed}", "timezone": "Asia/Shanghai"},
            "products": products,
            "facings": facings,
            "devices": _devices(kind),
            "noise": drawn.noise,
            "people": {
                "shoppers_per_minute": ACTS_PER_FACING * FACINGS / (HOURS * 60) / ACTS_PER_SHOPPER,
                "misplaces": kind.misplaces,
                "lays_across": kind.lays_across,
                "leaves_bag": kind.bags,
                "bag_stays_s": list(kind.bag_stays_s),
                "steals": kind.steals,
            },
        }
    )
    return Premises(kind, world, _with(world, drawn.printed), _with(world, drawn.told))


def _drawn(kind: StoreKind, seed: int) -> _Drawn:
    chance = Random(f"{kind.name}/{seed}/unfamiliar")
    noise: dict[str, Any] = {"unit_weight_bias": kind.unit_bias}
    if (of := kind.unfamiliar) is not None:
        low, high = of.unit_cv
        kind = replace(
            kind,
            unit_cv=math.exp(chance.uniform(math.log(low), math.log(high))),
            unit_bias=(of.unit_bias[1] - of.unit_bias[0]) / math.sqrt(12),
            drift_g=chance.uniform(*of.drift_g),
            bags=chance.uniform(*of.bags),
        )
        noise = {
            "unit_weight_bias": 0.0,  # it is in what is printed
            "sample_sd_g": _range(of.sample_sd_g, chance),
            "settling_s": _range(of.settling_s, chance),
            "tag_read_per_s": _range(of.tag_read_per_s, chance),
        }
    noise |= {"unit_weight_cv": kind.unit_cv, "drift_g_per_sqrt_h": kind.drift_g / math.sqrt(HOURS)}
    return _Drawn(kind, noise, chance, of)


def _range(ends: tuple[Range, Range], chance: Random) -> list[float]:
    return [round(chance.uniform(*end), 3) for end in ends]


def _with(world: Scenario, products: list[dict[str, Any]]) -> Scenario:
    return world.model_copy(update={"products": [Product.model_validate(one) for one in products]})


def _devices(kind: StoreKind) -> list[dict[str, Any]]:
    others: list[dict[str, Any]] = [{"id": "rfid-{shelf}", "kind": "impinj-r700"}] if kind.tagged else []
    if kind.desks:
        others += [
            {"id": "till", "kind": "till", "missed": kind.unscanned},
            {"id": "goods-in", "kind": "goods-in", "missed": kind.unscanned},
            {"id": "camera-{shelf}", "kind": "smart-camera"},
        ]
    if not kind.weighed:
        return others
    if kind.wide:
        return [_plate(f"plate-{n:02}", names) for n, names in enumerate(_in_threes())] + others
    if kind.per_plate == 1:
        return [_plate("plate-{facing}", ["*"]), *others]
    firsts = range(0, FACINGS, kind.per_plate)
    plates = [_plate(f"plate-{n:02}", [f"F{i:02}" for i in range(n, n + kind.per_plate)]) for n in firsts]
    return plates + others


def _plate(name: str, facings: list[str]) -> dict[str, Any]:
    return {"id": name, "kind": "mqtt-plate", "every_s": 0.5, "facings": facings}


def _in_threes() -> Iterator[list[str]]:
    for first in range(0, FACINGS, 2):
        left, right = f"F{first:02}", f"F{first + 1:02}"
        yield from ([left], [left, right], [right])


def _gtin(index: int) -> str:
    body = f"0690123{index:06d}"
    return f"{body}{check_digit(body)}"
