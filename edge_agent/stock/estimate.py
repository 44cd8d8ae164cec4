"""Readings in, stock events out: the one place where evidence becomes what HQ is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from math import exp, log

from edge_agent.contract.gs1 import decode_epc
from edge_agent.contract.messages import Cause, ItemMoved, Source
from edge_agent.contract.planogram import Planogram
from edge_agent.moment import Moment
from edge_agent.readings import TagRead, WeightReading
from edge_agent.stock import kept
from edge_agent.stock.assortment import Assortment
from edge_agent.stock.belief import Belief, doubted, status_of
from edge_agent.stock.effects import Effects, PlatePosition
from edge_agent.stock.plate_belief import OTHER, PlateBelief
from edge_agent.stock.presence import BACK_ROOM, Moved, Presence
from edge_agent.stock.settle import Plate
from edge_agent.stock.tag_evidence import Known, log_likelihood

RETURN_MOST = 2
"""More than this at once is put there by staff, not brought back by a shopper."""
STALE_LEVELS = ((30.0, 0.9), (300.0, 0.7), (1800.0, 0.4))
"""A facing whose sensor is silent this many seconds is believed at most this much."""
BLIND_S = 5.0
"""A change found after at least this long without a reading is a correction: nobody saw who did it."""
CONFIRM_EVERY = timedelta(seconds=1)
"""How often a plate at rest moves its facing's `observed_at`."""
REST_EVERY_S = 30.0
"""How often the weight of a plate at rest is evidence: what changes in between is drift."""
UNTOUCHED_MARGIN = 0.1
"""A plate that nobody touched gets another count only when that is so much more probable."""
MOST_CONFIDENT = 0.999
FADING_S = 10.0
"""The tags of what came are heard within this time, on the average."""
HEARD_SHARE, AGAIN_S = 0.95, 5.0
"""Tags alone are counted when a reader has heard this share of what is there; so often it is looked again."""
SURELY, DOUBT = 0.99, 0.1
"""Where weight alone is so sure and so few tags are in doubt, it is known how many items have none."""
READ_PER_S = 0.2
"""Of the tags that a reader has not heard yet it hears such a share each second."""

PlateKey = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class Wiring:
    """What lies where: plates to facings, antennas to facings, and the antennas over the back room."""

    plates: Mapping[PlateKey, list[str]]
    antennas: Mapping[tuple[str, int | None], str]
    back_room: Collection[tuple[str, int | None]] = ()


