"""Readings in, stock events out: the one place where evidence becomes what HQ is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from edge_agent.contract.gs1 import decode_epc
from edge_agent.contract.messages import Cause, ItemMoved
from edge_agent.contract.planogram import Facing, Planogram, Product
from edge_agent.moment import Moment
from edge_agent.readings import TagRead, WeightReading
from edge_agent.stock.belief import Belief, doubted, status_of
from edge_agent.stock.division import count_from_weight
from edge_agent.stock.effects import Effects, PlatePosition
from edge_agent.stock.presence import Moved, Presence
from edge_agent.stock.settle import Plate

RETURN_MOST = 2
"""More than this at once is put there by staff, not brought back by a shopper."""
STALE_LEVELS = ((30.0, 0.9), (300.0, 0.7), (1800.0, 0.4))
"""A facing whose sensor is silent this many seconds is believed at most this much."""
BLIND_S = 5.0
"""A change found after at least this long without a reading is a correction: nobody saw who did it."""
READ_SHARE = 0.98
"""Share of present tags that a working reader finds within the presence window."""
CONFIRM_EVERY = timedelta(seconds=1)
"""How often a plate at rest moves its facing's `observed_at`."""

PlateKey = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class Wiring:
    """What lies where: plates to facings, antennas to facings."""

    plates: Mapping[PlateKey, list[str]]
    antennas: Mapping[tuple[str, int | None], str]


