"""HQ's picture of one store, and what each row of history does to it: pure, for ingest, refold and audit.

A facing's on hand here is also what the feed has published for it, unknown standing for zero: the two are
changed together, so the feed's changes of a facing always add up to what is shown of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import msgspec

from cloud_bridge.rows import AppliedPlanogram, ReadyRow, SetAside
from edge_agent.contract.messages import (
    CommandDone,
    DeviceChanged,
    EnvironmentAlarm,
    EnvironmentMeasured,
    FootfallCounted,
    GapMoved,
    ItemMoved,
    StockChanged,
)

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
    sources: Sequence[str] = ()
    changed_at: str | None = None
    observed_at: str | None = None
    received_at: str = ""
    version: int = 0
    reorder_due_at: str | None = None


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


class FeedEntry(msgspec.Struct, frozen=True, gc=False):
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
        self.devices: dict[str, ShownDevice] = {}
        self.gaps: dict[tuple[str, str], OpenGap] = {}
        self.items: dict[str, Item] = {}
        self.planogram: AppliedPlanogram | None = None
        self.footfall: dict[tuple[str, str, str], FootfallCounted] = {}
        self.environment: dict[tuple[str, str, str], EnvironmentMeasured] = {}
        self.feed: list[FeedEntry] = []
        self.changed = Changed()

    def apply(self, rows: Iterable[ReadyRow], *, received_at: str) -> None:
        """Take rows in, in order. Rows that are set aside change nothing."""
        for row in rows:
            body = row.body
            _HANDLERS[type(body)](self, row, body, received_at)

    # --- one method a body ---

    def _stock(self, row: ReadyRow, body: StockChanged, received_at: str) -> None:
        shown = self._at(body.facing, body.gtin, row, received_at)
        change = (body.on_hand or 0) - (shown.on_hand or 0)
        if change:
            told = StockPayload(
                body.facing, body.gtin, change, body.on_hand, body.confidence, body.cause, body.sources
            )
            self._publish(row, _encode(told), received_at)
        if shown.on_hand != body.on_hand or shown.status != body.status:
            shown.changed_at = row.occurred_at
        shown.on_hand, shown.confidence, shown.status = body.on_hand, body.confidence, body.status
        shown.sources, shown.observed_at = body.sources, body.observed_at
        shown.reorder_due_at = body.reorder_due_at
        shown.received_at = received_at
        shown.version += 1
        self.changed.beliefs.add(body.facing)

    def _planogram_applied(self, row: ReadyRow, body: AppliedPlanogram, received_at: str) -> None:
        self.planogram = body
        self.changed.planogram = True
        names = {product.gtin: product.name for product in body.planogram.products}
        for gone in sorted(self.facings.keys() - {facing.id for facing in body.planogram.facings}):
            self._take_back(self.facings.pop(gone), row, received_at)
            self.changed.facings.add(gone)
        for facing in body.planogram.facings:
            shown = self._at(facing.id, facing.gtin, row, received_at)
            shown.name, shown.capacity = names[facing.gtin], facing.capacity
            shown.reorder_point, shown.shelf = facing.reorder_point, facing.shelf
            shown.x_mm, shown.width_mm = facing.x_mm, facing.width_mm
            shown.received_at = received_at
            shown.version += 1
            self.changed.facings.add(facing.id)

    def _device(self, row: ReadyRow, body: DeviceChanged, received_at: str) -> None:
        self._publish(row, _encode(body), received_at)
        known = self.devices.get(body.device)
        is_same = known is not None and known.status == body.status
        since = known.since if known is not None and is_same else row.occurred_at
        heard = row.occurred_at if body.status != "offline" else (known.last_seen_at if known else None)
        self.devices[body.device] = ShownDevice(
            body.device, body.driver, body.status, body.reason, since, heard
        )
        self.changed.devices.add(body.device)

    def _gap(self, row: ReadyRow, body: GapMoved, received_at: str) -> None:
        self._publish(row, _encode(body), received_at)
        key = (body.facing, body.device)
        self.changed.gaps.add(key)
        if row.kind == "gap.opened":
            self.gaps[key] = OpenGap(body.facing, body.device, body.fill, row.occurred_at)
        else:
            self.gaps.pop(key, None)

    def _footfall(self, row: ReadyRow, body: FootfallCounted, received_at: str) -> None:
        self._publish(row, _encode(body), received_at)
        self.footfall[body.device, body.line, body.start] = body

    def _environment(self, row: ReadyRow, body: EnvironmentMeasured, received_at: str) -> None:
        self._publish(row, _encode(body), received_at)
        self.environment[body.device, body.quantity, body.start] = body

    def _alarm(self, row: ReadyRow, body: EnvironmentAlarm, received_at: str) -> None:
        self._publish(row, _encode(body), received_at)

    def _item(self, row: ReadyRow, body: ItemMoved, received_at: str) -> None:
        self._publish(row, _encode(body), received_at)
        is_present = row.kind == "item.arrived"
        self.items[body.epc] = Item(
            body.epc, body.gtin, body.serial, body.facing, body.device, is_present, row.occurred_at
        )
        self.changed.items.add(body.epc)

    # --- small steps ---

    def _at(self, facing: str, gtin: str, row: ReadyRow, received_at: str) -> ShownFacing:
        """The facing as it stands; a new item on it starts without evidence, the old one is taken back."""
        shown = self.facings.get(facing)
        if shown is not None and shown.gtin == gtin:
            return shown
        if shown is not None:
            self._take_back(shown, row, received_at)
        version = shown.version if shown is not None else 0
        self.changed.facings.add(facing)
        new = self.facings[facing] = ShownFacing(facing, gtin, received_at=received_at, version=version)
        return new

    def _take_back(self, shown: ShownFacing, row: ReadyRow, received_at: str) -> None:
        """Publish that nothing of this item stands there any more."""
        if shown.on_hand:
            eid = blake2b(row.eid + f"{shown.facing}/{shown.gtin}".encode(), digest_size=16).digest()
            payload = _correction(shown.facing, shown.gtin, -shown.on_hand, 0)
            self.feed.append(FeedEntry(eid, None, "stock.changed", row.occurred_at, received_at, payload))

    def _publish(self, row: ReadyRow, payload: bytes, received_at: str) -> None:
        self.feed.append(FeedEntry(row.eid, row.seq, row.kind, row.occurred_at, received_at, payload))


class StockPayload(msgspec.Struct, frozen=True, gc=False):
    """The data of a `stock.changed` of the feed."""

    facing: str
    gtin: str
    change: int
    on_hand: int | None
    confidence: float
    cause: str
    sources: Sequence[str]


@dataclass(slots=True)
class Changed:
    """Keys to write back; a key that the picture no longer has is to be deleted."""

    facings: set[str] = field(default_factory=set)
    beliefs: set[str] = field(default_factory=set)
    """Facings of which only the belief changed, unless they are in `facings` too."""
    devices: set[str] = field(default_factory=set)
    gaps: set[tuple[str, str]] = field(default_factory=set)
    items: set[str] = field(default_factory=set)
    planogram: bool = False


def corrections(
    published: dict[str, ShownFacing],
    refolded: dict[str, ShownFacing],
    *,
    at: str,
    new_eid: Callable[[], bytes],
) -> list[FeedEntry]:
    """What to publish so that the feed adds up to another line of history."""
    entries: list[FeedEntry] = []
    for facing in sorted(published.keys() | refolded.keys()):
        for gtin, change, on_hand in _steps(published.get(facing), refolded.get(facing)):
            if change:
                payload = _correction(facing, gtin, change, on_hand)
                entries.append(FeedEntry(new_eid(), None, "stock.changed", at, at, payload))
    return entries


def _steps(old: ShownFacing | None, new: ShownFacing | None) -> list[tuple[str, int, int]]:
    """GTIN, change and on hand of each correction between two states of one facing."""
    was = (old.on_hand or 0) if old is not None else 0
    now = (new.on_hand or 0) if new is not None else 0
    if old is not None and new is not None and old.gtin == new.gtin:
        return [(new.gtin, now - was, now)]
    out = [(old.gtin, -was, 0)] if old is not None else []
    return out + ([(new.gtin, now, now)] if new is not None else [])


def _correction(facing: str, gtin: str, change: int, on_hand: int) -> bytes:
    return _encode(StockPayload(facing, gtin, change, on_hand, 0.0, "correction", ()))


def _shows_nothing(
    _picture: Picture, _row: ReadyRow, _body: CommandDone | SetAside, _received_at: str
) -> None:
    """What became of a command is kept beside the command; a row set aside has no effect."""


# Of the module, not of each picture: a picture that holds methods of its own is freed by the collector only.
_HANDLERS: Final[dict[type, Callable[[Picture, ReadyRow, Any, str], None]]] = {
    StockChanged: Picture._stock,
    AppliedPlanogram: Picture._planogram_applied,
    DeviceChanged: Picture._device,
    GapMoved: Picture._gap,
    FootfallCounted: Picture._footfall,
    EnvironmentMeasured: Picture._environment,
    EnvironmentAlarm: Picture._alarm,
    ItemMoved: Picture._item,
    CommandDone: _shows_nothing,
    SetAside: _shows_nothing,
}
