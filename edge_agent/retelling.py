"""Tells HQ the whole present once more, as rows: when HQ's counts are others, or when a person asks."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from edge_agent.config.store import StoreSettings
from edge_agent.contract.digest import BUCKETS, bucket_of
from edge_agent.contract.errors import ConfigError, JournalError
from edge_agent.contract.times import utc_now
from edge_agent.journal import Capture
from edge_agent.pipeline import Pipeline
from edge_agent.takeover import applied

log = logging.getLogger(__name__)

RESYNC: Final = "resync"
"""The identity key of a resync that the next start does: WANTED, or empty."""
WANTED: Final = "wanted"


@dataclass(frozen=True, slots=True)
class Retold:
    """What a resync came to: so many rows. `duplicate`: one that is under way does for this one too."""

    rows: int
    duplicate: bool


class Retelling:
    """The present of one store: its planogram, facings, devices and open alarms."""

    def __init__(self, settings: StoreSettings, revision: int, pipeline: Pipeline) -> None:
        """`revision` is that of the planogram in use; 0: the file's."""
        self._settings, self._revision, self._pipeline = settings, revision, pipeline
        self._journal = pipeline.journal
        self.greet_again: Callable[[], None] | None = None
        """`Uplink.greet_again`; None where there is no uplink."""
        self._told: asyncio.Future[None] | None = None
        self._rows = 0
        self._upto: float = 0  # infinite until it is known which row was the last

    async def retell(self, buckets: Collection[int]) -> None:
        """Journal the present of the facings in `buckets` (`contract.digest`), and all else that HQ shows.

        Once the pipeline is closed this waits for ever: the parts that come next say hello themselves.
        """
        await self._pipeline.opened()
        await asyncio.wrap_future(self._journal.submit(self._present(buckets)))

    async def resync(self) -> Retold:
        """Journal the whole present, then say hello; return when the rows are durable. Until HQ has them,
        another request is this one. ConfigError where nobody is to be told, JournalError.
        """
        if self.greet_again is None:
            raise ConfigError("this agent has no uplink: nobody to tell", hint="set uplink, start again")
        if self._pipeline.is_closed:
            raise JournalError("the agent is just taking over what HQ published", hint="ask it again")
        told, is_new = self._told, False
        if told is None or not self._is_under_way(told):
            told, is_new = self._begun(), True
        await asyncio.shield(told)  # whoever waits no longer does not end it
        return Retold(self._rows, duplicate=not is_new)

    async def at_start(self) -> None:
        """Do the resync that was asked for while no agent ran: its mark goes with the rows."""
        if self._journal.recall(RESYNC) != WANTED:
            return
        capture = self._present(range(BUCKETS))
        capture.remembered[RESYNC] = ""
        await asyncio.wrap_future(self._journal.submit(capture))

    def _begun(self) -> asyncio.Future[None]:
        capture = self._present(range(BUCKETS))
        self._rows, self._upto = len(capture.effects.events), math.inf
        self._told = asyncio.wrap_future(self._journal.submit(capture))
        self._told.add_done_callback(self._durable)
        return self._told

    def _is_under_way(self, told: asyncio.Future[None]) -> bool:
        if not told.done():
            return True
        return told.exception() is None and self._journal.position.applied < self._upto

    def _durable(self, told: asyncio.Future[None]) -> None:
        if told.cancelled() or told.exception() is not None:
            return
        self._upto = self._journal.durable_seq
        if self.greet_again is not None:
            self.greet_again()

    def _present(self, buckets: Collection[int]) -> Capture:
        capture, now = Capture(), utc_now()
        capture.effects.tell("planogram.applied", applied(self._settings, self._revision), now)
        for belief in self._pipeline.estimator.beliefs.values():
            if bucket_of(belief.facing) in buckets:
                capture.effects.tell("stock.changed", belief.changed_from(belief, "correction"), now)
        self._pipeline.tell_devices(capture)
        for alarm in self._pipeline.environment.open_alarms():
            capture.effects.tell("environment.alarm", alarm, now)
        log.warning("telling HQ the present again, %d rows", len(capture.effects.events))
        return capture
