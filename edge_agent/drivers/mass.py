"""Weights as scales write them, to grams."""

from __future__ import annotations

from decimal import Decimal

_GRAMS = {
    "g": Decimal(1),
    "kg": Decimal(1000),
    "mg": Decimal("0.001"),
    "t": Decimal(1_000_000),
    "lb": Decimal("453.59237"),
    "lbs": Decimal("453.59237"),
    "oz": Decimal("28.349523125"),
    "ozt": Decimal("31.1034768"),
    "dwt": Decimal("1.55517384"),
    "gn": Decimal("0.06479891"),
    "ct": Decimal("0.2"),
    "mom": Decimal("3.75"),
}


def grams(value: str, unit: str) -> float | None:
    """`value` (a plain decimal number, as sent) in grams; None when `unit` is no mass (PCS, %).

    Makers differ in the case of units (`KG`, `kg`, `Kg`); exact for what the digits say.
    """
    if unit == "g":
        return float(value)
    factor = _GRAMS.get(unit.lower())
    return None if factor is None else float(Decimal(value) * factor)
