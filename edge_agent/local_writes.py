"""The writing half of the agent's API: sales, deliveries and recounts, answered when they are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
)

from edge_agent.contract.errors import (
    DoesNotFit,
    JournalError,
    LineDiffers,
    NotInPlanogram,
    ShelfEdgeError,
)
from edge_agent.contract.gs1 import Gtin
from edge_agent.contract.planogram import Identifier
from edge_agent.contract.times import parse_rfc3339
from edge_agent.lines import LONGEST_NAME, MOST_ITEMS, name_of
from edge_agent.local_body import DURABLE_WITHIN_S, body_of
from edge_agent.readings import Delivery, Recount, Sale
from edge_agent.service.problem import problem

_STATUS: Final[dict[type[ShelfEdgeError], int]] = {
    DoesNotFit: 400,
    NotInPlanogram: 404,
    LineDiffers: 409,
    JournalError: 503,
}

Take = Callable[[Sale | Delivery | Recount], Awaitable[bool]]
"""`Pipeline.take`."""
Handler = Callable[[web.Request], Awaitable[web.Response]]


def _name(value: Any) -> str:
    named = name_of(value)
    if named is None:
        raise ValueError(f"must be a number or a printable text of 1 to {LONGEST_NAME} characters")
    return named


def _not_zero(value: int) -> int:
    if value == 0:
        raise ValueError("must not be 0; what was given back at the till is negative")
    return value


def _moment(value: str) -> str:
    try:
        parse_rfc3339(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"found {value[:40]!r}; write a time like 2026-11-22T10:00:00.123Z") from error
    return value


Name = Annotated[str, BeforeValidator(_name)]
"""A number or a short text of somebody else's: 7 and "7" are the same."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SaleBody(_Body):
    """`POST /v1/sales`."""

    receipt: Name
    line: Name
    gtin: Gtin
    quantity: Annotated[StrictInt, Field(ge=-MOST_ITEMS, le=MOST_ITEMS), AfterValidator(_not_zero)]
    occurred_at: Annotated[str, AfterValidator(_moment)]

    def reading(self) -> Sale:
        """As the pipeline takes it."""
        at = parse_rfc3339(self.occurred_at)
        return Sale("", self.receipt, self.line, self.gtin, self.quantity, at)


class DeliveryBody(_Body):
    """`POST /v1/deliveries`."""

    delivery: Name
    line: Name
    gtin: Gtin
    quantity: Annotated[StrictInt, Field(ge=1, le=MOST_ITEMS)]
    facing: Identifier | None = None

    def reading(self) -> Delivery:
        """As the pipeline takes it."""
        return Delivery("", self.delivery, self.line, self.gtin, self.quantity, self.facing)


class RecountBody(_Body):
    """`POST /v1/recounts`."""

    facing: Identifier
    on_hand: Annotated[StrictInt, Field(ge=0)]

    def reading(self) -> Recount:
        """As the pipeline takes it."""
        return Recount(self.facing, self.on_hand)


class Writes:
    """The three calls. `token` None: nobody may write."""

    def __init__(self, token: str | None, take: Take) -> None:
        self._token, self._take = token, take

    def routes(self) -> list[web.RouteDef]:
        """For the agent's own page."""
        return [
            web.post("/v1/sales", self._call(SaleBody)),
            web.post("/v1/deliveries", self._call(DeliveryBody)),
            web.post("/v1/recounts", self._call(RecountBody)),
        ]

    def _call(self, model: type[SaleBody | DeliveryBody | RecountBody]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            body = await body_of(request, model, self._token)
            if isinstance(body, web.Response):
                return body
            try:
                is_new = await self._taken(body.reading())
            except ShelfEdgeError as error:
                status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
                headers = {"Retry-After": "1"} if status == 503 else {}
                return problem(status, error.message, code=error.code, hint=error.hint, headers=headers)
            answer = {**body.model_dump(exclude_none=True), "duplicate": not is_new}
            return web.json_response(answer, status=201 if is_new else 200)

        return handle

    async def _taken(self, reading: Sale | Delivery | Recount) -> bool:
        """`take`, for as long as somebody at a till waits. What it began goes on."""
        try:
            async with asyncio.timeout(DURABLE_WITHIN_S):
                return await self._take(reading)
        except TimeoutError:
            raise JournalError(
                "the disk does not take it yet", hint="send it again: it counts once; see the agent's disk"
            ) from None
