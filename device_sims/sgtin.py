"""SGTIN-96, the number inside a retail RFID tag (GS1 EPC Tag Data Standard 1.13, §14.5.1)."""

from __future__ import annotations

_HEADER = 0x30
_FILTER_POINT_OF_SALE = 1
_COMPANY_BITS = {12: 40, 11: 37, 10: 34, 9: 30, 8: 27, 7: 24, 6: 20}
"""Digits of the company prefix -> its width; partition = 12 - digits, both references share 44 bits."""


def sgtin96(gtin: str, serial: int, *, company_digits: int = 7) -> str:
    """The EPC of one item as 24 upper-case hex digits. `gtin` has 14 digits, `serial` fits 38 bits."""
    if not 0 <= serial < 1 << 38:
        raise ValueError(f"serial {serial} does not fit 38 bits")
    company_bits = _COMPANY_BITS[company_digits]
    company, item = gtin[1 : 1 + company_digits], gtin[0] + gtin[1 + company_digits : 13]
    value = _HEADER
    for field, bits in (
        (_FILTER_POINT_OF_SALE, 3),
        (12 - company_digits, 3),
        (int(company), company_bits),
        (int(item), 44 - company_bits),
        (serial, 38),
    ):
        value = value << bits | field
    return f"{value:024X}"
