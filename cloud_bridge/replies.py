"""REST replies as JSON, or as CSV where a list is asked for that way."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final, Literal

import msgspec
from aiohttp import web

from cloud_bridge.liveness import Freshness, StoreStatus
from cloud_bridge.store.records import DeviceRecord, EnvironmentRecord, FacingRecord
from cloud_bridge.store.reservations import ReservationState

EVENT_COLUMNS: Final = ("cursor", "store", "eid", "seq", "type", "occurred_at", "received_at", "data")
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class StoreItem:
    """One store."""

    store: str
    name: str
    gln: str | None
    status: StoreStatus
    last_seen_at: str | None
    facings: int
    out: int
    low: int
    pending: int
    as_of: str | None
    catching_up: bool


@dataclass(frozen=True, slots=True)
class StorePage:
    """Stores by id."""

    items: list[StoreItem]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfOneStore:
    next_cursor: str | None
    as_of: str | None
    catching_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FacingPage(_OfOneStore):
    """Facings of a store, by id."""

    items: list[FacingRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePage(_OfOneStore):
    """Devices of a store, by id."""

    items: list[DeviceRecord]


@dataclass(frozen=True, slots=True)
class FootfallItem:
    """One line's total of a bucket."""

    line: str
    start: str
    entered: int
    exited: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FootfallPage(_OfOneStore):
    """Footfall of a store, by start and line."""

    items: list[FootfallItem]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClimatePage(_OfOneStore):
    """Measured buckets of a store, by start, device and quantity."""

    items: list[EnvironmentRecord]


@dataclass(frozen=True, slots=True)
class StockItem:
    """One store's share of a GTIN."""

    store: str
    on_hand: int
    available: int
    as_of: str | None
    confidence: float


@dataclass(frozen=True, slots=True)
class StockReply:
    """Stock of one GTIN. The totals are over all stores, `items` is one page of them.

    `available` can be promised: what the counts support, less safety stock and reservations.
    """

    gtin: str
    on_hand: int
    available: int
    items: list[StockItem]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a revision that HQ published is not in use at the store."""

    revision: int
    reason: str


@dataclass(frozen=True, slots=True)
class Planogram:
    """The planogram that HQ published last, else the one that the store's agent works with (revision 0).

    `applied_revision` is the one in use there, 0 the store's own file; null before its agent reported one.
    """

    revision: int
    applied_revision: int | None
    products: list[dict[str, Any]]
    facings: list[dict[str, Any]]
    refused: Refusal | None


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that HQ published last for a store's agent; those not named are of its own file.

    `applied_revision` is the one in use there; null while its agent has not said.
    """

    revision: int
    applied_revision: int | None
    settings: dict[str, Any]
    refused: Refusal | None


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the feed; `seq` is null for a correction by HQ itself. `data` depends on `type`."""

    cursor: str
    store: str
    eid: str
    seq: int | None
    type: str
    occurred_at: str
    received_at: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in feed order. `next_cursor` is never null: keep it and ask again.

    `as_of` and `catching_up` are null unless one store was asked for.
    """

    items: list[Event]
    next_cursor: str
    as_of: str | None
    catching_up: bool | None


@dataclass(frozen=True, slots=True)
class Me:
    """Who this token or login belongs to; `csrf` goes into X-CSRF-Token on writes with a cookie."""

    name: str
    role: Literal["viewer", "ops", "admin"]
    csrf: str | None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the service works; `detail` says what is wrong."""

    status: Literal["ok", "unavailable"]
    detail: str


@dataclass(frozen=True, slots=True)
class RecountTaken:
    """A recount on its way to the store. `recount` is its id; it is not done any more after `expires_at`."""

    recount: str
    store: str
    facing: str
    on_hand: int
    expires_at: str


@dataclass(frozen=True, slots=True)
class Reserved:
    """Items that are kept at a store until `expires_at`."""

    reservation: str
    store: str
    gtin: str
    quantity: int
    expires_at: str


@dataclass(frozen=True, slots=True)
class Collected:
    """A reservation whose items were handed over."""

    reservation: str
    store: str
    gtin: str
    quantity: int
    collected_at: str


@dataclass(frozen=True, slots=True)
class ReservationItem:
    """One reservation. `claimed` of its items are not for others: all while it is held, then those that the
    shelf has not told to have left. The `store` of a refused one is that which was named.
    """

    reservation: str
    state: ReservationState
    store: str | None
    gtin: str
    quantity: int
    claimed: int
    reserved_by: str
    reserved_at: str
    expires_at: str | None
    ended_at: str | None


@dataclass(frozen=True, slots=True)
class ReservationPage:
    """Reservations, the newest first."""

    items: list[ReservationItem]
    next_cursor: str | None


def reply(request: web.Request, answer: Any, *, item: type | None = None, status: int = 200) -> web.Response:
    """`answer` as the client accepts it; `item` is the type of its `items` when it is a list."""
    if item is not None and wants_csv(request):
        return csv_reply(
            request,
            [field.name for field in fields(item)],
            [[getattr(row, field.name) for field in fields(item)] for row in answer.items],
            answer.next_cursor,
            freshness=answer if isinstance(answer, _OfOneStore) else None,
        )
    return web.Response(status=status, body=msgspec.json.encode(answer), content_type="application/json")


def wants_csv(request: web.Request) -> bool:
    """Whether text/csv is asked for before JSON."""
    kinds = [part.split(";")[0].strip().lower() for part in request.headers.get("Accept", "").split(",")]
    if "text/csv" not in kinds:
        return False
    return "application/json" not in kinds or kinds.index("text/csv") < kinds.index("application/json")


def csv_reply(
    request: web.Request,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    next_cursor: str | None,
    *,
    freshness: _OfOneStore | Freshness | None = None,
) -> web.Response:
    """A header row and cells that no spreadsheet takes for a formula; the next page is a Link header.

    How fresh a store's picture is stands in the headers `As-Of` and `Catching-Up`.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([[cell(value) for value in row] for row in rows])
    headers = {}
    if freshness is not None:
        headers = {"As-Of": freshness.as_of or "", "Catching-Up": str(freshness.catching_up).lower()}
    if next_cursor is not None:
        key = "after" if request.path == "/v1/events" else "cursor"
        headers["Link"] = f'<{request.rel_url.update_query({key: next_cursor})}>; rel="next"'
    return web.Response(text=text.getvalue(), content_type="text/csv", charset="utf-8", headers=headers)


def cell(value: Any) -> Any:
    """One CSV cell. Text that a spreadsheet would run as a formula gets an apostrophe in front."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        value = " ".join(map(str, value))
    if isinstance(value, dict) or is_dataclass(value):
        value = msgspec.json.encode(value).decode()
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
