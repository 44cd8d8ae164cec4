"""What tills, suppliers, staff and HQ tell the store: each line counts once, each command is done once.

It makes no difference by which way a line comes: over the agent's API, from a device, or again after a
restart. What a line does and that it was taken are one capture.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from edge_agent.contract.errors import DoesNotFit, LineDiffers, NotInPlanogram, ShelfEdgeError
from edge_agent.contract.messages import Command, CommandDone, RecountOrder
from edge_agent.contract.planogram import Planogram, most_on_hand
from edge_agent.journal import Capture, Journal
from edge_agent.lines import Key, Line
from edge_agent.moment import Moment
from edge_agent.readings import Delivery, Recount, Sale
from edge_agent.stock.effects import Effects
from edge_agent.stock.estimate import Estimator
from edge_agent.takeover import Takeover

log = logging.getLogger(__name__)

REMEMBERED = timedelta(days=30)
"""How long a line is known to have counted; a till may use a receipt's number again after that."""
FRESH = timedelta(seconds=30)
"""A count that HQ was told so recently is not asked whether the facing changed since."""


@dataclass(frozen=True, slots=True)
class _Ordered:
    """A count of HQ's that was believed: it overtakes no newer count of the same facing."""

    counted_at: datetime
    changed_at: datetime | None
    """When the facing changed for this count."""
    before: datetime | None
    """When it had changed before."""


