"""A place on Earth, in degrees."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]


def place_problems(latitude: float | None, longitude: float | None) -> list[str]:
    """What is wrong with a place that may be left out; it has two coordinates."""
    return ["latitude and longitude go together"] if (latitude is None) != (longitude is None) else []
