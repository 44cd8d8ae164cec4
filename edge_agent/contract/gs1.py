"""GS1 keys: GTIN, GLN and EPC, checked, parsed and formatted."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated
from urllib.parse import unquote

from epcpy.epc_schemes.sgtin import SGTIN
from epcpy.utils.common import ConvertException
from pydantic import AfterValidator


def check_digit(body: str) -> int:
    """The GS1 mod-10 check digit for `body`, the digits without it (GS1 General Specifications, 7.9)."""
    return -sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(reversed(body))) % 10


def parse_gtin(text: str) -> str:
    """A GTIN as 14 digits. Accepts 8, 12, 13 or 14 digits; ValueError says what is wrong."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) not in (8, 12, 13, 14):
        raise ValueError(f"GTIN {text!r} must have 8, 12, 13 or 14 digits")
    return _checked(digits, "GTIN").zfill(14)


def parse_gln(text: str) -> str:
    """A GLN as 13 digits; ValueError says what is wrong."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) != 13:
        raise ValueError(f"GLN {text!r} must have 13 digits")
    return _checked(digits, "GLN")


def _checked(digits: str, what: str) -> str:
    expected = check_digit(digits[:-1])
    if int(digits[-1]) != expected:
        raise ValueError(f"{what} {digits} has a wrong check digit (expected {expected})")
    return digits


Gtin = Annotated[str, AfterValidator(parse_gtin)]
Gln = Annotated[str, AfterValidator(parse_gln)]


@dataclass(frozen=True, slots=True)
class Sgtin:
    """A serialised trade item: its GTIN-14 and its serial number, as printed in a tag."""

    gtin: str
    serial: str


SGTIN_HEADERS = ("30", "36")
"""First byte of SGTIN-96 and SGTIN-198 (GS1 TDS, table 14-1)."""


@lru_cache(maxsize=65536)
def decode_epc(epc_hex: str) -> Sgtin | None:
    """The trade item that an EPC names, or None for foreign, unprogrammed and non-SGTIN tags."""
    if epc_hex[:2] not in SGTIN_HEADERS:
        return None
    try:
        tag = SGTIN.from_hex(epc_hex.upper())
        # urn:epc:id:sgtin:<company>.<item>.<serial>; a serial may hold dots, and is escaped (TDS 6.3.1).
        return Sgtin(tag.gs1_key(), unquote(tag.epc_uri.split(".", 2)[2]))
    except (ConvertException, ValueError, IndexError):
        return None


def epc_from_base64(text: str) -> str | None:
    """EPC bytes in base64 or base64url, padded or not, as lower-case hex; None when undecodable."""
    compact = text.strip().replace("+", "-").replace("/", "_").rstrip("=")
    if not compact:
        return None
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), altchars=b"-_", validate=True).hex()
    except (binascii.Error, ValueError):
        return None
