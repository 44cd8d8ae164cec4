"""One simulated device alone on the bench: the scenario around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from device_sims import equipment
from device_sims.climate import FridgeSettings
from device_sims.fault import Fault
from device_sims.noise import Noise
from device_sims.people import Happening, People
from device_sims.scenario import Scenario, Shelving, StockedFacing
from edge_agent.contract.errors import ConfigError
from edge_agent.contract.planogram import Product

_UNION, *_ = get_args(equipment.AnyEquipment)
_CLASSES: dict[str, type[equipment.Equipment]] = {
    get_args(cls.model_fields["kind"].annotation)[0]: cls for cls in get_args(_UNION)
}
KINDS: Mapping[str, str] = {
    kind: (cls.__doc__ or "").strip().split("\n")[0] for kind, cls in _CLASSES.items()
}
"""Every kind of device, in a line."""

PARTS: Mapping[str, type[BaseModel]] = {
    **_CLASSES,
    "products": Product,
    "facings": StockedFacing,
    "shelving": Shelving,
    "fridges": FridgeSettings,
    "people": People,
    "noise": Noise,
    "faults": Fault,
    **{
        act: cls
        for cls in get_args(get_args(Happening)[0])
        for act in get_args(cls.model_fields["act"].annotation)
    },
}
"""What may be asked for by name: kinds of devices, parts of a scenario file, acts of a timeline."""

_GTIN = "06901234567892"
_A_DAY_S = 86_400.0


def bench(
    kind: str,
    *,
    link: str | None = None,
    options: Mapping[str, str] | None = None,
    facings: int = 1,
    items: int = 10,
    unit_weight_g: float = 352.0,
    shoppers_per_minute: float = 0.0,
) -> Scenario:
    """A store with this one device before facings A1-01 … or the fridge F1. ConfigError when it cannot be."""
    if kind not in KINDS:
        raise ConfigError(f"no device of kind {kind!r}", hint=f"one of: {', '.join(KINDS)}")
    device: dict[str, Any] = {"id": f"{kind}-1", "kind": kind}
    device |= {key: yaml.safe_load(value) for key, value in (options or {}).items()}
    if link is not None:
        device["link"] = link
    cooled = "fridge" in _CLASSES[kind].model_fields
    file: dict[str, Any] = {
        "seconds": _A_DAY_S,
        "store": {"id": "bench", "name": f"one {kind}"},
        "products": [{"gtin": _GTIN, "name": "item", "unit_weight_g": unit_weight_g, "tagged": 1.0}],
        "facings": [
            {
                "id": f"A1-{n:02}",
                "gtin": _GTIN,
                "capacity": max(24, 2 * items),
                "on_hand": items,
                "shelf": "A1",
            }
            for n in range(1, facings + 1)
        ],
        "fridges": [{"id": "F1"}] if cooled else [],
        "devices": [device],
        "people": {"shoppers_per_minute": shoppers_per_minute},
    }
    try:
        return Scenario.model_validate(file)
    except ValidationError as error:
        text = "; ".join(
            f"{'.'.join(str(p) for p in e['loc'][2:]) or kind}: {e['msg']}" for e in error.errors()
        )
        raise ConfigError(f"{kind} cannot be served so: {text}") from error
