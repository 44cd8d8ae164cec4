"""Keeps the journal small: forgets what HQ has, and says how full the disk is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from edge_agent.contract.times import rfc3339, utc_now
from edge_agent.fullness import FORGETTING, SPARING, STOCK_FIRST, Fullness, level_of
from edge_agent.intake import REMEMBERED
from edge_agent.journal import Journal
from edge_agent.presence_hours import KEPT_FOR
from edge_agent.service import metrics

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
FORGET_EVERY_LOOKS = 12
FORGET_WITHIN_S = 60.0
PRUNE_AT_ONCE = 5_000
"""Rows that one transaction forgets, so that captures need not wait for long."""


def _nobody(_level: int) -> None:
    """Nobody spares anything."""


@dataclass(slots=True)
class Upkeep:
    """Looks after one journal. `spare` is told each new level of `fullness`."""

    journal: Journal
    quota_bytes: int
    retain: timedelta
    spare: Callable[[int], None] = _nobody
    level: int = field(default=0, init=False)
    _has_warned: bool = field(default=False, init=False)

    async def run(self) -> None:
        """Until cancelled."""
        looks = 0
        while True:
            await self.look()
            if looks % FORGET_EVERY_LOOKS == FORGET_EVERY_LOOKS - 1:
                with suppress(TimeoutError):
                    async with asyncio.timeout(FORGET_WITHIN_S):
                        await self.forget_old()
            looks += 1
            await asyncio.sleep(LOOK_EVERY_S)

    @property
    def fullness(self) -> Fullness:
        """As of now."""
        journal = self.journal
        return Fullness(
            used=journal.used_bytes(),
            quota=self.quota_bytes,
            room=journal.room_bytes(),
            in_need=journal.refusal is not None or journal.ballast.is_missing,
        )

    async def look(self) -> None:
        """Have the ballast, forget early what HQ has where there is little room, tell the level."""
        await asyncio.to_thread(self.journal.ballast.make)
        if self.journal.refusal is None:  # nothing can be forgotten while nothing can be written
            with suppress(TimeoutError):  # it may be so from now on
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._make_room()
        self._note(self.fullness)

    async def forget_old(self) -> None:
        """What HQ has for good and is older than `retain`; lines and hours beyond their time."""
        now = utc_now()
        await asyncio.wrap_future(self.journal.forget_lines(rfc3339(now - REMEMBERED)))
        await asyncio.wrap_future(self.journal.forget_hours(rfc3339(now - KEPT_FOR)))
        upto = await asyncio.to_thread(self.journal.newest_seq_before, rfc3339(now - self.retain))
        while self.journal.position.base_seq < (step := self._step(upto)):
            await asyncio.wrap_future(self.journal.prune(step))

    async def _make_room(self) -> None:
        """From `SPARING` on, forget delivered rows down to `FORGETTING`. Those that are applied at HQ and not
        safe there go at last, and the log says so once."""
        if self.fullness.percent < SPARING:
            self._has_warned = False
            return
        while self.fullness.percent >= FORGETTING and self.journal.position.base_seq < (
            step := self._step(self.journal.position.safe)
        ):
            await asyncio.wrap_future(self.journal.prune(step))
        while self.fullness.percent >= STOCK_FIRST and self.journal.position.base_seq < (
            step := self._step(self.journal.position.applied)
        ):
            if not self._has_warned:
                self._has_warned = True
                log.warning("the disk is full: rows that HQ has, though not safely yet, are forgotten here")
            await asyncio.wrap_future(self.journal.prune_applied(step))

    def _step(self, upto: int) -> int:
        at = self.journal.position
        return min(upto, at.applied, at.base_seq + PRUNE_AT_ONCE)

    def _note(self, fullness: Fullness) -> None:
        metrics.journal_fullness.set(fullness.percent / 100)
        level = level_of(fullness, self.level)
        if level == self.level:
            return
        weight = logging.WARNING if level > self.level else logging.INFO
        why = ", the disk has no room left" if fullness.in_need else ""
        log.log(weight, "the journal is %.0f %% full%s: %s", fullness.percent, why, _MEANS[level])
        self.level = level
        metrics.journal_alarm.set(level)
        self.spare(level)


_MEANS = {
    0: "all is well",
    FORGETTING: "free the disk, or see why HQ does not take the rows",
    SPARING: "health and environment are told more coarsely",
    STOCK_FIRST: "health, environment and footfall are told more coarsely, stock as ever",
}
