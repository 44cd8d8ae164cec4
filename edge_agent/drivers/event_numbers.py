"""The numbers that a device gives its messages: which came before, and how many never came."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Hashable

REMEMBERED = 4096
"""The last messages that a repetition is recognised among: more than a broker keeps in flight."""
TOPICS_KEPT = 64


class EventNumbers:
    """One device's counter, which rises by one a message and begins again when the device restarts. Pure."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._seen: set[tuple[int, Hashable]] = set()
        self._order: deque[tuple[int, Hashable]] = deque()

    def missed_before(self, number: int, content: Hashable | None) -> int | None:
        """How many numbers were skipped before this message; None when it is a repetition.

        A repetition has number and content of an earlier message; without content nothing is one. A number
        that falls otherwise is a device that restarted: no message is missed, and its numbers are new.
        """
        key = (number, content)
        if content is not None and key in self._seen:
            return None
        last, self._last = self._last, number
        if last is not None and number < last:
            self.forget_contents()
        if content is not None:
            self._remember(key)
        return 0 if last is None else max(0, number - last - 1)

    def forget_contents(self) -> None:
        """From now on nothing is a repetition: what is not committed comes again and must be read again."""
        self._seen.clear()
        self._order.clear()

    def _remember(self, key: tuple[int, Hashable]) -> None:
        if len(self._order) >= REMEMBERED:
            self._seen.discard(self._order.popleft())
        self._order.append(key)
        self._seen.add(key)


class Recent:
    """The last messages of one of thousands of devices, by eight bytes each: whole ones would be 50 kB."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._prints = array("q")
        self._next = 0

    def __contains__(self, message: Hashable) -> bool:
        return hash(message) in self._prints

    def add(self, message: Hashable) -> None:
        """The newest one; the oldest is forgotten."""
        if len(self._prints) < self._most:
            self._prints.append(hash(message))
        else:
            self._prints[self._next] = hash(message)
        self._next = (self._next + 1) % self._most


class TopicNumbers:
    """The counters of all topics of one device; they outlive its driver."""

    def __init__(self) -> None:
        self._topics: dict[str | None, EventNumbers] = {}

    def begin(self) -> None:
        """A new driver starts: what the last one read may not have been committed."""
        for numbers in self._topics.values():
            numbers.forget_contents()

    def of(self, topic: str | None) -> EventNumbers:
        """The counter of one topic."""
        if topic not in self._topics and len(self._topics) >= TOPICS_KEPT:
            self._topics.clear()
        return self._topics.setdefault(topic, EventNumbers())
