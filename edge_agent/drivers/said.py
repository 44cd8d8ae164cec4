"""Values as devices write them into JSON, to numbers, words, times and EPCs; what is no value is None."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from edge_agent.contract.gs1 import epc_from_base64
from edge_agent.drivers.topic import device_time

EPC_BYTES_LIMIT = 62
"""The longest EPC that a Gen2 tag can hold (496 bits)."""
NAME_LIMIT = 100
"""The longest name or number of a thing, in characters."""

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?")
_CHANNEL = re.compile(r"[0-9]{1,4}")
_LONGEST_BITS = 128
_LEAST_UNSURE = 2**53
"""From here on not every whole number is one in JSON."""
_EARLIEST = datetime(2001, 1, 1, tzinfo=UTC)
# YAML 1.1 reads `on`, `yes` and `off`, `no` as booleans, so that both sides of a comparison must.
_YAML_WORDS = {"on": "true", "yes": "true", "off": "false", "no": "false"}


def number(said: object) -> float | None:
    """A finite number, also one in quotes; None for anything else (a boolean, NaN, infinity, a word)."""
    exact = decimal(said)
    if exact is None:
        return None
    found = float(exact)
    return found if math.isfinite(found) else None


def decimal(said: object) -> Decimal | None:
    """As `number`, exact for what the digits say."""
    if isinstance(said, bool) or not isinstance(said, int | float | str):
        return None
    if isinstance(said, int) and said.bit_length() > _LONGEST_BITS:
        return None
    text = said.strip() if isinstance(said, str) else repr(said)
    return Decimal(text) if len(text) <= 64 and _NUMBER.fullmatch(text) else None


def word(said: object) -> str | None:
    """A scalar in the form in which two of them are compared: `ON`, `on`, `yes` and true are one word."""
    if isinstance(said, bool):
        return "true" if said else "false"
    exact = decimal(said)
    if exact is not None:
        return str(exact.normalize())
    if not isinstance(said, str) or not said.strip():
        return None
    text = said.strip().casefold()
    return _YAML_WORDS.get(text, text)


def words(values: Iterable[object]) -> frozenset[str]:
    """The words of configured values."""
    return frozenset(found for value in values if (found := word(value)) is not None)


def whole_number(said: object) -> int | None:
    """A whole number, also one in quotes or as 2.0; None for anything else."""
    exact = decimal(said)
    if exact is None or abs(exact) >= _LEAST_UNSURE or exact != exact.to_integral_value():
        return None
    return int(exact)


def name(said: object) -> str | None:
    """What something is called by its device: a word or a whole number; None for what is no name."""
    if isinstance(said, bool) or not isinstance(said, int | str):
        return None
    if isinstance(said, int) and said.bit_length() > _LONGEST_BITS:
        return None
    text = str(said).strip()
    return text if text and len(text) <= NAME_LIMIT and text.isprintable() else None


def truth(said: object) -> bool | None:
    """Yes or no as devices write it; None for any other word."""
    found = word(said)
    if found in ("true", "1"):
        return True
    return False if found in ("false", "0") else None


def channel_number(said: object) -> int | None:
    """A plate's or antenna's number of up to four digits."""
    text = str(said).strip() if isinstance(said, int | str) and not isinstance(said, bool) else ""
    return int(text) if _CHANNEL.fullmatch(text) else None


def moment(said: object) -> datetime | None:
    """A device's own time; None for what is no time, and for a clock that was never set (before 2001)."""
    if isinstance(said, bool) or not isinstance(said, int | float | str):
        return None
    since_1970 = number(said)
    if since_1970 is not None and since_1970 < 0:
        return None
    found = device_time(str(said) if since_1970 is None else since_1970)
    return found if found is not None and found >= _EARLIEST else None


def epc(said: object, *, encoding: str) -> str | None:
    """An EPC as lower-case hex from hex (blanks, dashes and 0x allowed) or base64url; None for no EPC."""
    if not isinstance(said, str):
        return None
    if encoding == "base64url":
        found = epc_from_base64(said)
    else:
        try:
            found = bytes.fromhex(said.strip().lower().removeprefix("0x").replace("-", "")).hex()
        except ValueError:
            return None
    return found if found and len(found) <= 2 * EPC_BYTES_LIMIT else None
