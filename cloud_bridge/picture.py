"""HQ's picture of one store, and what each row of history does to it: pure, for ingest, refold and audit.

Two things are kept for a facing: what its store believes, and its *account*, what the feed has published.
They differ where no evidence is left: on hand is then unknown, and the account is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import msgspec

from cloud_bridge.rows import AppliedPlanogram, ReadyRow, SetAside
from edge_agent.contract.messages import (
    DeviceChanged,
    EnvironmentAlarm,
    EnvironmentMeasured,
    FootfallCounted,
    GapMoved,
    ItemMoved,
    StockChanged,
)
from edge_agent.contract.planogram import Facing

FOLDED_KINDS: Final = (
    "stock.changed",
    "planogram.applied",
    "device.changed",
    "gap.opened",
    "gap.closed",
    "item.arrived",
    "item.departed",
)
"""Kinds whose effect depends on what came before; bucket kinds stand for themselves."""

_encode: Final = msgspec.json.Encoder().encode


@dataclass(slots=True)
class ShownFacing:
    """A facing as HQ shows it. `on_hand` is None before the first evidence."""

    facing: str
    gtin: str
    name: str = ""
    capacity: int = 0
    reorder_point: int = 0
    shelf: str | None = None
    x_mm: float | None = None
    width_mm: float | None = None
    on_hand: int | None = None
    confidence: float = 0.0
    status: str = "unknown"
    sources: list[str] = field(default_factory=list)
    changed_at: str | None = None
    observed_at: str | None = None
    received_at: str = ""
    version: int = 0


@dataclass(slots=True)
class Account:
    """What the feed's `change` values of one facing add up to, for the item that stands there."""

    gtin: str
    on_hand: int


@dataclass(slots=True)
class ShownDevice:
    """A device as its store last described it."""

    device: str
    driver: str
    status: str
    reason: str | None
    since: str
    last_seen_at: str | None


@dataclass(frozen=True, slots=True)
class OpenGap:
    """An empty place that a camera sees now."""

    facing: str
    device: str
    fill: float
    opened_at: str


