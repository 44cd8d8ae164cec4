"""HQ's REST, version 1: one table of routes, from which the OpenAPI document is made too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from operator import itemgetter
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from cloud_bridge import footfall, queries, replies
from cloud_bridge.auth import Access, Caller
from cloud_bridge.availability import Availability, Offer
from cloud_bridge.bodies import Recount, parse_body
from cloud_bridge.commands import Commands
from cloud_bridge.documents import Documents
from cloud_bridge.errors import BadRequest
from cloud_bridge.liveness import Liveness
from cloud_bridge.promises import Place
from cloud_bridge.queries import from_cursor, parse, to_cursor
from cloud_bridge.replies import reply
from cloud_bridge.reservations import Reservations
from cloud_bridge.route import Route
from cloud_bridge.store import Engine
from cloud_bridge.store.records import DeviceRecord, EnvironmentRecord, FacingRecord, StoreRecord
from cloud_bridge.stream import Hub, stream
from edge_agent.contract.messages import RecountOrder
from edge_agent.contract.planogram import most_on_hand
from edge_agent.contract.times import utc_now

_MOST_BUCKETS: Final = 100_000
_NOWHERE: Final = 99_999_999
"""Metres: further than any place on earth."""
_OF_NO_STORE: Final = {"as_of": None, "catching_up": None}
R = TypeVar("R")


class Api:
    """The handlers; each takes the request, its checked query and the caller."""

    def __init__(
        self,
        engine: Engine,
        access: Access,
        liveness: Liveness,
        hub: Hub,
        commands: Commands,
        availability: Availability,
    ) -> None:
        self._engine = engine
        self._access = access
        self._liveness = liveness
        self._hub = hub
        self._commands = commands
        self._availability = availability
        self._documents = Documents(engine, commands)
        self._reservations = Reservations(engine, availability)

    def routes(self) -> list[Route]:
        """Every call that needs a role."""
        one = "/v1/stores/{store}"
        q, r, line = queries, replies, replies.FootfallItem
        facing, device, climate = FacingRecord, DeviceRecord, EnvironmentRecord
        return [
            Route("GET", "/v1/stores", self.stores, "Stores", q.Page, r.StorePage, r.StoreItem),
            Route("GET", f"{one}/facings", self.facings, "Facings", q.Facings, r.FacingPage, facing),
            Route("GET", f"{one}/facings/{{facing}}", self.facing, "One facing", q.Nothing, facing),
            Route("GET", f"{one}/devices", self.devices, "Devices", q.Page, r.DevicePage, device),
            Route("GET", f"{one}/footfall", self.footfall, "Footfall", q.Footfall, r.FootfallPage, line),
            Route("GET", f"{one}/environment", self.environment, "Climate", q.Span, r.ClimatePage, climate),
            *self._documents.routes(one),
            Route("POST", f"{one}/recounts", self.recount, "Recount a facing", q.Nothing, r.RecountTaken,
                  role="ops", body=Recount, status=202),
            Route("GET", "/v1/stock", self.stock, "Stock of one GTIN", q.Stock, r.StockReply, r.StockItem),
            *self._reservations.routes(),
            Route("GET", "/v1/events", self.events, "The feed, page by page", q.Events, r.EventPage, r.Event),
            Route("GET", "/v1/stream", self.stream, "The feed, live (text/event-stream)", q.Feed, None),
        ]  # fmt: skip

    def add_routes(self, app: web.Application) -> None:
        """Each route behind its role and its query model."""
        for route in self.routes():
            app.router.add_route(route.method, route.path, self._guarded(route))

    def _guarded(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            caller = self._access.require(request, route.role)
            checked: Any = parse(request, route.query)
            if route.body is not None:
                checked = await parse_body(request, route.body)
            return await route.handler(request, checked, caller)

        return handle

    # --- stores and what stands in them ---

    async def stores(self, request: web.Request, query: queries.Page, _: Caller) -> web.Response:
        """Stores by id, with how they are."""
        records = await self._engine.store_page(from_cursor(query.cursor), query.limit + 1)
        page, cursor = _page(records, query.limit, lambda found: found[0].store)
        now = utc_now()
        items = [
            replies.StoreItem(
                record.store, record.name, record.gln, self._liveness.status(record, now),
                self._liveness.last_seen_at(record), shown.facings, shown.out, shown.low,
                self._liveness.pending(record), *self._freshness(record),
            )
            for record, shown in page
        ]  # fmt: skip
        return reply(request, replies.StorePage(items, cursor), item=replies.StoreItem)

    async def facings(self, request: web.Request, query: queries.Facings, _: Caller) -> web.Response:
        """Facings by id."""
        record = await self._store(request)
        records = await self._engine.facing_page(
            record.store, status=query.status, after=from_cursor(query.cursor), limit=query.limit + 1
        )
        page, cursor = _page(records, query.limit, lambda facing: facing.facing)
        items = [replace(facing, observed_at=self._liveness.facing_observed_at(facing)) for facing in page]
        return reply(request, replies.FacingPage(items=items, **self._of(record, cursor)), item=FacingRecord)

    async def facing(self, request: web.Request, _: queries.Nothing, __: Caller) -> web.Response:
        """One facing."""
        record = await self._store(request)
        facing = await self._engine.facing(record.store, request.match_info["facing"])
        return reply(request, replace(facing, observed_at=self._liveness.facing_observed_at(facing)))

    async def devices(self, request: web.Request, query: queries.Page, _: Caller) -> web.Response:
        """Devices by id, as their store last described them."""
        record = await self._store(request)
        records = await self._engine.devices(
            record.store, after=from_cursor(query.cursor), limit=query.limit + 1
        )
        page, cursor = _page(records, query.limit, lambda device: device.device)
        items = [replace(d, last_seen_at=self._liveness.device_seen_at(record.store, d)) for d in page]
        return reply(request, replies.DevicePage(items=items, **self._of(record, cursor)), item=DeviceRecord)

    async def footfall(self, request: web.Request, query: queries.Footfall, _: Caller) -> web.Response:
        """Totals a line and bucket; the last day, or 30 days in days, when no span is given."""
        record = await self._store(request)
        days = 30 if query.bucket == "1d" else 1
        from_ms, to_ms = query.bounds_ms(default=timedelta(days=days))
        step_s = footfall.STEP_S[query.bucket]
        if (to_ms - from_ms) / 1000 / step_s > _MOST_BUCKETS:
            raise BadRequest(
                "the span holds too many buckets", hint="ask for a shorter span or longer buckets"
            )
        records = await self._engine.footfall(record.store, from_ms=from_ms, to_ms=to_ms, step_s=step_s)
        after = from_cursor(query.cursor)
        found = footfall.items(records, query.bucket, record.timezone)
        rest = [item for item in found if f"{item.start} {item.line}" > after]
        page, cursor = _page(rest[: query.limit + 1], query.limit, lambda i: f"{i.start} {i.line}")
        answer = replies.FootfallPage(items=page, **self._of(record, cursor))
        return reply(request, answer, item=replies.FootfallItem)

    async def environment(self, request: web.Request, query: queries.Span, _: Caller) -> web.Response:
        """Measured buckets; the last day when no span is given."""
        record = await self._store(request)
        from_ms, to_ms = query.bounds_ms(default=timedelta(days=1))
        records = await self._engine.environment(
            record.store, from_ms=from_ms, to_ms=to_ms, after=_bucket_key(query.cursor), limit=query.limit + 1
        )
        page, cursor = _page(records, query.limit, lambda r: f"{r[0]} {r[1].device} {r[1].quantity}")
        answer = replies.ClimatePage(items=[bucket for _, bucket in page], **self._of(record, cursor))
        return reply(request, answer, item=EnvironmentRecord)

    async def recount(self, request: web.Request, body: Recount, caller: Caller) -> web.Response:
        """Ask the store's agent to believe a count by hand; `stock.changed` with cause `recount` follows.

        It is done once, or not at all: after `expires_at`, or where the facing has changed meanwhile.
        """
        facing = await self._engine.facing(request.match_info["store"], body.facing)
        most = most_on_hand(facing.capacity)
        if facing.capacity and body.on_hand > most:
            raise BadRequest(
                f"on_hand: {body.on_hand} is not between 0 and {most}, twice the capacity of {facing.facing}"
            )
        order = RecountOrder(facing=facing.facing, on_hand=body.on_hand)
        command = await self._commands.issue(facing.store, "recount", order, by=caller.name)
        taken = replies.RecountTaken(
            command.id, facing.store, facing.facing, body.on_hand, command.expires_at
        )
        return reply(request, taken, status=202)

    async def stock(self, request: web.Request, query: queries.Stock, _: Caller) -> web.Response:
        """On hand and available of one GTIN, in all and by store; with a place the nearest stores first."""
        near = None
        if query.latitude is not None and query.longitude is not None:
            near = query.latitude, query.longitude
        offers = await self._availability.offers(await self._engine.stock(query.gtin), near, now=utc_now())
        ordered = sorted(((_stock_key(offer, near), offer) for offer in offers), key=itemgetter(0))
        after = from_cursor(query.cursor)
        page, cursor = _page([item for item in ordered if item[0] > after], query.limit, itemgetter(0))
        answer = replies.StockReply(
            query.gtin,
            sum(offer.stock.on_hand for offer in offers),
            sum(offer.available for offer in offers),
            [_stock_item(offer) for _, offer in page],
            cursor,
        )
        return reply(request, answer, item=replies.StockItem)

    # --- the feed ---

    async def events(self, request: web.Request, query: queries.Events, _: Caller) -> web.Response:
        """Events behind `after`, from the oldest kept one without it."""
        record = await self._engine.store(query.store) if query.store is not None else None
        after = self._engine.place(query.after) if query.after is not None else 0
        page = await self._engine.events(after, store=query.store, type_=query.type, limit=query.limit)
        fresh = self._liveness.freshness(record) if record is not None else None
        if replies.wants_csv(request):
            rows = [_event_row(event.json()) for event in page.events]
            return replies.csv_reply(request, replies.EVENT_COLUMNS, rows, page.next_cursor, freshness=fresh)
        items = b",".join(event.json() for event in page.events)
        of_store = msgspec.json.encode(fresh or _OF_NO_STORE)[1:-1]
        body = b'{"items":[%s],"next_cursor":"%s",%s}' % (items, page.next_cursor.encode(), of_store)
        return web.Response(body=body, content_type="application/json")

    async def stream(self, request: web.Request, query: queries.Feed, caller: Caller) -> web.StreamResponse:
        """Events as they are committed: behind `Last-Event-ID`, else behind `after`, else from now on."""
        await self._check_store(query.store)
        cursor = request.headers.get("Last-Event-ID") or query.after
        after = self._engine.place(cursor) if cursor else await self._engine.feed_head()
        # Asked once before the reply begins: a cursor that is ahead or expired is still a clean refusal.
        await self._hub.after(after, query.store, query.type)
        return await stream(
            request, self._hub, caller, after=after, cursor=self._engine.cursor(after), store=query.store,
            type_=query.type,
        )  # fmt: skip

    # --- small steps ---

    async def _store(self, request: web.Request) -> StoreRecord:
        return await self._engine.store(request.match_info["store"])

    async def _check_store(self, store: str | None) -> None:
        if store is not None:
            await self._engine.store(store)

    def _freshness(self, record: StoreRecord) -> tuple[str | None, bool]:
        fresh = self._liveness.freshness(record)
        return fresh.as_of, fresh.catching_up

    def _of(self, record: StoreRecord, cursor: str | None) -> dict[str, Any]:
        fresh = self._liveness.freshness(record)
        return {"next_cursor": cursor, "as_of": fresh.as_of, "catching_up": fresh.catching_up}


def _page(found: list[R], limit: int, key: Callable[[R], str]) -> tuple[list[R], str | None]:
    """The first `limit` of `found` and the cursor of the rest, if there is one."""
    page = found[:limit]
    return page, to_cursor(key(page[-1])) if len(found) > limit else None


def _stock_key(offer: Offer, near: Place | None) -> str:
    """Where an offer stands in the list: by store, or by distance and store, those without a place last."""
    if near is None:
        return offer.store
    return f"{_NOWHERE if offer.metres is None else offer.metres:08d} {offer.store}"


def _stock_item(offer: Offer) -> replies.StockItem:
    stock = offer.stock
    return replies.StockItem(offer.store, stock.on_hand, offer.available, offer.as_of, stock.confidence)


def _bucket_key(cursor: str | None) -> tuple[int, str, str]:
    if cursor is None:
        return (-(2**62), "", "")
    start, _, rest = from_cursor(cursor).partition(" ")
    device, _, quantity = rest.partition(" ")
    if not start.lstrip("-").isdigit() or len(start) > 18:
        raise BadRequest(f"cursor {cursor!r} is not one of this list", hint="use next_cursor as it came")
    return int(start), device, quantity


def _event_row(text: bytes) -> list[Any]:
    event = msgspec.json.decode(text)
    return [event[column] for column in replies.EVENT_COLUMNS]
