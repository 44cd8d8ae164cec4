"""What a device said: frozen records that drivers emit and the pure core folds.

`device` is the configured id. `occurred_at` is the device's own time (aware UTC) or None when it
has none; the pipeline adds its own arrival time. Absent values are None, never 0.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Flag = Literal["over", "under", "motion", "net", "zero", "error"]


@dataclass(frozen=True, slots=True)
class WeightReading:
    """One weight from one plate. `weight_g` is None when the scale only reported a condition."""

    device: str
    channel: int | None
    weight_g: float | None
    stable: bool | None
    flags: tuple[Flag, ...] = ()
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TagRead:
    """One sight of one tag. `epc` is lower-case hex, `rssi_dbm` the peak at the antenna.

    `rf_channel` tells the channels of one reader apart that it hops between: their number in its list, or
    their frequency in kHz, as its protocol has it. None where it does not say.
    """

    device: str
    antenna: int | None
    epc: str
    rssi_dbm: float | None
    occurred_at: datetime | None = None
    rf_channel: int | None = None


@dataclass(frozen=True, slots=True)
class EnvironmentReading:
    """One measured quantity, e.g. `temperature_c` in `°C`."""

    device: str
    quantity: str
    unit: str
    value: float
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LineCrossing:
    """One person crossed one counting line, at capture time."""

    device: str
    line: str
    direction: Literal["entered", "exited"]
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class LineWatched:
    """A camera looked at its lines up to `occurred_at` (sent about once a second while frames come).

    Without it an outage could not be told from an empty door: buckets are written only for watched time.
    """

    device: str
    lines: tuple[str, ...]
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class ZoneWatched:
    """A camera looked at a zone for `watched_s` more, up to `occurred_at`; all but `occupancy` is what is new
    since it last said so.

    `person_s`: how long people were in it, summed over them. `visits` ended, after `dwell_s` in all, the
    longest after `longest_s`. `occupancy`: people in it now, None when the camera sees nothing.
    """

    device: str
    zone: str
    occurred_at: datetime
    watched_s: float
    person_s: float
    visits: int
    dwell_s: float
    longest_s: float
    occupancy: int | None


@dataclass(frozen=True, slots=True)
class HeatSeen:
    """A camera looked at its picture for `watched_s` more, up to `occurred_at`; `cells`, row by row, are the
    person-seconds that are new in each since it last said so."""

    device: str
    occurred_at: datetime
    watched_s: float
    columns: int
    rows: int
    cells: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class GapSeen:
    """A camera's verdict on one facing: stocked share `fill` and whether it counts as a gap."""

    device: str
    facing: str
    fill: float
    gap: bool
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sale:
    """A receipt's line: so many items were paid for; fewer than none were given back at the till.

    Receipt and line together count once. `device` is empty where it came over the agent's own API.
    """

    device: str
    receipt: str
    line: str
    gtin: str
    quantity: int
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery's line: so many items came, to be put onto `facing`, or into the back room."""

    device: str
    delivery: str
    line: str
    gtin: str
    quantity: int
    facing: str | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Recount:
    """Staff counted a facing by hand."""

    facing: str
    on_hand: int


@dataclass(frozen=True, slots=True)
class DeviceAnswered:
    """The device proved to be alive without saying anything else; `identity` is its serial number."""

    device: str
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceNoted:
    """The device does its job, yet its owner should know `note` of it; None: no longer."""

    device: str
    note: str | None


@dataclass(frozen=True, slots=True)
class DeviceDegraded:
    """The device answers, yet cannot do its job; `reason` says why. Any later reading clears it."""

    device: str
    reason: str


Reading = (
    WeightReading
    | TagRead
    | EnvironmentReading
    | LineCrossing
    | LineWatched
    | ZoneWatched
    | HeatSeen
    | GapSeen
    | Sale
    | Delivery
    | DeviceAnswered
    | DeviceNoted
    | DeviceDegraded
)

Emit = Callable[[Sequence[Reading]], Awaitable[None]]
"""Returns when the consequences of all the readings are committed to the journal."""
