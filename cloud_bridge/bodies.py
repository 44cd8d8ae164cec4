"""Bodies of REST's writing calls, checked; what does not fit is a 400 that names the field."""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Final, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError
from pydantic_core import ErrorDetails

from cloud_bridge.errors import BadRequest, TooLarge
from edge_agent.contract.gs1 import Gtin
from edge_agent.contract.place import Latitude, Longitude, place_problems
from edge_agent.contract.planogram import Facing, Identifier, Product, planogram_problems

LARGEST_BODY: Final = 64 * 1024
LARGEST_PLANOGRAM: Final = 1024 * 1024
MOST_ITEMS: Final = 10_000
B = TypeVar("B", bound="Body")


class Body(BaseModel):
    """A JSON object; a field that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    largest: ClassVar[int] = LARGEST_BODY

    def problems(self) -> list[str]:
        """What does not go together, a sentence each."""
        return []


class Recount(Body):
    """Somebody counted a facing by hand."""

    facing: Identifier
    on_hand: Annotated[StrictInt, Field(ge=0)]


class Reserve(Body):
    """Somebody wants items of a GTIN kept for them, at a store or near a place, else where there are most."""

    gtin: Gtin
    quantity: Annotated[StrictInt, Field(ge=1, le=MOST_ITEMS)]
    store: str | None = None
    ttl_s: Annotated[StrictInt, Field(ge=1)] | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None

    def problems(self) -> list[str]:
        """A place has two coordinates."""
        return place_problems(self.latitude, self.longitude)


class PlanogramPut(Body):
    """What is to stand where, whole."""

    largest: ClassVar[int] = LARGEST_PLANOGRAM

    products: list[Product]
    facings: list[Facing]

    def problems(self) -> list[str]:
        """Every facing has a product; ids and GTINs are unique."""
        found = planogram_problems(self.products, self.facings)
        return [f"{'.'.join(map(str, place))}: {text}" for place, text in found]


class SettingsPut(Body):
    """Settings of the store's agent, nested as in `store.yaml`; those that are not named are the file's."""

    settings: dict[str, Any]

    def problems(self) -> list[str]:
        """A number like 1e999 is infinite to some, and not JSON to the others."""
        try:
            json.dumps(self.settings, allow_nan=False)
        except ValueError:
            return ["settings: holds a number that is too large"]
        return []


async def parse_body(request: web.Request, model: type[B]) -> B:
    """The request's body as `model`; BadRequest names every field that does not fit."""
    text = bytearray()
    async for chunk in request.content.iter_any():
        text += chunk
        if len(text) > model.largest:
            raise TooLarge(f"a body has at most {model.largest} bytes")
    hint = f"fields: {', '.join(model.model_fields)}"
    try:
        body = model.model_validate_json(bytes(text))
    except ValidationError as error:
        raise BadRequest("; ".join(map(_sentence, error.errors())), hint=hint) from error
    problems = body.problems()
    if problems:
        raise BadRequest("; ".join(problems), hint=hint)
    return body


def _sentence(item: ErrorDetails) -> str:
    name, what = ".".join(map(str, item["loc"])), item["msg"].removeprefix("Value error, ")
    return f"{name}: {what}" if name else f"the body must be one JSON object: {what}"
