"""What the log is told of devices: one line for what happens to many, few lines for one that flaps."""

from __future__ import annotations

import logging
import re
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge_agent.health import Condition
from edge_agent.moment import Moment

QUIET_S, LONGEST_S = 1.0, 3.0
"""Changes are told once no other came for QUIET_S, the first one at the latest after LONGEST_S."""
CHANGES, CHANGES_S = 6, 60.0
"""A device that changes more often than this flaps: it is told again once it was steady for CHANGES_S."""
NAMES_SHOWN = 3
CAUSES_SHOWN = 3

_CODE = re.compile(r"\[(E-[A-Z-]+)\]$")

Told = tuple[str, str]
"""Status and error code: a reason in other words is no news."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line for the log."""

    level: int
    text: str


@dataclass(slots=True)
class _News:
    """What became of one device since the last bulletin."""

    first: Condition
    last: Condition
    hint: str


@dataclass(slots=True)
class Bulletin:
    """Collects the changes of all devices. Pure: the clock comes with every call."""

    untold: set[str] = field(default_factory=set)
    """Devices of which the log has not heard since the start."""
    _told: dict[str, Told] = field(default_factory=dict)
    _news: dict[str, _News] = field(default_factory=dict)
    _first_s: float = 0.0
    _last_s: float = 0.0
    _changes: dict[str, deque[float]] = field(default_factory=dict)
    _flapping: dict[str, Condition] = field(default_factory=dict)

    def note(self, condition: Condition, now: Moment, *, hint: str = "") -> None:
        """A device is in this condition; the same one again is no news."""
        device, told = condition.device, _told_as(condition)
        news = self._news.get(device)
        before = self._flapping.get(device) or (news.last if news else None)
        if told == (_told_as(before) if before else self._told.get(device)):
            return
        self.untold.discard(device)
        self._changes.setdefault(device, deque(maxlen=CHANGES + 1)).append(now.mono_s)
        if device in self._flapping:
            self._flapping[device] = condition
            return
        if not self._news:
            self._first_s = now.mono_s
        self._last_s = now.mono_s
        if news is None:
            self._news[device] = _News(condition, condition, hint)
        else:
            news.last, news.hint = condition, hint

    def due(self, now: Moment) -> list[Line]:
        """What is to be told now."""
        calm = [name for name in self._flapping if now.mono_s - self._changes[name][-1] >= CHANGES_S]
        lines = self._calmed([self._flapping.pop(name) for name in calm])
        if self._news and (now.mono_s - self._last_s >= QUIET_S or now.mono_s - self._first_s >= LONGEST_S):
            lines += self.rest()
        return lines

    def rest(self) -> list[Line]:
        """What has not been told yet, at once."""
        groups: dict[tuple[str, bool], list[_News]] = {}
        restless: list[Condition] = []
        for device, news in self._news.items():
            passed = _told_as(news.last) == self._told.get(device)
            self._told[device] = _told_as(news.last)
            if self._flaps(device):
                self._flapping[device] = news.last
                restless.append(news.last)
            else:
                shown = news.first if passed else news.last
                groups.setdefault((shown.status, passed), []).append(_News(shown, news.last, news.hint))
        self._news.clear()
        lines = [_line(status, passed, members) for (status, passed), members in groups.items()]
        return lines + ([_restless(restless)] if restless else [])

    def _flaps(self, device: str) -> bool:
        changes = self._changes[device]
        return len(changes) > CHANGES and changes[-1] - changes[0] < CHANGES_S

    def _calmed(self, conditions: list[Condition]) -> list[Line]:
        groups: dict[str, list[_News]] = {}
        for condition in conditions:
            self._told[condition.device] = _told_as(condition)
            self._changes[condition.device].clear()
            groups.setdefault(condition.status, []).append(_News(condition, condition, ""))
        return [_line(status, False, members, steadily=True) for status, members in groups.items()]


def _told_as(condition: Condition) -> Told:
    code = _CODE.search(condition.reason or "")
    return condition.status, code[
        1
    ] if code else "" if condition.status == "offline" else condition.reason or ""


def _line(status: str, passed: bool, members: list[_News], *, steadily: bool = False) -> Line:
    """`passed`: it was so, and is again what the log was told before."""
    level = logging.INFO if status == "online" else logging.WARNING
    one = members[0].first
    verb = ("was" if passed else "is") if len(members) == 1 else ("were" if passed else "are")
    state = f"{verb} {'steadily ' if steadily else ''}{status}{' for a moment' if passed else ''}"
    because = f": {one.reason}" if one.reason else ""
    if len(members) == 1:
        hint = members[0].hint
        return Line(level, f"{one.device} {state}{because}{f' ({hint})' if hint and because else ''}")
    conditions = [news.first for news in members]
    causes = _causes(conditions)
    text = f"{len(members)} devices {state}{f' ({causes})' if causes else ''}: {_names(conditions)}"
    return Line(level, f"{text}. {one.device}{because}" if because else text)


def _restless(conditions: list[Condition]) -> Line:
    until = f"more than {CHANGES} changes in a minute; told again after a minute without one"
    if len(conditions) == 1:
        return Line(logging.WARNING, f"{conditions[0].device} comes and goes: {until}")
    return Line(logging.WARNING, f"{len(conditions)} devices come and go: {_names(conditions)} ({until})")


def _causes(conditions: Iterable[Condition]) -> str:
    """The error codes, or the reasons of those without one; with counts where they differ."""
    causes = Counter(_cause(c.reason) for c in conditions if c.reason)
    if len(causes) == 1:
        return next(iter(causes))
    shown = [f"{count} {cause}" for cause, count in causes.most_common(CAUSES_SHOWN)]
    return ", ".join([*shown, *(["others"] if len(causes) > CAUSES_SHOWN else [])])


def _cause(reason: str) -> str:
    code = _CODE.search(reason)
    return code[1] if code else reason


def _names(conditions: list[Condition]) -> str:
    names = sorted(condition.device for condition in conditions)
    more = len(names) - NAMES_SHOWN
    if more <= 1:
        return f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{', '.join(names[:NAMES_SHOWN])} and {more} more"
