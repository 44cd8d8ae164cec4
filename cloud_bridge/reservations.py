"""REST's reservations: items of a store that are kept for somebody, for a while."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from typing import Final

from aiohttp import web

from cloud_bridge import metrics, queries, replies
from cloud_bridge.auth import Caller
from cloud_bridge.availability import Availability, Offer, best_first, place_of
from cloud_bridge.bodies import Reserve
from cloud_bridge.errors import BadRequest, NotAvailable
from cloud_bridge.promises import Place
from cloud_bridge.queries import from_cursor, to_cursor
from cloud_bridge.replies import reply
from cloud_bridge.route import NO_CONTENT, Route
from cloud_bridge.store import Engine
from cloud_bridge.store.records import StoreRecord
from cloud_bridge.store.reservations import ReservationRecord, Wanted
from edge_agent.contract.times import utc_now

KEY_HEADER: Final = "Idempotency-Key"
TRIED: Final = 20
"""Stores that one call tries, the best first: each is a look at the newest stock inside the transaction."""
ALTERNATIVES: Final = 10
_KEY: Final = re.compile(r'"?([!#-~]{1,255}?)"?', re.ASCII)
_NEWEST: Final = 2**62
_OVER: Final = {409: "The reservation has ended another way"}
_REFUSED: Final = {
    409: "It cannot be had there; `alternatives` says where",
    422: "The Idempotency-Key was sent before, with another body",
}


class Reservations:
    """Reserve, collect, release, and the list of all of it."""

    def __init__(self, engine: Engine, availability: Availability) -> None:
        self._engine, self._availability = engine, availability

    def routes(self) -> list[Route]:
        """The calls."""
        q, r, all_ = queries, replies, "/v1/reservations"
        one = f"{all_}/{{reservation}}"
        return [
            Route("GET", all_, self.reservations, "Reservations", q.Reservations, r.ReservationPage,
                  r.ReservationItem),
            Route("POST", all_, self.reserve, "Reserve items", q.Nothing, r.Reserved, role="ops",
                  body=Reserve, status=201, header=KEY_HEADER, refusals=_REFUSED),
            Route("POST", f"{one}/collect", self.collect, "Items were handed over", q.Nothing, r.Collected,
                  role="ops", refusals=_OVER),
            Route("DELETE", one, self.release, "Release a reservation", q.Nothing, None, role="ops",
                  status=NO_CONTENT, refusals=_OVER),
        ]  # fmt: skip

    async def reservations(
        self, request: web.Request, query: queries.Reservations, _: Caller
    ) -> web.Response:
        """Every reservation and every refused wish for one, the newest first."""
        found = await self._engine.reservation_page(
            store=query.store,
            gtin=query.gtin,
            state=query.state,
            before=_before(query.cursor),
            limit=query.limit + 1,
            clock=utc_now,
        )
        page = found[: query.limit]
        cursor = to_cursor(str(page[-1].n)) if len(found) > query.limit else None
        answer = replies.ReservationPage([_item(record) for record in page], cursor)
        return reply(request, answer, item=replies.ReservationItem)

    async def reserve(self, request: web.Request, body: Reserve, caller: Caller) -> web.Response:
        """Keep items of a GTIN for the caller, at `store`, else at the nearest store that has them all, else
        at the one that has most.

        The same Idempotency-Key with the same body is answered as it was first; what was refused is refused
        again, with the alternatives of now.
        """
        key = _key(request, caller)
        ttl_s = self._ttl_s(body)
        named = None if body.store is None else await self._engine.store(body.store)
        near = _near(body, named)
        wanted = Wanted(
            id=secrets.token_hex(16),
            key=key,
            body=_digest(body),
            gtin=body.gtin,
            quantity=body.quantity,
            ttl_s=ttl_s,
            by=caller.name,
            store=body.store,
            candidates=[named.store] if named is not None else await self._fitting(body, near),
        )
        record = await self._engine.reserve(wanted, self._availability.of, utc_now)
        metrics.reservations.labels(_outcome(record, wanted)).inc()
        if record.store is None or record.expires_at is None:
            raise await self._not_available(body, near)
        answer = replies.Reserved(
            record.reservation, record.store, record.gtin, record.quantity, record.expires_at
        )
        return reply(request, answer, status=201)

    async def collect(self, request: web.Request, _: queries.Nothing, __: Caller) -> web.Response:
        """Say that the items were handed over. Again: the same answer. 409 where it has ended otherwise."""
        record = await self._engine.collect(request.match_info["reservation"], utc_now)
        metrics.reservations.labels("collected").inc()
        answer = replies.Collected(
            record.reservation, record.store or "", record.gtin, record.quantity, record.ended_at or ""
        )
        return reply(request, answer)

    async def release(self, request: web.Request, _: queries.Nothing, __: Caller) -> web.Response:
        """Give the items free. One that is released or has expired: 204 again. 409 where it was collected."""
        await self._engine.release(request.match_info["reservation"], utc_now)
        metrics.reservations.labels("released").inc()
        return web.Response(status=NO_CONTENT)

    # --- small steps ---

    def _ttl_s(self, body: Reserve) -> int:
        rules = self._availability.rules
        if body.ttl_s is not None and body.ttl_s > rules.max_ttl_s:
            raise BadRequest(
                f"ttl_s: {body.ttl_s} is more than {rules.max_ttl_s}",
                hint="reserve for less time, or set promises.max_ttl_s in bridge.yaml",
            )
        return body.ttl_s or rules.hold_ttl_s

    async def _fitting(self, body: Reserve, near: Place | None) -> list[str]:
        """Stores that have all that is wanted, the best first."""
        return [offer.store for offer in await self._offers(body, near)][:TRIED]

    async def _offers(self, body: Reserve, near: Place | None) -> list[Offer]:
        offers = await self._availability.offers(await self._engine.stock(body.gtin), near, now=utc_now())
        return best_first(offer for offer in offers if offer.available >= body.quantity)

    async def _not_available(self, body: Reserve, near: Place | None) -> NotAvailable:
        """What to do instead, as it is now."""
        others = [offer for offer in await self._offers(body, near) if offer.store != body.store]
        where = "at any store" if body.store is None else f"at store {body.store}"
        return NotAvailable(
            f"{body.quantity} of {body.gtin} cannot be had {where}",
            hint="reserve at one of the alternatives, with a new Idempotency-Key"
            if others
            else "GET /v1/stock says how many are available; a new try needs a new Idempotency-Key",
            alternatives=[(offer.store, offer.available) for offer in others[:ALTERNATIVES]],
        )


def _key(request: web.Request, caller: Caller) -> bytes:
    """A digest of the key and of who sends it (draft-ietf-httpapi-idempotency-key-header: quoted or bare)."""
    given = request.headers.get(KEY_HEADER)
    if given is None:
        raise BadRequest(
            f"the header {KEY_HEADER} is missing",
            hint="send a new UUID with each reservation, and the same one to send it again",
        )
    found = _KEY.fullmatch(given.strip())
    if found is None:
        raise BadRequest(f"{KEY_HEADER} has 1 to 255 visible ASCII characters", hint="send a UUID")
    return sha256(f"{caller.kind} {caller.name} {found[1]}".encode()).digest()


def _digest(body: Reserve) -> bytes:
    """The same for what means the same, also once there are more optional fields."""
    return sha256(body.model_dump_json(exclude_none=True).encode()).digest()


def _near(body: Reserve, named: StoreRecord | None) -> Place | None:
    if body.latitude is not None and body.longitude is not None:
        return body.latitude, body.longitude
    return None if named is None else place_of(named)


def _outcome(record: ReservationRecord, wanted: Wanted) -> str:
    if record.reservation != wanted.id:
        return "repeated"
    return "refused" if record.state == "refused" else "reserved"


def _before(cursor: str | None) -> int:
    text = from_cursor(cursor)
    if text and (not text.isascii() or not text.isdigit() or len(text) > 18):
        raise BadRequest(f"cursor {cursor!r} is not one of this list", hint="use next_cursor as it came")
    return int(text) if text else _NEWEST


def _item(record: ReservationRecord) -> replies.ReservationItem:
    return replies.ReservationItem(
        record.reservation, record.state, record.store, record.gtin, record.quantity, record.claimed,
        record.reserved_by, record.reserved_at, record.expires_at, record.ended_at,
    )  # fmt: skip