class Intake:
    """Folds lines, recounts and commands into captures. Single-threaded, like the pipeline around it."""

    def __init__(
        self, planogram: Planogram, estimator: Estimator, journal: Journal, takeover: Takeover | None = None
    ) -> None:
        """Without a `takeover` HQ's planograms and settings are refused."""
        self._facings = {facing.id: facing for facing in planogram.facings}
        self._gtins = {product.gtin for product in planogram.products}
        self._estimator, self._journal, self._takeover = estimator, journal, takeover
        self._under_way: dict[Key, str] = {}
        self._ordered: dict[str, _Ordered] = {}

    def line(self, reading: Sale | Delivery, now: Moment, capture: Capture) -> bool:
        """Fold one line; False when it counts already.

        Raises NotInPlanogram, DoesNotFit, or LineDiffers when the line counts already with another content.
        """
        if reading.gtin not in self._gtins:
            raise NotInPlanogram(
                f"gtin: {reading.gtin} is not in this store's planogram", hint="add it to products"
            )
        line = line_of(reading)
        content = self._content(line, capture)
        if content is not None:
            if content == line.content:
                return False
            raise LineDiffers(
                f"{line.kind} {line.document!r} line {line.line!r} counts already, with another content",
                hint="a line is never changed: send what differs as another line",
            )
        if isinstance(reading, Sale):
            effects = self._estimator.sale(reading, now)
        else:
            self._check_place(reading)
            effects = self._estimator.delivery(reading, now)
        self._take(line, effects, capture)
        return True

    def recount(self, recount: Recount, now: Moment, capture: Capture) -> None:
        """Fold a count by hand. Raises NotInPlanogram, or DoesNotFit when nobody can have counted that."""
        facing = self._facings.get(recount.facing)
        if facing is None:
            raise NotInPlanogram(
                f"facing: there is no {recount.facing!r} in this store's planogram",
                hint="GET /v1/facings lists them",
            )
        most = most_on_hand(facing.capacity)
        if not 0 <= recount.on_hand <= most:
            raise DoesNotFit(
                f"on_hand: {recount.on_hand} is not between 0 and {most}, twice the capacity of {facing.id}"
            )
        join(capture.effects, self._estimator.recount(recount, now))

    def command(self, command: Command, now: Moment, capture: Capture) -> bool:
        """Do what HQ asks, or refuse it with a reason; either way it is told and never done again.

        True: once it is durable, the agent's parts are to be built anew.
        """
        line = Line("command", command.id, "", command.kind)
        if self._content(line, capture) is not None:
            return False
        reason: str | None = None
        changes_parts = False
        try:
            changes_parts = self._obey(command, now, capture)
            log.info("HQ's command %s is done: %s", command.kind, _short(command))
        except ShelfEdgeError as error:
            reason = error.message
            log.warning("HQ's command %s is refused: %s", command.kind, reason)
        outcome = CommandDone(
            command=command.id,
            outcome="applied" if reason is None else "refused",
            reason=reason,
            newest=0 if self._takeover is None else self._takeover.newest(command.kind),
        )
        self._take(line, None, capture)
        capture.effects.tell("command.done", outcome, now.at)
        return changes_parts

    def settled(self, lines: Sequence[Line]) -> None:
        """The lines are durable (or the journal has failed): from now on the journal knows them."""
        for line in lines:
            self._under_way.pop(line.key, None)

    # --- small steps ---

    def _content(self, line: Line, capture: Capture) -> str | None:
        """What is known under this key. Not durable yet: then `capture` must be committed behind it."""
        under_way = self._under_way.get(line.key)
        if under_way is not None:
            capture.follows = True
            return under_way
        return self._journal.content_of(line.key)

    def _take(self, line: Line, effects: Effects | None, capture: Capture) -> None:
        self._under_way[line.key] = line.content
        capture.lines.append(line)
        join(capture.effects, effects)

    def _check_place(self, delivery: Delivery) -> None:
        if delivery.facing is None:
            return
        facing = self._facings.get(delivery.facing)
        if facing is None:
            raise NotInPlanogram(
                f"facing: there is no {delivery.facing!r} in this store's planogram",
                hint="GET /v1/facings lists them",
            )
        if facing.gtin != delivery.gtin:
            raise DoesNotFit(f"facing: {facing.id} is the place of {facing.gtin}, not of {delivery.gtin}")

    def _obey(self, command: Command, now: Moment, capture: Capture) -> bool:
        if command.kind == "recount":
            self._recount_ordered(command, now, capture)
            return False
        if command.kind == "planogram" and self._takeover is not None:
            return self._takeover.planogram(command.body, now, capture)
        if command.kind == "settings" and self._takeover is not None:
            return self._takeover.settings(command.body, now, capture)
        raise DoesNotFit(f"this agent does not know the command {command.kind!r}")

    def _recount_ordered(self, command: Command, now: Moment, capture: Capture) -> None:
        try:
            order = msgspec.convert(command.body, RecountOrder)
        except msgspec.ValidationError as error:
            raise DoesNotFit(f"the body of {command.kind} does not fit: {error}") from error
        age = timedelta(milliseconds=command.age_ms)
        counted_at, before = now.at - age, self._changed_at(order.facing)
        ordered = self._ordered.get(order.facing)
        if ordered is not None and ordered.changed_at == before and counted_at > ordered.counted_at:
            before = ordered.before
        if age > FRESH and before is not None and before > counted_at:
            seconds = round(age.total_seconds())
            raise DoesNotFit(f"{order.facing} has changed since it was counted {seconds} s ago: count again")
        self.recount(Recount(order.facing, order.on_hand), now, capture)
        self._ordered[order.facing] = _Ordered(counted_at, self._changed_at(order.facing), before)

    def _changed_at(self, facing: str) -> datetime | None:
        belief = self._estimator.beliefs.get(facing)
        return None if belief is None else belief.changed_at


def _short(command: Command) -> str:
    """A command's body for the log: a planogram has thousands of lines."""
    if command.kind == "recount":
        return str(command.body)
    return f"revision {command.body.get('revision')}"


def line_of(reading: Sale | Delivery) -> Line:
    """The line's identity and content; when it happened and who told it do not matter."""
    if isinstance(reading, Sale):
        return Line("sale", reading.receipt, reading.line, f"{reading.gtin} {reading.quantity}")
    content = f"{reading.gtin} {reading.quantity} {reading.facing or ''}"
    return Line("delivery", reading.delivery, reading.line, content)


def said_by(content: str) -> tuple[str, int, str]:
    """GTIN, quantity and facing (empty where none was named) of a line's content."""
    gtin, quantity, *facing = content.split()
    return gtin, int(quantity), "".join(facing)


def join(into: Effects, more: Effects | None) -> None:
    """Let what `more` holds be committed with `into`."""
    if more is None:
        return
    into.events += more.events
    into.beliefs += more.beliefs
    into.plates += more.plates
    into.tags += more.tags
