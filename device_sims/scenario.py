"""A simulated store in a file: what stands where, which devices look at it, who comes, what breaks."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from device_sims.climate import FridgeSettings
from device_sims.equipment import (
    AnyEquipment,
    DoorCamera,
    Equipment,
    Weighing,
)
from device_sims.fault import Fault
from device_sims.fitting import has_broker, misfit
from device_sims.noise import Noise
from device_sims.part import Part
from device_sims.people import Delivery, Happening, Misplacing, People, ScriptedAct
from edge_agent.contract.errors import AssetsMissing, ConfigError
from edge_agent.contract.gs1 import Gtin
from edge_agent.contract.planogram import Facing, Identifier, Product, planogram_problems, plate_problems
from edge_agent.service.settings import Place, invalid, load

ENV_PREFIX = "DEVICE_SIMS"
BUILT_IN = Path(__file__).resolve().parent.parent / "configs" / "scenarios"


class StoreProfile(Part):
    """Who the simulated store says it is."""

    id: Identifier
    name: str = ""
    timezone: str = "Asia/Shanghai"
    gln: str | None = None


class StockedFacing(Facing):
    """A facing and how many items lie on it when the store opens."""

    on_hand: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.on_hand > self.capacity:
            raise ValueError(f"on_hand {self.on_hand} is above capacity {self.capacity}")
        return self


class Shelving(Part):
    """Many like facings in one line: `shelves` times `facings_each`, with the store's products in turn.

    Facing 2 of shelf 1 of `prefix` P is `P001-02` on shelf `P001`.
    """

    prefix: Identifier
    shelves: Annotated[int, Field(ge=1, le=999)]
    facings_each: Annotated[int, Field(ge=1, le=99)]
    capacity: Annotated[int, Field(gt=0)] = 12
    reorder_point: Annotated[int, Field(ge=0)] = 3
    on_hand: Annotated[int, Field(ge=0)] = 8
    width_mm: Annotated[float, Field(gt=0)] = 180.0

    def facings(self, products: list[Product]) -> Iterator[dict[str, Any]]:
        """The facings as a file would spell them out."""
        for number in range(self.shelves * self.facings_each):
            shelf, place = divmod(number, self.facings_each)
            name = f"{self.prefix}{shelf + 1:03}"
            yield {
                "id": f"{name}-{place + 1:02}", "shelf": name, "gtin": products[number % len(products)].gtin,
                "capacity": self.capacity, "reorder_point": self.reorder_point, "on_hand": self.on_hand,
                "x_mm": place * self.width_mm, "width_mm": self.width_mm,
            }  # fmt: skip


class Scenario(Part):
    """The whole file."""

    seconds: Annotated[float, Field(ge=40)] = 90.0
    store: StoreProfile
    products: Annotated[list[Product], Field(min_length=1)]
    facings: list[StockedFacing] = []
    shelving: list[Shelving] = []
    fridges: list[FridgeSettings] = []
    backroom: dict[Gtin, Annotated[int, Field(ge=0)]] | None = None
    """GTIN to how many staff can fill from; without it there is always enough."""
    devices: Annotated[list[AnyEquipment], Field(min_length=1)]
    broker: Literal["mosquitto", "iotcore", "amqtt"] | None = None
    noise: Noise = Noise()
    people: People = People()
    timeline: list[Happening] = []
    faults: list[Fault] = []

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        # `facings` holds what `shelving` stands for too; the frozen model is filled here and nowhere else.
        grown = [StockedFacing(**f) for s in self.shelving for f in s.facings(self.products)]
        self.__dict__["facings"] = [*self.facings, *grown]
        self.__dict__["shelving"] = []
        problems = list(self._problems())
        if problems:
            raise invalid(problems)
        return self

    @cached_property
    def equipment(self) -> list[Equipment]:
        """Every single device, with a plain id and the names of what it covers."""
        fridges = [fridge.id for fridge in self.fridges]
        return [one for line in self.devices for one in line.expanded(self.facings, fridges)]

    @property
    def door(self) -> DoorCamera | None:
        """The camera over the door."""
        return next((device for device in self.equipment if isinstance(device, DoorCamera)), None)

    def plates(self) -> list[list[str]]:
        """The facings of each plate, in order; a facing on no scale has a place of its own."""
        groups = [plate for scale in self.scales for plate in scale.plates()]
        weighed = {facing for group in groups for facing in group}
        return groups + [[facing.id] for facing in self.facings if facing.id not in weighed]

    @cached_property
    def scales(self) -> list[Weighing]:
        """Every device that weighs, in order."""
        return [device for device in self.equipment if isinstance(device, Weighing)]

    @cached_property
    def beside(self) -> dict[str, list[str]]:
        """Facing to those next to it on its shelf by `x_mm`, where each has one plate to itself.

        Over the seam between two such plates an item can lie across.
        """
        plates = self.plates()
        times = Counter(facing for plate in plates for facing in plate)
        alone = {plate[0] for plate in plates if len(plate) == 1 and times[plate[0]] == 1}
        placed = [(f.shelf, f.x_mm, f.id) for f in self.facings if f.shelf and f.x_mm is not None]
        found: dict[str, list[str]] = {facing.id: [] for facing in self.facings}
        for (shelf, _, left), (same, _, right) in itertools.pairwise(sorted(placed)):
            if shelf == same and left in alone and right in alone:
                found[left].append(right)
                found[right].append(left)
        return found

    def fridge_of(self, facing: str) -> str | None:
        """The fridge in which a facing is."""
        return next(
            (f.id for f in self.fridges if any(fnmatchcase(facing, pattern) for pattern in f.facings)), None
        )

    def named(self, patterns: list[str]) -> list[str]:
        """The devices and fridges that patterns mean, in order."""
        names = [device.id for device in self.equipment] + [fridge.id for fridge in self.fridges]
        exact, wild = set(patterns), [pattern for pattern in patterns if set(pattern) & set("*?[")]
        return [name for name in names if name in exact or any(fnmatchcase(name, one) for one in wild)]

    def befallen(self, fault: Fault) -> list[str]:
        """Whom a fault strikes: without power all devices."""
        return (
            [one.id for one in self.equipment] if fault.fault == "power-cut" else self.named(fault.patterns)
        )

    def product(self, gtin: str) -> Product:
        """The product behind a GTIN-14 of this scenario."""
        return next(product for product in self.products if product.gtin == gtin)

    def _problems(self) -> Iterator[tuple[Place, str]]:
        yield from planogram_problems(self.products, list(self.facings))
        weights: Mapping[str, float | None] = {p.gtin: p.unit_weight_g for p in self.products}
        for index, facing in enumerate(self.facings):
            if facing.gtin in weights and weights[facing.gtin] is None:
                text = f"product {facing.gtin} has no unit_weight_g; a simulated item must weigh something"
                yield ("facings", index, "gtin"), text
        for gtin in (self.backroom or {}).keys() - weights.keys():
            yield ("backroom", gtin), f"product {gtin!r} is not in products"
        yield from self._device_problems()
        yield from self._script_problems()

    def _device_problems(self) -> Iterator[tuple[Place, str]]:
        yield from self._coverage_problems()
        names = Counter([device.id for device in self.equipment] + [fridge.id for fridge in self.fridges])
        for name in (name for name, times in names.items() if times > 1):
            yield ("devices",), f"{name!r} is there twice"
        for _, text in plate_problems(self.facings, self.plates()):
            yield ("devices",), text
        if sum(isinstance(device, DoorCamera) for device in self.equipment) > 1:
            yield ("devices",), "has two door cameras; a simulated store has one door"

    def _coverage_problems(self) -> Iterator[tuple[Place, str]]:
        fridges, known = [f.id for f in self.fridges], [f.id for f in self.facings]
        for index, line in enumerate(self.devices):
            made, unknown = line.expanded(self.facings, fridges), line.unknown(self.facings, fridges)
            for pattern in unknown:
                yield (
                    ("devices", index),
                    f"{pattern!r} is no facing or fridge; known: {_some(known + fridges)}",
                )
            if not made and not unknown:
                yield ("devices", index), f"{line.id!r} covers nothing: there is no fridge"
            for problem in (problem for one in made if (problem := one.problem()) is not None):
                yield ("devices", index), problem
        for index, fridge in enumerate(self.fridges):
            for pattern in fridge.facings:
                if not any(fnmatchcase(name, pattern) for name in known):
                    yield ("fridges", index, "facings"), f"{pattern!r} is no facing; known: {_some(known)}"

    def _script_problems(self) -> Iterator[tuple[Place, str]]:
        if self.people.lays_across and not any(self.beside.values()):
            text = "no two facings with a plate each are side by side; give them shelf and x_mm"
            yield ("people", "lays_across"), text
        for index, happening in enumerate(self.timeline):
            if happening.at_s >= self.seconds:
                yield ("timeline", index, "at_s"), f"{happening.at_s:g} s: by then the store has closed"
            for key, text in self._happening_problems(happening):
                yield ("timeline", index, key), text
        for index, fault in enumerate(self.faults):
            if fault.at_s is not None and fault.at_s >= self.seconds:
                yield ("faults", index, "at_s"), f"{fault.at_s:g} s: by then the store has closed"
            for problem in self.fault_problems(fault):
                yield ("faults", index, "device"), problem

    def _happening_problems(self, happening: Happening) -> Iterator[tuple[str, str]]:
        known = {facing.id for facing in self.facings}
        if isinstance(happening, Delivery):
            if all(product.gtin != happening.gtin for product in self.products):
                yield "gtin", f"product {happening.gtin!r} is not in products"
            return
        named = {"facing": happening.facing}
        if isinstance(happening, Misplacing):
            named["onto"] = happening.onto
        for key, facing in named.items():
            if facing not in known:
                yield key, f"{facing!r} is no facing; known: {_some(sorted(known))}"
        if isinstance(happening, ScriptedAct) and happening.across is not None:
            beside = self.beside.get(happening.facing, [])
            if happening.across not in beside:
                text = f"{happening.across!r} is not beside {happening.facing!r}, with a plate each"
                yield "across", f"{text}; known: {_some(beside) or 'none'}"

    def fault_problems(self, fault: Fault) -> Iterator[str]:
        """What is wrong with a fault in this store."""
        named, devices = self.named(fault.patterns), {device.id: device for device in self.equipment}
        for pattern in dict.fromkeys(fault.patterns):
            if pattern not in devices and not self.named([pattern]):
                known = [*devices, *(fridge.id for fridge in self.fridges)]
                yield f"{pattern!r} is no device of this store; known: {_some(known)}"
        of_fridges = fault.kind.target == "fridge"
        for name in named:
            device = devices.get(name)
            problem = misfit(fault, device) if device is not None else None
            if device is None and not of_fridges:
                problem = f"{fault.fault} cannot befall {name!r}: it is a fridge; what can is fridge-failure"
            if problem is not None:
                yield problem
        if fault.fault == "broker-restart" and not has_broker(self.equipment):
            yield "this store has no broker: none of its devices speaks MQTT"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")


def load_scenario(name: str | Path, *, seconds: float | None = None) -> Scenario:
    """A scenario by file path or built-in name (`demo`, `opening`, …), open for `seconds` where given.

    ConfigError with one line a problem.
    """
    path = Path(name)
    if not path.suffix and not path.exists():
        path = BUILT_IN / f"{name}.yaml"
        if not path.is_file():
            known = ", ".join(built_in_scenarios()) or "none in this install"
            raise AssetsMissing(
                f"no scenario named {str(name)!r}", hint=f"give a YAML file, or one of: {known}"
            )
    if not path.is_file():
        raise ConfigError(f"{path}: no such file", hint="give a YAML file, or a name of `device-sims list`")
    scenario = load(path, Scenario, env_prefix=ENV_PREFIX)
    return scenario if seconds is None else scenario.model_copy(update={"seconds": seconds})


def built_in_scenarios() -> list[str]:
    """The names of the scenarios that come with the product."""
    return sorted(path.stem for path in BUILT_IN.glob("*.yaml"))
