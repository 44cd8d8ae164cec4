"""Texts as PostgreSQL can hold them: it refuses NUL, and a column travels with marks between its texts."""

from __future__ import annotations

from typing import Final

MARK: Final = "\U0010ffff"
"""A noncharacter that begins an escape, of itself too."""
NEXT: Final = "\x1f"
NULL: Final = "\x1e"
_ESCAPES: Final = {MARK: f"{MARK}1", "\0": f"{MARK}0", NEXT: f"{MARK}2", NULL: f"{MARK}3"}


def sealed(text: str) -> str:
    """Text that PostgreSQL takes and that can stand in a column; `opened` gives it back."""
    if MARK not in text and "\0" not in text and NEXT not in text and NULL not in text:
        return text
    return "".join(_ESCAPES.get(sign, sign) for sign in text)


def opened(text: str) -> str:
    """The text that was sealed; every connection of the pool reads texts by it."""
    if MARK not in text:
        return text
    for sign, escape in reversed(_ESCAPES.items()):
        text = text.replace(escape, sign)
    return text