class Estimator:
    """Folds readings of one store. Every method returns the effects that must be committed together."""

    def __init__(self, planogram: Planogram, wiring: Wiring, beliefs: Iterable[Belief] = ()) -> None:
        self._assortment = Assortment(planogram)
        self._facings = self._assortment.facings
        self._wiring = wiring
        self._places = dict.fromkeys(wiring.back_room, BACK_ROOM) | dict(wiring.antennas)
        known = {b.facing: b for b in beliefs}
        self.beliefs: dict[str, Belief] = {
            f.id: known[f.id] if f.id in known and known[f.id].gtin == f.gtin else Belief(f.id, f.gtin)
            for f in planogram.facings
        }
        self.presence = Presence()
        self._plates = {key: Plate(self._assortment.step_g(names)) for key, names in wiring.plates.items()}
        self._positions: dict[PlateKey, PlatePosition] = {}
        self._viewed: dict[PlateKey, tuple[float, float]] = {}
        self._unseen: set[PlateKey] = set()
        self._on_plates = {
            key: PlateBelief(items, self._assortment.neighbours(names))
            for key, names in wiring.plates.items()
            if (items := self._assortment.items(names))
        }
        self._weighed = {item.facing for plate in self._on_plates.values() for item in plate.items}
        self._lying = {
            item.facing: (plate, index)
            for plate in self._on_plates.values()
            for index, item in enumerate(plate.items)
        }
        self._covering: dict[str, set[str]] = {}
        for (device, _), name in wiring.antennas.items():
            self._covering.setdefault(name, set()).add(device)
        self._sensors = {
            name: devices for name, devices in self._covering.items() if name not in self._weighed
        }
        for (device, _), names in wiring.plates.items():
            self._sensors |= {name: {device} for name in self._weighed.intersection(names)}
        self._sensed: dict[str, set[str]] = {}
        for name, devices in self._sensors.items():
            for device in devices:
                self._sensed.setdefault(device, set()).add(name)
        self._heard_s: dict[str, float] = {}
        self._came_s: dict[str, tuple[float, float]] = {}
        self._touched_s: dict[str, float] = {}
        self._known: dict[str, Known] = {}
        self._due_s: dict[str, float] = {}
        self._rested_s: dict[PlateKey, float] = {}
        self._told = dict(self.beliefs)
        self._tagged: Counter[tuple[str, str]] = Counter()
        self._lost_s: dict[str, float] = {}

    def restore_plate(self, position: PlatePosition, now: Moment) -> None:
        """Put back the last durable word of a plate; the plate itself has to come to rest anew."""
        key = (position.device, position.channel)
        if key in self._plates:
            self._positions[key] = position
        if key in self._on_plates:
            age_s = max(0.0, (now.at - position.observed_at).total_seconds())
            kept.read(position.belief, self._on_plates[key], now.mono_s - age_s)

    def restore_tag(self, *, epc: str, device: str, facing: str, mono_s: float) -> None:
        """Put back a tag that was present when the process stopped."""
        self.presence.restore(epc=epc, device=device, facing=facing, mono_s=mono_s)
        if (item := decode_epc(epc)) is not None:
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
        if rest_g is not None:
            effects = self._settled(key, rest_g, now)
            effects.plates.append(self._position(key, rest_g, now))
            return effects
        if plate.moving:
            return self._remember(key, reading.weight_g, now)
        self._confirm(self._wiring.plates[key], now)
        return self._rested(key, now) or self._remember(key, reading.weight_g, now)

    def tag(self, reading: TagRead, now: Moment) -> Effects | None:
        """One tag read. None when the tag was known to be there."""
        facing = self._places.get((reading.device, reading.antenna))
        if facing is None:
            return None
        if self._lost_s.pop(reading.device, None) is not None:
            self._due_s |= dict.fromkeys(self._sensed.get(reading.device, ()), now.mono_s + AGAIN_S)
        self._heard_s.setdefault(reading.device, now.mono_s)
        moves = self.presence.seen(
            epc=reading.epc,
            device=reading.device,
            facing=facing,
            rssi_dbm=reading.rssi_dbm,
            mono_s=now.mono_s,
            channel=reading.rf_channel,
        )
        return self._moved(moves, now) if moves else None

    def device_lost(self, device: str, now: Moment) -> None:
        """From now on the device is silent; `tick` lets the confidence of its facings fall."""
        self._lost_s.setdefault(device, now.mono_s)
        self._heard_s.pop(device, None)
        self.presence.troubled(device, now.mono_s)

    def tick(self, now: Moment) -> Effects | None:
        """What time alone changes: departures and the doubt that grows over silent sensors."""
        departures = self.presence.departures(now.mono_s)
        effects = self._moved(departures, now) if departures else Effects()
        for name in [name for name, due_s in self._due_s.items() if due_s <= now.mono_s]:
            del self._due_s[name]
            self._judge(effects, name, now, unseen=name in self._weighed)
            doubt = self._unheard(name, now) + self._gone(name, now)
            if doubt > DOUBT or self._listened(name, now) < HEARD_SHARE:
                self._due_s[name] = now.mono_s + AGAIN_S
        for name in [name for device in self._lost_s for name in self._sensed.get(device, ())]:
            before, limit = self.beliefs[name], self._limit(name, now)
            if before.on_hand is not None and before.confidence > limit:
                after = doubted(before, limit, "stale", self._facings[name])
                self._become(effects, before, after, "correction", now)
        return effects if effects.events else None

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
        belief = self._on_plates.get(key)
        text = kept.write(belief) if belief is not None and belief.hypotheses else ""
        position = PlatePosition(key[0], key[1], weight_g, now.at, text)
        self._positions[key] = position
        return position

    def _settled(self, key: PlateKey, rest_g: float, now: Moment) -> Effects:
        """The plate came to rest after it was touched, or after nobody looked."""
        unseen = key in self._unseen
        self._unseen.discard(key)
        self._rested_s[key] = now.mono_s
        belief = self._on_plates.get(key)
        if belief is None:
            return Effects()
        belief.weigh(rest_g, now.mono_s, unseen=unseen)
        effects = Effects()
        for item in belief.items:
            self._judge(effects, item.facing, now, unseen=unseen, settled=True)
            if item.facing in self._covering:
                self._touched_s[item.facing] = now.mono_s
                self._due_s[item.facing] = now.mono_s + AGAIN_S
        return effects

    def _rested(self, key: PlateKey, now: Moment) -> Effects | None:
        """The plate is at rest as before; None when that has no consequence."""
        rest_g, belief = self._plates[key].rest_g, self._on_plates.get(key)
        if belief is None or rest_g is None or now.mono_s - self._rested_s.get(key, 0.0) < REST_EVERY_S:
            return None
        self._rested_s[key] = now.mono_s
        belief.rest(rest_g, now.mono_s)
        effects = Effects()
        for item in belief.items:
            self._judge(effects, item.facing, now, unseen=True)
        if not effects.events:
            return None
        effects.plates.append(self._position(key, rest_g, now))
        return effects

    def _judge(
        self, effects: Effects, name: str, now: Moment, *, unseen: bool, settled: bool = False
    ) -> None:
        """One facing, by all that speaks of it; nothing where nothing does. `settled`: its plate just did.

        Where a plate would have told of a change, another count without one must be much more probable.
        """
        before, facing = self.beliefs[name], self._facings[name]
        shares, sources, reasons = self._evidence(name, now)
        if not sources:
            return
        margin = UNTOUCHED_MARGIN if "weight" in sources and not settled else 0.0
        best = max(shares, key=lambda n: shares[n])
        if before.on_hand is not None and shares[best] < shares.get(before.on_hand, 0.0) + margin:
            best = before.on_hand
        limit = self._limit(name, now)
        confidence = round(min(shares.get(best, 0.0), MOST_CONFIDENT, limit), 3)
        after = replace(
            before,
            on_hand=best,
            confidence=confidence,
            status=status_of(best, confidence, facing),
            sources=sources,
            reasons=reasons if limit == 1.0 else (*reasons, "stale"),
            observed_at=now.at,
        )
        cause = _cause(before, after, unseen=unseen)
        if before.on_hand is not None and best > before.on_hand and "weight" in sources:
            self._came_s[name] = (now.mono_s, self._unheard(name, now) + best - before.on_hand)
        self._become(effects, before, replace(after, taken=_taken(before, after, cause)), cause, now)

    def _evidence(
        self, name: str, now: Moment
    ) -> tuple[dict[int, float], tuple[Source, ...], tuple[str, ...]]:
        """Count to probability, what it comes from, and what is odd about it."""
        facing, product = self._facings[name], self._assortment.product(name)
        belief, index = self._lying.get(name, (None, 0))
        weighed = belief is not None and bool(belief.hypotheses)
        shares = belief.distribution(index) if belief is not None and weighed else {}
        reasons = _reasons(belief.foreign()) if belief is not None and weighed else ()
        seen = self._tagged[(name, facing.gtin)]
        if not product.tagged or self._listened(name, now) < HEARD_SHARE:
            return shares, ("weight",) if weighed else (), reasons
        if not weighed:
            shares = dict.fromkeys(range(facing.capacity + 1), 1.0)
        unheard, gone = self._unheard(name, now), self._gone(name, now)
        best = max(shares, key=lambda n: shares[n])
        if shares[best] > SURELY and unheard + gone < DOUBT:
            self._known[name] = (best, max(0, best - seen))
        known = self._known.get(name, (0, 0))
        logs = {
            n: log(max(share, 1e-9))
            + log_likelihood(seen, n, tagged=product.tagged, known=known, unheard=unheard, gone=gone)
            for n, share in shares.items()
        }
        most = max(logs.values())
        whole = sum(exp(value - most) for value in logs.values())
        shares = {n: exp(value - most) / whole for n, value in logs.items()}
        return shares, ("weight", "rfid") if weighed else ("rfid",), reasons

    def _limit(self, name: str, now: Moment) -> float:
        """How far a facing may be believed whose scale (or, without one, reader) is silent."""
        lost_s = [self._lost_s[one] for one in self._sensors.get(name, ()) if one in self._lost_s]
        silent_s = now.mono_s - min(lost_s, default=now.mono_s)
        return min((level for after_s, level in STALE_LEVELS if silent_s >= after_s), default=1.0)

    def _unheard(self, name: str, now: Moment) -> float:
        """Items that came so recently that their tags may not have been heard yet."""
        at_s, came = self._came_s.get(name, (now.mono_s, 0.0))
        return came * exp((at_s - now.mono_s) / FADING_S)

    def _gone(self, name: str, now: Moment) -> float:
        """Tags that are counted here though they have probably left when the plate was touched."""
        touched_s = self._touched_s.get(name)
        return 0.0 if touched_s is None else self.presence.doubtful(name, touched_s, now.mono_s)

    def _listened(self, name: str, now: Moment) -> float:
        """The share of present tags that the facing's readers have heard by now: none before one is heard."""
        since_s = [
            self._heard_s[device] for device in self._covering.get(name, ()) if device in self._heard_s
        ]
        return 1 - (1 - READ_PER_S) ** (now.mono_s - min(since_s)) if since_s else 0.0

    def _become(self, effects: Effects, before: Belief, after: Belief, cause: Cause, now: Moment) -> Effects:
        if after.on_hand != before.on_hand:
            after = replace(after, changed_at=now.at)
        self.beliefs[after.facing] = after
        told = self._told[after.facing]
        if _worth_telling(told, after):
            self._told[after.facing] = after
            effects.tell("stock.changed", after.changed_from(told, cause), now.at)
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
                facing=move.facing or None,
                device=move.tag.device,
            )
            effects.tell("item.arrived" if move.arrived else "item.departed", body, now.at)
            effects.tags.append(move)
            if item is None or move.facing not in self.beliefs:  # a facing that the planogram dropped
                continue
            self._tagged[(move.facing, item.gtin)] += 1 if move.arrived else -1
            if self._listened(move.facing, now) > HEARD_SHARE:
                self._judge(effects, move.facing, now, unseen=False)
            self._due_s.setdefault(move.facing, now.mono_s + AGAIN_S)
        return effects


def _reasons(foreign: Mapping[str, float]) -> tuple[str, ...]:
    """What lies on a plate beside its items, when that is more probable than nothing."""
    if sum(foreign.values()) <= 0.5:
        return ()
    return ("foreign_object",) if foreign.get(OTHER, 0.0) >= 0.5 * sum(foreign.values()) else ("misplaced",)


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
