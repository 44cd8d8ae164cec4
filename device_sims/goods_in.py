"""A scanner at goods-in: what has come into the back room, and what was put onto which facing, as JSON.

The shape is nobody's. Every message is a paper of its own with a number that never comes again.
"""

from __future__ import annotations

from device_sims.mqtt_link import Publication
from device_sims.till import barcode, numbering


class GoodsIn:
    """One scanner, on topics of its own. `at_ns` is its clock, since 1970."""

    def __init__(self, name: str) -> None:
        self._name, self._papers = name, 0
        self.birth = Publication(f"goods-in/{name}/state", "online", retained=True)
        self.will = Publication(f"goods-in/{name}/state", "offline", retained=True)

    def scanned(self, gtin: str, quantity: int, *, facing: str | None = None, at_ns: int) -> Publication:
        """So many items came, or were put onto a facing."""
        self._papers += 1
        line = {"line": 1, "gtin": barcode(gtin), "quantity": quantity}
        line |= {} if facing is None else {"facing": facing}
        sent = {
            "delivery": f"{numbering(at_ns)}-{self._papers:04}",
            "ts": at_ns // 1_000_000,
            "lines": [line],
        }
        return Publication(f"goods-in/{self._name}/scans", sent)
