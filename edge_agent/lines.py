"""What counts once: a receipt's line, a delivery's line, a command of HQ, by its sender's name for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

MOST_ITEMS: Final = 10_000
"""Items of one line at most, as many as a facing may hold: more is a number in the wrong place, a price in
cents or a barcode. It is the same whichever way a line comes, and so is LONGEST_NAME."""
LONGEST_NAME: Final = 128
"""Characters of a document's or a line's number at most."""

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


def name_of(said: object) -> str | None:
    """A document's or a line's number as a key has it: 7 and "7" are the same, and space around it is none of
    it. None for what is no text or whole number, and for what is empty, too long or not printable."""
    if isinstance(said, bool) or not isinstance(said, int | str):
        return None
    if isinstance(said, int) and said.bit_length() > 4 * LONGEST_NAME:
        return None
    text = str(said).strip()
    return text if text and len(text) <= LONGEST_NAME and text.isprintable() else None
