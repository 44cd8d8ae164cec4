"""What a camera is there for: each duty turns what is seen into readings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edge_agent.readings import Reading
from edge_agent.vision.capture import Frame
from edge_agent.vision.people import Seen


class Duty(Protocol):
    """One duty of one camera."""

    @property
    def trouble(self) -> str | None:
        """Why this duty cannot be done for now, though frames come; None while it can."""
        ...

    def check(self, frame: Frame) -> None:
        """Told the first frame of every connection. ConfigError when the duty cannot be done on it."""
        ...

    def pause(self) -> Sequence[Reading]:
        """What is left to say; until the next `readings`, if there is one, nothing is watched."""
        ...

    async def readings(self, seen: Seen) -> Sequence[Reading]:
        """What follows from one frame. Heavy work takes its turn in the inference thread."""
        ...
