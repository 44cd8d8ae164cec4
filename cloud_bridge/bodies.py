"""Bodies of REST's writing calls, checked; what does not fit is a 400 that names the field."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from cloud_bridge.errors import BadRequest, TooLarge
from edge_agent.contract.planogram import Identifier

LARGEST_BODY: Final = 64 * 1024
B = TypeVar("B", bound="Body")


class Body(BaseModel):
    """A JSON object; a field that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Recount(Body):
    """Somebody counted a facing by hand."""

    facing: Identifier
    on_hand: Annotated[StrictInt, Field(ge=0)]


async def parse_body(request: web.Request, model: type[B]) -> B:
    """The request's body as `model`; BadRequest names the first field that does not fit."""
    text = bytearray()
    async for chunk in request.content.iter_any():
        text += chunk
        if len(text) > LARGEST_BODY:
            raise TooLarge(f"a body has at most {LARGEST_BODY} bytes")
    try:
        return model.model_validate_json(bytes(text))
    except ValidationError as error:
        item = error.errors(include_url=False, include_input=False)[0]
        name, what = ".".join(map(str, item["loc"])), item["msg"].removeprefix("Value error, ")
        detail = f"{name}: {what}" if name else f"the body must be one JSON object: {what}"
        raise BadRequest(detail, hint=f"fields: {', '.join(model.model_fields)}") from error
