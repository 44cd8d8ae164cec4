"""Query strings of REST, checked; what does not fit is a 400 that names the parameter."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import Annotated, Any, Literal, Self, TypeVar

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from cloud_bridge.errors import BadRequest
from cloud_bridge.store.reservations import ReservationState
from edge_agent.contract.gs1 import Gtin
from edge_agent.contract.messages import FEED_KINDS
from edge_agent.contract.place import Latitude, Longitude, place_problems
from edge_agent.contract.times import parse_rfc3339, utc_now

Q = TypeVar("Q", bound="Query")


def _moment(value: str) -> str:
    parse_rfc3339(value)
    return value


def _event_type(value: str) -> str:
    if value not in FEED_KINDS:
        raise ValueError(f"{value!r} is not an event type; known: {', '.join(sorted(FEED_KINDS))}")
    return value


Moment = Annotated[str, AfterValidator(_moment)]
Cursor = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]+$", max_length=400)]


class Query(BaseModel):
    """A query string; a parameter that is not known is an error, not silently no filter."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Page(Query):
    """One page of a list."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: Cursor | None = None


class Facings(Page):
    """Facings, all or of one status."""

    status: Literal["ok", "low", "out", "unknown"] | None = None


class Stock(Page):
    """Stock of one item; with a place, the nearest stores first."""

    gtin: Gtin
    latitude: Latitude | None = None
    longitude: Longitude | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if problems := place_problems(self.latitude, self.longitude):
            raise ValueError(*problems)
        return self


class Reservations(Page):
    """Reservations, all or of one store, item or state."""

    store: str | None = None
    gtin: Gtin | None = None
    state: ReservationState | None = None


class Span(Page):
    """A span of time, `from` included, `to` not; a day back from now when nothing is given."""

    from_: Annotated[Moment | None, Field(alias="from")] = None
    to: Moment | None = None

    def bounds_ms(self, *, default: timedelta) -> tuple[int, int]:
        """Unix milliseconds [from, to)."""
        end = parse_rfc3339(self.to) if self.to else utc_now()
        start = parse_rfc3339(self.from_) if self.from_ else end - default
        if start > end:
            raise BadRequest("from is after to")
        return round(start.timestamp() * 1000), round(end.timestamp() * 1000)


class Footfall(Span):
    """Footfall in buckets; a day is a day of the store's own time zone."""

    bucket: Literal["1m", "1h", "1d"] = "1h"


class Feed(Query):
    """Events behind a cursor, of all stores and types or of one."""

    after: Cursor | None = None
    store: str | None = None
    type: Annotated[str, AfterValidator(_event_type)] | None = None


class Events(Feed):
    """One page of events."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class Nothing(Query):
    """No parameters."""


def parse(request: web.Request, model: type[Q]) -> Q:
    """The request's query string as `model`; BadRequest names the first parameter that does not fit."""
    values: dict[str, Any] = {}
    for name, value in request.query.items():
        if name in values:
            raise BadRequest(f"parameter {name!r} is given twice")
        values[name] = value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        item = error.errors(include_url=False)[0]
        name = ".".join(map(str, item["loc"])) or "query"
        message = item["msg"].removeprefix("Value error, ")
        known = ", ".join(sorted(f.alias or n for n, f in model.model_fields.items()))
        raise BadRequest(
            f"parameter {name!r}: {message}", hint=f"known parameters: {known or 'none'}"
        ) from error


def to_cursor(key: str) -> str:
    """A list position as an opaque cursor."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def from_cursor(cursor: str | None) -> str:
    """The position behind a cursor, the empty string without one; BadRequest when it is none of ours."""
    if cursor is None:
        return ""
    try:
        key = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise BadRequest(
            f"cursor {cursor!r} is not one of ours", hint="use next_cursor as it came"
        ) from error
    return key
