"""What `store.yaml` says of scales and sensors that send lines of text (`ascii-scale`)."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from edge_agent.config.devices import Quantity, Scale, Sensor, SerialDevice
from edge_agent.service.line_pattern import compiled_pattern

_GROUPS = frozenset({"value", "sign", "unit", "mode", "stable", "unstable", "over", "under"})


class AsciiScale(SerialDevice, Scale, Sensor):
    """A scale or simple sensor that sends lines of text, by itself or when `command` is sent.

    `pattern` is searched for in a line. Its groups: `value` (needed), `sign`, `unit`, `mode` (NT, NET: net;
    TR, TARE: no weight of the plate), `stable` (anything but US, U, D, M, ?, 0 says stable) or `unstable`,
    `over` and `under` (anything says yes). `unit` counts where a line has none; `scale` multiplies the value.
    """

    has_channels: ClassVar[bool] = False

    driver: Literal["ascii-scale"]
    preset: Literal["auto", "and", "st-gs", "sartorius", "adam", "ohaus", "sma", "hx711"] = "auto"
    pattern: str | None = None
    unit: Literal["g", "kg", "mg", "t", "lb", "oz", "C", "F", "K", "%"] | None = None
    scale: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    command: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x00-\xff]+$")] | None = None
    poll_hz: Annotated[float, Field(gt=0, le=50)] = 5.0
    quantity: Quantity | None = None

    def compiled(self) -> re.Pattern[str] | None:
        """The pattern, ready to use."""
        return None if self.pattern is None else re.compile(self.pattern)

    @field_validator("pattern")
    @classmethod
    def _usable_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            compiled_pattern(pattern, groups=_GROUPS, needed="value")
        return pattern

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        if self.pattern is not None and self.preset != "auto":
            raise ValueError("has both preset and pattern; keep one")
        if self.scale == 0:
            raise ValueError("scale is 0: everything would weigh nothing")
        if self.quantity is None:
            if self.limits:
                raise ValueError("has limits; they need a quantity, which says what is measured")
            if self.unit in ("C", "F", "K", "%"):
                raise ValueError(f"unit {self.unit} is no mass; is a quantity missing?")
            return self
        if self.preset not in ("auto", "hx711"):
            raise ValueError(f"preset {self.preset} weighs; a quantity is a bare number, or needs a pattern")
        if self.facings or self.channels:
            raise ValueError(f"measures {self.quantity}; facings need a weight")
        for other in self.limits.keys() - {self.quantity}:
            raise ValueError(f"has limits for {other}, and measures {self.quantity}")
        return self
