"""How each device is: online, degraded or offline, since when and why."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from datetime import datetime

from edge_agent.contract.messages import DeviceChanged, DeviceState, DeviceStatus
from edge_agent.contract.times import rfc3339
from edge_agent.moment import Moment

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Condition:
    """One device's health. `expect_every_s` None: judged by its connection alone."""

    device: str
    driver: str
    status: DeviceStatus
    reason: str | None
    since: datetime
    last_seen_at: datetime | None = None
    expect_every_s: float | None = None
    heard_s: float | None = None
    identity: str | None = None

    def body(self) -> DeviceChanged:
        """The change, as HQ gets it."""
        return DeviceChanged(device=self.device, driver=self.driver, status=self.status, reason=self.reason)

    def state(self) -> DeviceState:
        """The present, as HQ gets it."""
        return DeviceState(
            device=self.device,
            driver=self.driver,
            status=self.status,
            reason=self.reason,
            since=rfc3339(self.since),
            last_seen_at=rfc3339(self.last_seen_at) if self.last_seen_at else None,
        )


class Health:
    """The conditions of all configured devices. Methods return the condition when it moved, else None."""

    def __init__(self, conditions: list[Condition]) -> None:
        self.conditions = {c.device: c for c in conditions}
        self._twins: set[tuple[str, str | None]] = set()

    def heard(self, device: str, now: Moment, *, identity: str | None = None) -> Condition | None:
        """A reading or an answer came: the device is online.

        A serial number other than the one before is another device in its place: that is the reason which its
        condition gives from then on, until its next trouble.
        """
        before = self.conditions[device]
        after = replace(before, last_seen_at=now.at, heard_s=now.mono_s, identity=identity or before.identity)
        reason = before.reason if before.status == "online" else None
        if after.identity != before.identity:
            self._tell_twins(after)
            if before.identity is not None:
                reason = f"another device: {before.identity} was here, now it is {after.identity}"
        return self._become(before, after, "online", reason, now)

    def noted(self, device: str, note: str | None, now: Moment) -> Condition | None:
        """The device does its job; `note` is the reason that its condition gives until its next trouble."""
        before = self.conditions[device]
        after = replace(before, last_seen_at=now.at, heard_s=now.mono_s)
        return self._become(before, after, "online", note, now)

    def degraded(self, device: str, reason: str, now: Moment) -> Condition | None:
        """The device answers, yet cannot do its job."""
        before = self.conditions[device]
        after = replace(before, last_seen_at=now.at, heard_s=now.mono_s)
        return self._become(before, after, "degraded", reason, now)

    def lost(self, device: str, reason: str, now: Moment) -> Condition | None:
        """The device is gone."""
        before = self.conditions[device]
        return self._become(before, before, "offline", reason, now)

    def tick(self, now: Moment) -> list[Condition]:
        """Devices that were silent for longer than they may be."""
        moved = []
        for condition in list(self.conditions.values()):
            limit, heard = condition.expect_every_s, condition.heard_s
            if condition.status == "online" and limit and heard is not None and now.mono_s - heard > limit:
                changed = self._become(condition, condition, "degraded", "silent", now)
                moved += [changed] if changed else []
        return moved

    def silence_s(self, device: str, mono_s: float) -> float:
        """Seconds since the device was last heard; NaN when it has not been heard since the start."""
        heard_s = self.conditions[device].heard_s
        return math.nan if heard_s is None else mono_s - heard_s

    def _tell_twins(self, condition: Condition) -> None:
        """Two devices with one serial number: cheap ones come so, all with the same one, or one port is
        configured twice. Told once for each number."""
        number = (condition.driver, condition.identity)
        same = [
            c.device
            for c in self.conditions.values()
            if (c.driver, c.identity) == number and c.device != condition.device
        ]
        if same and number not in self._twins:
            self._twins.add(number)
            log.warning("%s and %s have the same serial number, %s", condition.device, same[0], number[1])

    def _become(
        self, before: Condition, after: Condition, status: DeviceStatus, reason: str | None, now: Moment
    ) -> Condition | None:
        if (before.status, before.reason) == (status, reason):
            self.conditions[before.device] = after
            return None
        since = before.since if before.status == status else now.at
        after = replace(after, status=status, reason=reason, since=since)
        self.conditions[before.device] = after
        return after