class Estimator:
    """Folds readings of one store. Every method returns the effects that must be committed together."""

    def __init__(self, planogram: Planogram, wiring: Wiring, beliefs: Iterable[Belief] = ()) -> None:
        self._products: dict[str, Product] = {p.gtin: p for p in planogram.products}
        self._facings: dict[str, Facing] = {f.id: f for f in planogram.facings}
        self._wiring = wiring
        known = {b.facing: b for b in beliefs}
        self.beliefs: dict[str, Belief] = {
            f.id: known[f.id] if f.id in known and known[f.id].gtin == f.gtin else Belief(f.id, f.gtin)
            for f in planogram.facings
        }
        self.presence = Presence()
        self._plates = {key: Plate(self._step_g(names)) for key, names in wiring.plates.items()}
        self._positions: dict[PlateKey, PlatePosition] = {}
        self._viewed: dict[PlateKey, tuple[float, float]] = {}
        self._unseen: set[PlateKey] = set()
        self._weighed = {
            names[0]
            for names in wiring.plates.values()
            if len(names) == 1 and self._product(names[0]).unit_weight_g is not None
        }
        self._tagged: Counter[tuple[str, str]] = Counter()
        self._lost_s: dict[str, float] = {}

    def restore_plate(self, position: PlatePosition) -> None:
        """Put back the last durable word of a plate; the plate itself has to come to rest anew."""
        key = (position.device, position.channel)
        if key in self._plates:
            self._positions[key] = position

    def restore_tag(self, *, epc: str, device: str, facing: str, mono_s: float) -> None:
        """Put back a tag that was present when the process stopped."""
        self.presence.restore(epc=epc, device=device, facing=facing, mono_s=mono_s)
        item = decode_epc(epc)
        if item is not None:
            self._tagged[(facing, item.gtin)] += 1

    def weight(self, reading: WeightReading, now: Moment) -> Effects | None:
        """One weight. None when it has no consequence (a plate at rest said so again)."""
        key = (reading.device, reading.channel)
        plate = self._plates.get(key)
        self._lost_s.pop(reading.device, None)
        if plate is None:
            return None
        self._view(key, now.mono_s)
        if reading.weight_g is None or "over" in reading.flags or "under" in reading.flags:
            plate.disturb()
            return None
        rest_g = plate.feed(now.mono_s, reading.weight_g, stable=reading.stable)
        if rest_g is None:
            if not plate.moving:
                self._confirm(self._wiring.plates[key], now)
            return self._remember(key, reading.weight_g, now)
        effects = self._settled(self._wiring.plates[key], rest_g, now, unseen=key in self._unseen)
        self._unseen.discard(key)
        effects.plates.append(self._position(key, rest_g, now))
        return effects

    def tag(self, reading: TagRead, now: Moment) -> Effects | None:
        """One tag read. None when the tag was known to be there."""
        facing = self._wiring.antennas.get((reading.device, reading.antenna))
        if facing is None:
            return None
        moves = self.presence.seen(
            epc=reading.epc,
            device=reading.device,
            facing=facing,
            rssi_dbm=reading.rssi_dbm,
            mono_s=now.mono_s,
        )
        return self._moved(moves, now) if moves else None

    def device_lost(self, device: str, now: Moment) -> None:
        """From now on the device is silent; `tick` lets the confidence of its facings fall."""
        self._lost_s.setdefault(device, now.mono_s)
        self.presence.troubled(device, now.mono_s)

    def tick(self, now: Moment) -> Effects | None:
        """What time alone changes: departures and the doubt that grows over silent sensors."""
        departures = self.presence.departures(now.mono_s)
        effects = self._moved(departures, now) if departures else Effects()
        for (device, _), names in self._wiring.plates.items():
            silent_s = now.mono_s - self._lost_s.get(device, now.mono_s)
            limit = min((level for after, level in STALE_LEVELS if silent_s >= after), default=1.0)
            for name in self._weighed.intersection(names):
                before = self.beliefs[name]
                if before.on_hand is not None and before.confidence > limit:
                    after = doubted(before, limit, "stale", self._facings[name])
                    self._become(effects, before, after, "correction", now)
        return effects if effects.events else None

    def _step_g(self, names: list[str]) -> float:
        weights = [self._product(name).unit_weight_g for name in names]
        return min((w for w in weights if w is not None), default=20.0)

    def _product(self, name: str) -> Product:
        return self._products[self._facings[name].gtin]

    def _view(self, key: PlateKey, mono_s: float) -> None:
        """Mark the plate unseen when its last reading is older than its usual rhythm allows.

        It must settle anew: that ends the doubt of the silence, and what came in it is told as unseen.
        """
        last_s, rhythm_s = self._viewed.get(key, (float("-inf"), 0.0))
        gap_s = mono_s - last_s
        if gap_s > max(BLIND_S, 3 * rhythm_s):
            self._unseen.add(key)
            self._plates[key].disturb()
        usual_s = rhythm_s if gap_s == float("inf") else rhythm_s + 0.2 * (gap_s - rhythm_s)
        self._viewed[key] = (mono_s, usual_s)

    def _confirm(self, names: list[str], now: Moment) -> None:
        """A plate at rest is evidence that goes on; noted once a second, for it is no event."""
        for name in self._weighed.intersection(names):
            belief = self.beliefs[name]
            if belief.observed_at is not None and now.at - belief.observed_at >= CONFIRM_EVERY:
                self.beliefs[name] = replace(belief, observed_at=now.at)

    def _remember(self, key: PlateKey, weight_g: float, now: Moment) -> Effects | None:
        """The reading of a touched plate, made durable when it differs from the durable one."""
        last, plate = self._positions.get(key), self._plates[key]
        if last is not None and abs(last.weight_g - weight_g) <= plate.touch_g:
            return None
        return Effects(plates=[self._position(key, weight_g, now)])

    def _position(self, key: PlateKey, weight_g: float, now: Moment) -> PlatePosition:
        position = PlatePosition(key[0], key[1], weight_g, now.at)
        self._positions[key] = position
        return position

    def _settled(self, names: list[str], rest_g: float, now: Moment, *, unseen: bool) -> Effects:
        effects = Effects()
        if len(names) != 1:
            return effects
        before, facing = self.beliefs[names[0]], self._facings[names[0]]
        unit_weight_g = self._products[facing.gtin].unit_weight_g
        if unit_weight_g is None:
            return effects
        count = count_from_weight(
            rest_g,
            unit_weight_g=unit_weight_g,
            unit_sd_g=self._products[facing.gtin].unit_weight_sd_g,
            capacity=facing.capacity,
        )
        confidence = round(count.confidence, 3)
        after = replace(
            before,
            on_hand=count.on_hand,
            confidence=confidence,
            status=status_of(count.on_hand, confidence, facing),
            sources=("weight",),
            reasons=("foreign_object",) if count.foreign else (),
            observed_at=now.at,
        )
        cause = _cause(before, after, unseen=unseen)
        return self._become(effects, before, replace(after, taken=_taken(before, after, cause)), cause, now)

    def _become(self, effects: Effects, before: Belief, after: Belief, cause: Cause, now: Moment) -> Effects:
        if after.on_hand != before.on_hand:
            after = replace(after, changed_at=now.at)
        self.beliefs[after.facing] = after
        if _worth_telling(before, after):
            effects.tell("stock.changed", after.changed_from(before, cause), now.at)
            effects.beliefs.append(after)
        return effects

    def _moved(self, moves: list[Moved], now: Moment) -> Effects:
        effects = Effects()
        for move in moves:
            item = decode_epc(move.tag.epc)
            body = ItemMoved(
                epc=move.tag.epc,
                gtin=item.gtin if item else None,
                serial=item.serial if item else None,
                facing=move.facing,
                device=move.tag.device,
            )
            effects.tell("item.arrived" if move.arrived else "item.departed", body, now.at)
            effects.tags.append(move)
            if item is None or move.facing not in self.beliefs:  # a facing that the planogram dropped
                continue
            self._tagged[(move.facing, item.gtin)] += 1 if move.arrived else -1
            if move.facing not in self._weighed:
                self._counted_by_tags(effects, move.facing, item.gtin, now)
        return effects

    def _counted_by_tags(self, effects: Effects, name: str, gtin: str, now: Moment) -> None:
        """A facing without a plate: k seen tags mean k items with probability (tagged·read)^(k+1)."""
        before, facing = self.beliefs[name], self._facings[name]
        tagged = self._products[facing.gtin].tagged
        if gtin != facing.gtin or tagged == 0:
            return
        seen = self._tagged[(name, gtin)]
        confidence = round((tagged * READ_SHARE) ** (seen + 1), 3)
        after = replace(
            before,
            on_hand=seen,
            confidence=confidence,
            status=status_of(seen, confidence, facing),
            sources=("rfid",),
            observed_at=now.at,
        )
        cause = _cause(before, after, unseen=False)
        self._become(effects, before, replace(after, taken=_taken(before, after, cause)), cause, now)


def _worth_telling(before: Belief, after: Belief) -> bool:
    """The emission rule: a new count, status or reason, or a confidence that moved by a tenth."""
    return (
        (after.on_hand, after.status, after.reasons) != (before.on_hand, before.status, before.reasons)
        or after.sources != before.sources
        or abs(after.confidence - before.confidence) >= 0.1
    )


def _cause(before: Belief, after: Belief, *, unseen: bool) -> Cause:
    if before.on_hand is None or after.on_hand is None:
        return "initial"
    change = after.on_hand - before.on_hand
    if unseen or change == 0:
        return "restock" if change > RETURN_MOST else "correction"
    if change < 0:
        return "pick"
    return "return" if change <= min(RETURN_MOST, before.taken) else "restock"


def _taken(before: Belief, after: Belief, cause: Cause) -> int:
    if cause in ("pick", "return"):
        return max(0, before.taken + (before.on_hand or 0) - (after.on_hand or 0))
    return 0 if cause in ("initial", "restock") else before.taken
