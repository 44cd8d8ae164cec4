"""Names that operators give: who may be called what, and the roles there are."""

from __future__ import annotations

import re
from typing import Final, Literal

Role = Literal["viewer", "ops", "admin"]
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_name(text: str) -> bool:
    """Whether `text` can name a store, a token or a person."""
    return _NAME.fullmatch(text) is not None
