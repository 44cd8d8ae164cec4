"""When the store's counts are compared with HQ's, by a digest beside a batch."""

from __future__ import annotations

EVERY_S = 60.0
LONGEST_S = 3600.0


class Comparing:
    """The pace: at each hello, then each minute. A difference makes it slower, and each more in a row doubles
    that, since telling again did not help; then a hello is no reason either."""

    def __init__(self) -> None:
        self._due_s = 0.0
        self._pause_s = EVERY_S

    def greeted(self) -> None:
        """A session begins: HQ may be another one than before."""
        if self._pause_s == EVERY_S:
            self._due_s = 0.0

    def is_due(self, now_s: float) -> bool:
        """Whether it is time; `now_s` is monotonic."""
        return now_s >= self._due_s

    def compared(self, now_s: float, *, differs: bool) -> None:
        """HQ has answered."""
        self._pause_s = min(LONGEST_S, self._pause_s * 2) if differs else EVERY_S
        self._due_s = now_s + self._pause_s
