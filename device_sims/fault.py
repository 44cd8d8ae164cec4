"""What may break in a simulated store: the table of faults, and one fault as it is named."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from device_sims.part import Part, Share

FaultName = Literal[
    "unplug", "mute", "half-frame", "garbage", "wrong-checksum", "slow-drip", "late-reply", "duplicate",
    "drop", "reorder", "stale-retained", "clock-off", "stuck", "over", "under", "antenna-off", "same-serial",
    "fridge-failure", "uplink-cut", "broker-restart", "power-cut",
]  # fmt: skip
Target = Literal[
    "cable", "wire", "line", "check", "scale", "antenna", "broker client", "clock", "serial", "fridge",
    "store",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class FaultKind:
    """Which things can have a fault, what happens then, and what `by` means for it (None: nothing)."""

    target: Target
    means: str
    by: str | None = None
    by_default: float = 0.0
    least: float = 0.0
    most: float = math.inf


FAULTS: dict[FaultName, FaultKind] = {
    "unplug": FaultKind("cable", "the cable is pulled; several devices at once: their hub"),
    "mute": FaultKind("wire", "it has power and says nothing"),
    "half-frame": FaultKind("wire", "it stops in the middle of a frame and says no more"),
    "garbage": FaultKind("wire", "random bytes before every answer, and inside every second one"),
    "wrong-checksum": FaultKind("check", "every frame's check does not fit"),
    "slow-drip": FaultKind("line", "its bytes come one by one", "seconds between bytes", 0.01, 0.001, 1),
    "late-reply": FaultKind("wire", "its answers come after the next question is out", "seconds", 1.5, 0.001),
    "duplicate": FaultKind("wire", "it says everything twice"),
    "drop": FaultKind("wire", "a share of what it says is lost", "share", 0.3, 0.0, 1.0),
    "reorder": FaultKind("broker client", "every two messages change places"),
    "stale-retained": FaultKind("broker client", "its last message stays retained, and it says no more"),
    "clock-off": FaultKind("clock", "its clock is wrong from now on", "seconds ahead", -3600.0, -math.inf),
    "stuck": FaultKind("scale", "it shows the same weight for ever"),
    "over": FaultKind("scale", "more lies on it than it can weigh"),
    "under": FaultKind("scale", "it shows less than nothing"),
    "antenna-off": FaultKind("antenna", "an antenna hears nothing", "its number", 1, 1),
    "same-serial": FaultKind("serial", "swapped for one with the serial number of the store's first scale"),
    "fridge-failure": FaultKind("fridge", "its compressor does not start"),
    "uplink-cut": FaultKind("store", "the line to HQ is cut"),
    "broker-restart": FaultKind("store", "the broker is killed and started again after `for`"),
    "power-cut": FaultKind("store", "no device of the store has power, nor has the broker"),
}  # fmt: skip

END_BY_THEMSELVES: frozenset[FaultName] = frozenset(("broker-restart",))
"""These end after a moment when no `for_s` is given."""


class Fault(Part):
    """One fault: of `device` (names or patterns) where it is one of a device, for good without `for_s`.

    It begins at `at_s`, or at a share of the run, so that a shorter run keeps its shape. `by` is how much, in
    the fault's own measure. A line that is cut swallows bytes without a FIN (`silent`) or closes the door.
    """

    fault: FaultName
    device: str | list[str] = []
    at_s: Annotated[float, Field(ge=0)] | None = None
    at_share: Share | None = None
    for_s: Annotated[float, Field(gt=0)] | None = None
    by: float | None = None
    manner: Literal["silent", "refused"] = "silent"

    @property
    def kind(self) -> FaultKind:
        """Its row of the table."""
        return FAULTS[self.fault]

    @property
    def patterns(self) -> list[str]:
        """Which devices it is about."""
        return [self.device] if isinstance(self.device, str) else list(self.device)

    @property
    def amount(self) -> float:
        """`by`, or what is usual."""
        return self.kind.by_default if self.by is None else self.by

    def begins_s(self, seconds: float) -> float:
        """Seconds after opening, in a run of `seconds`."""
        return self.at_s if self.at_s is not None else (self.at_share or 0.0) * seconds

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.at_s is not None and self.at_share is not None:
            raise ValueError("has both at_s and at_share; keep one")
        if self.kind.target == "store" and self.patterns:
            raise ValueError(f"{self.fault} is about the whole store; leave the device out")
        if self.kind.target != "store" and not self.patterns:
            raise ValueError(f"{self.fault} needs a device")
        if self.by is not None and self.kind.by is None:
            raise ValueError(f"{self.fault} knows no `by`")
        if not self.kind.least <= self.amount <= self.kind.most:
            raise ValueError(f"by {self.amount:g} is no {self.kind.by} of {self.fault}")
        if self.manner != "silent" and self.fault != "uplink-cut":
            raise ValueError(f"{self.fault} knows no `manner`; uplink-cut does")
        return self
