"""A simulated store in a file: what stands where, who comes, what breaks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_agent.contract.errors import AssetsMissing
from edge_agent.contract.planogram import Facing, Identifier, Product, planogram_problems
from edge_agent.service.settings import invalid, load

ENV_PREFIX = "DEVICE_SIMS"
BUILT_IN = Path(__file__).resolve().parent.parent / "configs" / "scenarios"

Range = Annotated[tuple[float, float], Field(description="lowest and highest, both included")]
Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """Base of every part of a scenario: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class Noise(Part):
    """How far devices and goods are from ideal; the defaults are sizes seen on real load cells and tags."""

    sample_sd_g: Range = (0.12, 0.19)
    settling_s: Range = (0.8, 3.0)
    swing_g: Range = (0.4, 40.0)
    drift_g_per_sqrt_h: Annotated[float, Field(ge=0)] = 4.0
    creep_share: Annotated[float, Field(ge=0)] = 0.0002
    temperature_g: Annotated[float, Field(ge=0)] = 0.5
    unit_weight_cv: Annotated[float, Field(ge=0)] = 0.01
    unit_weight_bias: Annotated[float, Field(ge=0)] = 0.005
    tag_read_per_s: Range = (0.11, 0.63)
    rssi_sd_db: Annotated[float, Field(ge=0)] = 2.2
    cross_read_share: Share = 0.05


class People(Part):
    """How busy the store is. Times in seconds."""

    shoppers_per_minute: Annotated[float, Field(gt=0, le=60)] = 6.0
    inside_at_opening: Annotated[int, Field(ge=0)] = 2
    visit_s: Range = (18.0, 35.0)
    between_acts_s: Range = (1.5, 3.5)
    walk_to_shelf_s: Annotated[float, Field(ge=0)] = 6.0
    two_at_once: Share = 0.25
    puts_back: Share = 0.22
    restock_after_s: Range = (4.0, 10.0)
    restock_at_least: Annotated[int, Field(ge=1)] = 5
    plate_rest_s: Annotated[float, Field(gt=0)] = 6.5
    door_gap_s: Annotated[float, Field(gt=0)] = 3.5
    quiet_s: Annotated[float, Field(ge=0)] = 10.0


class Scales(Part):
    """One MT-SICS scale under each facing, named `scale-<facing in lower case>`."""

    link: Literal["pty", "tcp"] = "pty"
    max_g: Annotated[float, Field(gt=0)] = 15_000.0
    decimals: Annotated[int, Field(ge=0, le=2)] = 1


class RfidReader(Part):
    """One Impinj R700 with an antenna over each facing, numbered in planogram order."""

    id: Identifier = "rfid-a"
    topic: str = "rfid/impinj-a/events"


class DoorCameraPlace(Part):
    """The camera over the door."""

    id: Identifier = "cam-door"
    line: Identifier = "door"
    fps: Annotated[float, Field(gt=0, le=30)] = 10.0


class ScriptedAct(Part):
    """One act that happens at its moment whatever else the seed brings."""

    at_s: Annotated[float, Field(ge=0)]
    facing: Identifier
    act: Literal["pick", "return", "restock"]
    quantity: Annotated[int, Field(gt=0)] = 1


class UplinkCut(Part):
    """The line to HQ goes: `silent` swallows bytes without a FIN, `refused` closes the door."""

    fault: Literal["uplink-cut"]
    at_share: Share
    for_s: Annotated[float, Field(gt=0)] = 15.0
    manner: Literal["silent", "refused"] = "silent"


class Unplug(Part):
    """A device's cable is pulled, for good unless `for_s` says when it is plugged in again."""

    fault: Literal["unplug"]
    device: Identifier
    at_share: Share
    for_s: Annotated[float, Field(gt=0)] | None = None


Fault = Annotated[UplinkCut | Unplug, Field(discriminator="fault")]


class Scenario(Part):
    """The whole file. `at_share` of a fault is a share of the run, so that a shorter run keeps its shape."""

    seconds: Annotated[float, Field(ge=40)] = 90.0
    store: StoreProfile
    products: list[Product]
    facings: Annotated[list[StockedFacing], Field(min_length=1)]
    scales: Scales | None = Scales()
    reader: RfidReader | None = RfidReader()
    broker: Literal["mosquitto", "iotcore", "amqtt"] | None = None
    camera: DoorCameraPlace | None = DoorCameraPlace()
    noise: Noise = Noise()
    people: People = People()
    timeline: list[ScriptedAct] = []
    faults: list[Fault] = []

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = planogram_problems(self.products, list(self.facings))
        known = {facing.id for facing in self.facings}
        weights = {product.gtin: product.unit_weight_g for product in self.products}
        for index, facing in enumerate(self.facings):
            if facing.gtin in weights and weights[facing.gtin] is None:
                text = f"product {facing.gtin} has no unit_weight_g; a simulated item must weigh something"
                problems.append((("facings", index, "gtin"), text))
        for index, act in enumerate(self.timeline):
            if act.facing not in known:
                problems.append((("timeline", index, "facing"), f"facing {act.facing!r} is not in facings"))
        scales = {scale_id(facing) for facing in known} if self.scales else set()
        for index, fault in enumerate(self.faults):
            if isinstance(fault, Unplug) and fault.device not in scales:
                text = f"{fault.device!r} is no scale of this store; known: {', '.join(sorted(scales))}"
                problems.append((("faults", index, "device"), text))
        if problems:
            raise invalid(problems)
        return self

    def product(self, gtin: str) -> Product:
        """The product behind a GTIN-14 of this scenario."""
        return next(product for product in self.products if product.gtin == gtin)


def scale_id(facing: str) -> str:
    """The device id of the scale under a facing."""
    return f"scale-{facing.lower()}"


def load_scenario(name: str | Path, *, seconds: float | None = None) -> Scenario:
    """A scenario by file path or built-in name (`demo`, `opening`), open for `seconds` where given.

    ConfigError with one line a problem.
    """
    path = Path(name)
    if not path.suffix and not path.exists():
        path = BUILT_IN / f"{name}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in BUILT_IN.glob("*.yaml"))) or "none in this install"
            raise AssetsMissing(
                f"no scenario named {str(name)!r}", hint=f"give a YAML file, or one of: {known}"
            )
    scenario = load(path, Scenario, env_prefix=ENV_PREFIX)
    return scenario if seconds is None else scenario.model_copy(update={"seconds": seconds})
