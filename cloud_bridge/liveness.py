"""Which stores are heard now: soft state that heartbeats move and the database keeps from time to time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from cloud_bridge.store import Engine
from cloud_bridge.store.records import DeviceRecord, FacingRecord, Heard, StoreRecord
from edge_agent.contract.messages import Presence
from edge_agent.contract.times import parse_rfc3339, rfc3339

ONLINE_FOR: Final = timedelta(seconds=15)
LATE_FOR: Final = timedelta(seconds=120)
StoreStatus = Literal["online", "late", "offline"]


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far HQ's picture of a store can be trusted to be the present."""

    as_of: str | None
    catching_up: bool


class Liveness:
    """The newest word of each store since this process began."""

    def __init__(self) -> None:
        self._heard: dict[str, Heard] = {}
        self._unsaved: set[str] = set()

    def hear(self, store: str, *, at: str, last_seq: int, presence: Presence | None = None) -> None:
        """A store has spoken."""
        heard = self._heard.setdefault(store, Heard(at, last_seq))
        heard.at, heard.last_seq = at, last_seq
        heard.add(presence)
        self._unsaved.add(store)

    async def save(self, engine: Engine) -> None:
        """Write down what was heard since the last time; what could not be is written with the next."""
        unsaved, self._unsaved = self._unsaved, set()
        if not unsaved:
            return
        try:
            await engine.save_heard({store: self._heard[store].copy() for store in unsaved})
        except BaseException:
            self._unsaved |= unsaved
            raise

    def last_seen_at(self, record: StoreRecord) -> str | None:
        """When the store was last heard of."""
        heard = self._heard.get(record.store)
        return _later(record.last_seen_at, heard.at if heard else None)

    def status(self, record: StoreRecord, now: datetime) -> StoreStatus:
        """Online within 15 s, late within 120 s, then offline."""
        seen = self.last_seen_at(record)
        silence = now - parse_rfc3339(seen) if seen is not None else timedelta.max
        if silence <= ONLINE_FOR:
            return "online"
        return "late" if silence <= LATE_FOR else "offline"

    def clock_offset_ms(self, record: StoreRecord) -> int | None:
        """HQ's clock less the store's, as it measured at its last hello."""
        heard = self._newest(record)
        newest = heard.clock_offset_ms if heard else None
        return record.clock_offset_ms if newest is None else newest

    def pending(self, record: StoreRecord) -> int:
        """Rows that the store still holds and HQ does not."""
        heard = self._newest(record)
        return max(0, (heard.last_seq if heard else record.last_seq) - record.head_seq)

    def freshness(self, record: StoreRecord) -> Freshness:
        """Caught up: as of the last word. Catching up: as of the state sent ahead, or of the newest row, in
        HQ's time."""
        catching_up = record.head_seq < record.catch_up_to
        if not catching_up:
            return Freshness(self.last_seen_at(record), catching_up=False)
        is_ahead = record.head_seq < record.as_of_seq
        as_of = record.state_at if is_ahead else _here(record.head_occurred_at, self.clock_offset_ms(record))
        return Freshness(as_of, catching_up=True)

    def _newest(self, record: StoreRecord) -> Heard | None:
        """What was heard here, unless another process has heard the store since."""
        heard = self._heard.get(record.store)
        is_newest = heard is not None and heard.at >= (record.last_seen_at or "")
        return heard if is_newest else None

    def device_seen_at(self, store: str, device: DeviceRecord) -> str | None:
        """When a device was last heard of."""
        heard = self._heard.get(store)
        return _later(device.last_seen_at, heard.devices.get(device.device) if heard else None)

    def facing_observed_at(self, facing: FacingRecord) -> str | None:
        """When a facing last had evidence."""
        heard = self._heard.get(facing.store)
        return _later(facing.observed_at, heard.facings.get(facing.facing) if heard else None)


def _here(there: str | None, offset_ms: int | None) -> str | None:
    """A store's time by HQ's clock; None for one that is none, or is beyond all time."""
    if there is None:
        return None
    try:
        return rfc3339(parse_rfc3339(there) + timedelta(milliseconds=offset_ms or 0))
    except (ValueError, OverflowError):
        return None


def _later(first: str | None, second: str | None) -> str | None:
    return max(first, second) if first is not None and second is not None else first or second
