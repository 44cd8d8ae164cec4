"""What the planogram says of facings, products and plates, as the estimator asks for it."""

from __future__ import annotations

from math import hypot
from statistics import fmean, pstdev

from edge_agent.contract.planogram import Facing, Planogram, Product
from edge_agent.stock.habits import USUAL, Habits
from edge_agent.stock.hypothesis import OTHER, Item

MOST_KINDS = 3
"""One weight cannot tell more kinds of item apart."""
USUAL_STEP_G = 20.0
"""The step that counts as touched is chosen for items of this weight where none is known."""


class Assortment:
    """Facings and products by name."""

    def __init__(self, planogram: Planogram, habits: Habits = USUAL) -> None:
        self._habits = habits
        self.facings: dict[str, Facing] = {facing.id: facing for facing in planogram.facings}
        self._products = {product.gtin: product for product in planogram.products}
        weights = [p.unit_weight_g for p in planogram.products if p.unit_weight_g is not None]
        self._any = (fmean(weights), pstdev(weights)) if len(weights) > 1 else None
        self._by_shelf: dict[str | None, set[str]] = {}
        self._by_gtin: dict[str, list[str]] = {}
        for facing in planogram.facings:
            self._by_gtin.setdefault(facing.gtin, []).append(facing.id)
            self._by_shelf.setdefault(facing.shelf, set()).add(facing.gtin)

    def product(self, name: str) -> Product:
        """What stands on a facing."""
        return self._products[self.facings[name].gtin]

    def places(self, gtin: str) -> list[str]:
        """The facings of an item."""
        return self._by_gtin.get(gtin, [])

    def step_g(self, names: list[str]) -> float:
        """The weight of the lightest item on a plate."""
        weights = [self.product(name).unit_weight_g for name in names]
        return min((weight for weight in weights if weight is not None), default=USUAL_STEP_G)

    def items(self, names: list[str]) -> list[Item]:
        """What lies on a plate; nothing where its weight does not tell: too many kinds, or one unknown."""
        items = []
        for name in names if len(names) <= MOST_KINDS else ():
            product = self.product(name)
            if product.unit_weight_g is None:
                return []
            capacity = self.facings[name].capacity
            guessed = product.unit_weight_sd_g is None
            unit_g, sd_g = product.unit_weight_g, self._spread_g(product)
            items.append(Item(name, product.gtin, unit_g, sd_g, capacity, guessed))
        return items

    def neighbours(self, names: list[str]) -> dict[str, tuple[float, float]]:
        """GTIN to weight and spread of what stands on the same shelf, but not on this plate.

        OTHER stands for an item of any other shelf.
        """
        shelves = {self.facings[name].shelf for name in names} - {None}
        own = {self.facings[name].gtin for name in names}
        found = {OTHER: self._any} if self._any else {}
        for gtin in {gtin for shelf in shelves for gtin in self._by_shelf[shelf]} - own:
            product = self._products[gtin]
            if product.unit_weight_g is not None:
                bias_g = self._habits.unit_bias * product.unit_weight_g
                found[gtin] = (product.unit_weight_g, hypot(self._spread_g(product), bias_g))
        return found

    def _spread_g(self, product: Product) -> float:
        if product.unit_weight_sd_g is not None:
            return product.unit_weight_sd_g
        return self._habits.unit_cv * (product.unit_weight_g or 0.0)
