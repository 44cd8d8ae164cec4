"""What counts once: a receipt's line, a delivery's line, a command of HQ, by its sender's name for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Key = tuple[str, str, str]
"""(kind, document, line)."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a document. `content` is what it says: another content under the same key is a mistake
    of the sender's."""

    kind: Literal["sale", "delivery", "command"]
    document: str
    line: str
    content: str

    @property
    def key(self) -> Key:
        """Its identity for as long as it is remembered."""
        return self.kind, self.document, self.line
