"""How names, times and hashes are written on the wire."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated

from msgspec import Meta

_IDENTIFIER_LENGTH, _TIME_LENGTH = 64, 24
_IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"
_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z"
Identifier = Annotated[str, Meta(pattern=_IDENTIFIER)]
Hex16 = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
Time = Annotated[str, Meta(pattern=_TIME)]

Unchecked = str
"""One of them, in what comes thousands at a time: HQ checks it itself and remembers what it has seen. The
patterns take longer than all the rest of reading a row."""


def is_identifier(text: str) -> bool:
    """Whether this names a facing, a device, a line."""
    return len(text) <= _IDENTIFIER_LENGTH and _names(text)


def is_time(text: str) -> bool:
    """Whether this is written as times travel; the calendar may not know it all the same."""
    return len(text) == _TIME_LENGTH and _tells_time(text)


# Only short texts are remembered: what comes from outside fills no memory.
@lru_cache(maxsize=65_536)
def _names(text: str) -> bool:
    return re.search(_IDENTIFIER, text) is not None


@lru_cache(maxsize=4_096)
def _tells_time(text: str) -> bool:
    return re.search(_TIME, text) is not None