@dataclass(frozen=True, slots=True)
class Item:
    """One tagged item: where it is, or since when it has left."""

    epc: str
    gtin: str | None
    serial: str | None
    facing: str | None
    device: str
    is_present: bool
    moved_at: str


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One public event before it has a cursor. `seq` is None for a correction by HQ itself."""

    eid: bytes
    seq: int | None
    type: str
    occurred_at: str
    received_at: str
    payload: bytes


class Picture:
    """The state of one store as of some row. Load what the coming rows touch; `changed` says what to save."""

    def __init__(self) -> None:
        self.facings: dict[str, ShownFacing] = {}
        self.accounts: dict[str, Account] = {}
        self.devices: dict[str, ShownDevice] = {}
        self.gaps: dict[tuple[str, str], OpenGap] = {}
        self.items: dict[str, Item] = {}
        self.planogram: AppliedPlanogram | None = None
        self.footfall: dict[tuple[str, str, str], FootfallCounted] = {}
        self.environment: dict[tuple[str, str, str], EnvironmentMeasured] = {}
        self.feed: list[FeedEntry] = []
        self.changed = Changed()
        self._handlers: dict[type, Callable[[ReadyRow, Any, str], None]] = {
            StockChanged: self._stock,
            AppliedPlanogram: self._planogram_applied,
            DeviceChanged: self._device,
            GapMoved: self._gap,
            FootfallCounted: self._footfall,
            EnvironmentMeasured: self._environment,
            EnvironmentAlarm: self._alarm,
            ItemMoved: self._item,
        }

    def apply(self, rows: Iterable[ReadyRow], *, received_at: str) -> None:
        """Take rows in, in order. Rows that are set aside change nothing."""
        for row in rows:
            if not isinstance(row.body, SetAside):
                self._handlers[type(row.body)](row, row.body, received_at)

    # --- one method a body ---

    def _stock(self, row: ReadyRow, body: StockChanged, received_at: str) -> None:
        self._publish(row, body, received_at)
        shown = self._shown(body.facing, body.gtin)
        if shown.on_hand != body.on_hand or shown.status != body.status:
            shown.changed_at = row.occurred_at
        shown.on_hand, shown.confidence, shown.status = body.on_hand, body.confidence, body.status
        shown.sources = list(body.sources)
        shown.observed_at = body.observed_at
        self._touch(shown, received_at)

    def _publish(self, row: ReadyRow, body: StockChanged, received_at: str) -> None:
        account = self.accounts.get(body.facing)
        if account is not None and account.gtin != body.gtin:
            self._close_account(body.facing, account, row, received_at)
            account = None
        if account is None:
            account = self.accounts[body.facing] = Account(body.gtin, 0)
        change = (body.on_hand or 0) - account.on_hand
        self.changed.accounts.add(body.facing)
        account.on_hand += change
        if change:
            payload = stock_payload(
                facing=body.facing,
                gtin=body.gtin,
                change=change,
                on_hand=body.on_hand,
                confidence=body.confidence,
                cause=body.cause,
                sources=list(body.sources),
            )
            self.feed.append(
                FeedEntry(row.eid, row.seq, "stock.changed", row.occurred_at, received_at, payload)
            )

    def _planogram_applied(self, row: ReadyRow, body: AppliedPlanogram, received_at: str) -> None:
        self.planogram = body
        self.changed.planogram = True
        names = {product.gtin: product.name for product in body.planogram.products}
        wanted = {facing.id: facing for facing in body.planogram.facings}
        for name, account in list(self.accounts.items()):
            if name not in wanted or wanted[name].gtin != account.gtin:
                self._close_account(name, account, row, received_at)
        for gone in self.facings.keys() - wanted.keys():
            del self.facings[gone]
            self.changed.facings.add(gone)
        for facing in wanted.values():
            self._place(facing, names[facing.gtin], received_at)

    def _place(self, facing: Facing, name: str, received_at: str) -> None:
        shown = self._shown(facing.id, facing.gtin)
        shown.name, shown.capacity, shown.reorder_point = name, facing.capacity, facing.reorder_point
        shown.shelf, shown.x_mm, shown.width_mm = facing.shelf, facing.x_mm, facing.width_mm
        self._touch(shown, received_at)

    def _device(self, row: ReadyRow, body: DeviceChanged, received_at: str) -> None:
        self._publish_as_it_is(row, body, received_at)
        known = self.devices.get(body.device)
        is_same = known is not None and known.status == body.status
        since = known.since if known is not None and is_same else row.occurred_at
        heard = row.occurred_at if body.status != "offline" else (known.last_seen_at if known else None)
        self.devices[body.device] = ShownDevice(
            body.device, body.driver, body.status, body.reason, since, heard
        )
        self.changed.devices.add(body.device)

    def _gap(self, row: ReadyRow, body: GapMoved, received_at: str) -> None:
        self._publish_as_it_is(row, body, received_at)
        key = (body.facing, body.device)
        self.changed.gaps.add(key)
        if row.kind == "gap.opened":
            self.gaps[key] = OpenGap(body.facing, body.device, body.fill, row.occurred_at)
        else:
            self.gaps.pop(key, None)

    def _footfall(self, row: ReadyRow, body: FootfallCounted, received_at: str) -> None:
        self._publish_as_it_is(row, body, received_at)
        self.footfall[body.device, body.line, body.start] = body

    def _environment(self, row: ReadyRow, body: EnvironmentMeasured, received_at: str) -> None:
        self._publish_as_it_is(row, body, received_at)
        self.environment[body.device, body.quantity, body.start] = body

    def _alarm(self, row: ReadyRow, body: EnvironmentAlarm, received_at: str) -> None:
        self._publish_as_it_is(row, body, received_at)

    def _item(self, row: ReadyRow, body: ItemMoved, received_at: str) -> None:
        self._publish_as_it_is(row, body, received_at)
        is_present = row.kind == "item.arrived"
        self.items[body.epc] = Item(
            body.epc, body.gtin, body.serial, body.facing, body.device, is_present, row.occurred_at
        )
        self.changed.items.add(body.epc)

    # --- small steps ---

    def _publish_as_it_is(self, row: ReadyRow, body: msgspec.Struct, received_at: str) -> None:
        self.feed.append(FeedEntry(row.eid, row.seq, row.kind, row.occurred_at, received_at, _encode(body)))

    def _close_account(self, facing: str, account: Account, row: ReadyRow, received_at: str) -> None:
        del self.accounts[facing]
        self.changed.accounts.add(facing)
        if account.on_hand:
            eid = blake2b(row.eid + f"{facing}/{account.gtin}".encode(), digest_size=16).digest()
            payload = correction_payload(facing, account.gtin, change=-account.on_hand, on_hand=0)
            self.feed.append(FeedEntry(eid, None, "stock.changed", row.occurred_at, received_at, payload))

    def _shown(self, facing: str, gtin: str) -> ShownFacing:
        """The shown facing; a new item on it starts without evidence and without a name."""
        shown = self.facings.get(facing)
        if shown is None or shown.gtin != gtin:
            version = shown.version if shown is not None else 0
            shown = self.facings[facing] = ShownFacing(facing, gtin, version=version)
        return shown

    def _touch(self, shown: ShownFacing, received_at: str) -> None:
        shown.received_at = received_at
        shown.version += 1
        self.changed.facings.add(shown.facing)


@dataclass(slots=True)
class Changed:
    """Keys to write back; a key that the picture no longer has is to be deleted."""

    facings: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    devices: set[str] = field(default_factory=set)
    gaps: set[tuple[str, str]] = field(default_factory=set)
    items: set[str] = field(default_factory=set)
    planogram: bool = False


def corrections(
    published: dict[str, Account], refolded: Picture, *, at: str, new_eid: Callable[[], bytes]
) -> list[FeedEntry]:
    """What to publish so that the feed's account becomes that of another line of history."""
    entries: list[FeedEntry] = []
    for facing in sorted(published.keys() | refolded.accounts.keys()):
        old, new = published.get(facing), refolded.accounts.get(facing)
        if old is not None and new is not None and old.gtin == new.gtin:
            steps = [(new.gtin, new.on_hand - old.on_hand, new.on_hand)]
        else:
            steps = [(old.gtin, -old.on_hand, 0)] if old is not None else []
            steps += [(new.gtin, new.on_hand, new.on_hand)] if new is not None else []
        for gtin, change, on_hand in steps:
            if change:
                payload = correction_payload(facing, gtin, change=change, on_hand=on_hand)
                entries.append(FeedEntry(new_eid(), None, "stock.changed", at, at, payload))
    return entries


def correction_payload(facing: str, gtin: str, *, change: int, on_hand: int) -> bytes:
    """The data of a `stock.changed` by which HQ takes back what its feed had said."""
    return stock_payload(
        facing=facing,
        gtin=gtin,
        change=change,
        on_hand=on_hand,
        confidence=0.0,
        cause="correction",
        sources=[],
    )


def stock_payload(**fields: Any) -> bytes:
    """The data of a `stock.changed` of the feed, as JSON."""
    return _encode(fields)
