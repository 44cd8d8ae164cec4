"""What every part of a scenario file is made of: unknown keys are errors, nothing changes once it is read."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Range = tuple[float, float]
"""Lowest and highest, both included."""
Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """Base of every part of a scenario."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
