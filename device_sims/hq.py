"""HQ as anyone sees it: its REST interface (`interfaces.md` §3), read with a viewer's token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import aiohttp
import msgspec
from msgspec import Struct

from edge_agent.contract.errors import HqRejected, HqUnreachable, SyncError
from edge_agent.contract.times import rfc3339

T = TypeVar("T", bound=Struct)
_REQUEST_S = 10.0
_PAGE = 1000


class StoreSeen(Struct, frozen=True, kw_only=True):
    """One store in HQ's list."""

    store: str
    status: str
    facings: int = 0
    pending: int | None = None


class FacingSeen(Struct, frozen=True, kw_only=True):
    """One facing as HQ has it."""

    facing: str
    gtin: str
    on_hand: int | None
    status: str
    confidence: float
    received_at: datetime | None = None


class StockSeen(Struct, frozen=True, kw_only=True):
    """What a `stock.changed` event tells."""

    facing: str
    change: int
    on_hand: int | None
    cause: str


class EventSeen(Struct, frozen=True, kw_only=True):
    """One event of the feed."""

    eid: str
    seq: int | None = None
    type: str
    occurred_at: datetime
    received_at: datetime
    data: dict[str, Any]

    def stock(self) -> StockSeen | None:
        """The body of a `stock.changed`; None for other types."""
        return msgspec.convert(self.data, type=StockSeen) if self.type == "stock.changed" else None


class DeviceSeen(Struct, frozen=True, kw_only=True):
    """One device as HQ has it."""

    device: str
    status: str


class BucketSeen(Struct, frozen=True, kw_only=True):
    """People over one line in one bucket."""

    line: str
    entered: int
    exited: int


@dataclass(frozen=True, slots=True)
class Seen:
    """All that HQ says about one store."""

    facings: list[FacingSeen]
    events: list[EventSeen]
    entered: int
    exited: int
    catching_up: bool
    pending: int | None


class Hq:
    """A reader of HQ. Calls raise HqUnreachable or HqRejected."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url.rstrip("/")

    async def stores(self) -> list[StoreSeen]:
        """The stores that this token may see."""
        return (await self._pages("/v1/stores", StoreSeen))[0]

    async def facings(self, store: str) -> tuple[list[FacingSeen], bool]:
        """The facings of a store, and whether HQ is still catching up with it."""
        return await self._pages(f"/v1/stores/{store}/facings", FacingSeen)

    async def devices(self, store: str) -> list[DeviceSeen]:
        """The devices of a store."""
        return (await self._pages(f"/v1/stores/{store}/devices", DeviceSeen))[0]

    async def events(self, store: str) -> list[EventSeen]:
        """The whole feed of a store, in its order."""
        events: list[EventSeen] = []
        asked: dict[str, str] = {"store": store, "limit": str(_PAGE)}
        while True:
            reply = await self._get("/v1/events", asked)
            page = _items(reply, EventSeen)
            if not page:
                return events
            events += page
            asked["after"] = str(reply["next_cursor"])

    async def footfall(self, store: str, since: datetime, until: datetime) -> list[BucketSeen]:
        """Buckets of a minute between two moments."""
        asked = {"from": rfc3339(since), "to": rfc3339(until), "bucket": "1m"}
        return (await self._pages(f"/v1/stores/{store}/footfall", BucketSeen, asked))[0]

    async def everything(self, store: str, *, since: datetime, until: datetime) -> Seen:
        """All that a score needs about a visit between two moments."""
        facings, catching_up = await self.facings(store)
        listed = {entry.store: entry for entry in await self.stores()}
        # A bucket belongs to the minute in which it starts, which may lie before the first moment.
        buckets = await self.footfall(store, since - timedelta(minutes=1), until + timedelta(minutes=1))
        return Seen(
            facings,
            await self.events(store),
            sum(bucket.entered for bucket in buckets),
            sum(bucket.exited for bucket in buckets),
            catching_up,
            listed[store].pending if store in listed else None,
        )

    async def _pages(
        self, path: str, kind: type[T], asked: Mapping[str, str] | None = None
    ) -> tuple[list[T], bool]:
        items: list[T] = []
        catching_up = False
        parameters = {**(asked or {}), "limit": str(_PAGE)}
        while True:
            reply = await self._get(path, parameters)
            items += _items(reply, kind)
            catching_up = catching_up or bool(reply.get("catching_up"))
            cursor = reply.get("next_cursor")
            if cursor is None:
                return items, catching_up
            parameters["cursor"] = str(cursor)

    async def _get(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        try:
            async with (
                asyncio.timeout(_REQUEST_S),
                self._session.get(self._url + path, params=parameters) as reply,
            ):
                text = await reply.text()
                status = reply.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise HqUnreachable(
                f"{self._url} does not answer: {reason}", hint="is cloud-bridge running?"
            ) from error
        if status in (401, 403):
            hint = "make one with `cloud-bridge token add NAME --role viewer`"
            raise HqRejected(f"{self._url}{path} refuses the token", hint=hint)
        if status != 200:
            raise SyncError(f"{self._url}{path} answers {status}: {text[:200]}")
        try:
            answer: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise SyncError(f"{self._url}{path} answers no JSON object: {error}") from error
        return answer


@asynccontextmanager
async def reading_hq(url: str, token: str) -> AsyncIterator[Hq]:
    """A reader of the HQ at `url` with an API token."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Hq(session, url)


def _items(reply: Mapping[str, Any], kind: type[T]) -> list[T]:
    try:
        return msgspec.convert(reply.get("items"), type=list[kind])  # type: ignore[valid-type]
    except msgspec.ValidationError as error:
        raise SyncError(f"HQ answers in a shape that is not the documented one: {error}") from error
