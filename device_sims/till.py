"""A till that publishes each receipt as one JSON message, with its lines.

The shape is nobody's. It has what a transaction of POSLog (ARTS, NRF) has for the purpose: a number of the
receipt that never comes again, a number for each line, the barcode as it is scanned and how many. The
moment is part of the receipt's number: a till that is started anew repeats none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from device_sims.mqtt_link import Publication


class Till:
    """One till, on topics of its own. `at_ns` is its clock, since 1970."""

    def __init__(self, name: str) -> None:
        self._name, self._receipts = name, 0
        self.birth = Publication(f"tills/{name}/state", "online", retained=True)
        self.will = Publication(f"tills/{name}/state", "offline", retained=True)

    def receipt(self, lines: Sequence[tuple[str, int]], *, at_ns: int) -> Publication:
        """One receipt: GTIN-14 and quantity for each line, in order."""
        self._receipts += 1
        sent = {
            "receipt": f"{numbering(at_ns)}-{self._receipts:04}",
            "ts": at_ns // 1_000_000,
            "lines": [
                {"line": number, "gtin": barcode(gtin), "quantity": quantity}
                for number, (gtin, quantity) in enumerate(lines, 1)
            ],
        }
        return Publication(f"tills/{self._name}/receipts", sent)


def numbering(at_ns: int) -> str:
    """The moment as papers are numbered by it: 20260101120000."""
    return f"{datetime.fromtimestamp(at_ns // 1_000_000_000, UTC):%Y%m%d%H%M%S}"


def barcode(gtin: str) -> str:
    """A GTIN-14 as a scanner reads it off an item: an EAN-13 where it is one."""
    return gtin.removeprefix("0")
