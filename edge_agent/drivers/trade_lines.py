"""Lines of receipts and of deliveries in mapped messages: how many items of what were sold, or came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from edge_agent.config.mappings import DeliveryMapping, SaleMapping
from edge_agent.contract.gs1 import parse_gtin
from edge_agent.drivers import said
from edge_agent.drivers.json_path import JsonPath, items, json_path
from edge_agent.drivers.topic import Understood
from edge_agent.lines import MOST_ITEMS, name_of
from edge_agent.readings import Delivery, Sale

_SHORTEST_GTIN = 8


@dataclass(frozen=True, slots=True)
class _Line:
    """One line that makes sense. `item` is it as it was sent."""

    document: str
    number: str
    gtin: str
    quantity: int
    item: Any
    at: datetime | None = None


class Sales:
    """A till's receipts: fewer than no items were given back."""

    def __init__(self, device: str, mapping: SaleMapping) -> None:
        self._device = device
        self._lines = _Lines(mapping, document=mapping.receipt, called="receipt", least=-MOST_ITEMS)

    def read(self, whole: Any, _names: Mapping[str, str], at: datetime | None, into: Understood) -> None:
        """Each line is a sale; one that makes no sense is a fault, and the others count."""
        into.readings += (
            Sale(self._device, line.document, line.number, line.gtin, line.quantity, line.at)
            for line in self._lines.of(whole, at, into)
        )


class Deliveries:
    """What goods-in has scanned: into the back room, or onto a facing."""

    def __init__(self, device: str, mapping: DeliveryMapping) -> None:
        self._device, self._facing = device, json_path(mapping.facing)
        self._lines = _Lines(mapping, document=mapping.delivery, called="delivery", least=0)

    def read(self, whole: Any, _names: Mapping[str, str], at: datetime | None, into: Understood) -> None:
        """Each line is a delivery; one that makes no sense is a fault, and the others count."""
        for line in self._lines.of(whole, at, into):
            place = None
            if self._facing is not None:
                own = self._facing.of(line.item)
                place = self._facing.of(whole) if own is None else own
            facing = said.name(place)
            if place is not None and facing is None:
                into.faults.append(f"line {line.number}: facing is no name: {place!r:.60}")
                continue
            into.readings.append(
                Delivery(self._device, line.document, line.number, line.gtin, line.quantity, facing, line.at)
            )


class _Lines:
    """Where the lines of a document are in a message, and what makes sense in them.

    The document's number is looked up in the message and then in the line: receipts and lines are both
    numbered by `id` or `number` often enough, and that of a line must never be taken for the receipt's.
    """

    def __init__(
        self, mapping: SaleMapping | DeliveryMapping, *, document: str, called: str, least: int
    ) -> None:
        self._each, self._document, self._called = json_path(mapping.each), JsonPath(document), called
        self._number, self._gtin = JsonPath(mapping.line), JsonPath(mapping.gtin)
        self._quantity, self._time = JsonPath(mapping.quantity), json_path(mapping.time)
        self._least = least

    def of(self, whole: Any, at: datetime | None, into: Understood) -> Iterator[_Line]:
        """The lines with items on them; what has no GTIN (a deposit, a discount) is none of them."""
        document, taken = self._document.of(whole), set[tuple[str, str]]()
        positions = Counter[str | None]()
        for key, item in items(self._each, whole):
            named = name_of(self._document.of(item) if document is None else document)
            positions[named] += 1
            given = self._gtin.of(item)
            if given is None:
                continue
            own = self._number.of(item)
            name = own if own is not None else positions[named] if key is None else key
            try:
                line = self._line(item, named, name, given)
            except ValueError as error:
                into.faults.append(f"line {name!r:.40}: {error}")
                continue
            if (line.document, line.number) in taken:
                into.faults.append(f"line {name!r:.40} is there twice")
                continue
            taken.add((line.document, line.number))
            if line.quantity == 0:
                into.others += 1  # a line that was made void
                continue
            own_time = said.moment(self._time.of(item)) if self._time is not None else None
            yield replace(line, at=own_time or at)

    def _line(self, item: Any, named: str | None, number: Any, given: Any) -> _Line:
        if named is None:
            raise ValueError(f"no {self._called} number")
        numbered = name_of(number)
        if numbered is None:
            raise ValueError("not a line's number")
        return _Line(named, numbered, _gtin(given), self._count(self._quantity.of(item)), item)

    def _count(self, given: Any) -> int:
        if given is None:
            return 1
        quantity = said.whole_number(given)
        if quantity is None or not self._least <= quantity <= MOST_ITEMS:
            raise ValueError(f"quantity is no whole number from {self._least} to {MOST_ITEMS}: {given!r:.40}")
        return quantity


def _gtin(given: Any) -> str:
    """As 14 digits. A number in JSON has lost the zeros before it."""
    text = said.name(given)
    if text is None:
        raise ValueError(f"not a GTIN: {given!r:.40}")
    whole = isinstance(given, int) and len(text) >= _SHORTEST_GTIN
    return parse_gtin(text.zfill(14) if whole else text)
