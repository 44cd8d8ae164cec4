"""Readings in, stock events out: the one place where evidence becomes what HQ is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from math import log
from zoneinfo import ZoneInfo

from edge_agent.contract.gs1 import decode_epc
from edge_agent.contract.messages import Cause, ItemMoved
from edge_agent.contract.planogram import Planogram
from edge_agent.moment import Moment
from edge_agent.readings import Delivery, GapSeen, Recount, Sale, TagRead, WeightReading
from edge_agent.stock import across
from edge_agent.stock.accountant import Accountant
from edge_agent.stock.assortment import Assortment
from edge_agent.stock.belief import Belief, doubted
from edge_agent.stock.carried import Carried
from edge_agent.stock.demand import Demand
from edge_agent.stock.effects import Effects, PlatePosition
from edge_agent.stock.evidence import DOUBT, HEARD_SHARE, Evidence
from edge_agent.stock.habits import USUAL, Habits
from edge_agent.stock.oddities import Oddities
from edge_agent.stock.pan import Pan, PlateKey, pans
from edge_agent.stock.presence import BACK_ROOM, Moved, Presence
from edge_agent.stock.sensors import Sensors, Wiring
from edge_agent.stock.shelf_tags import ShelfTags
from edge_agent.stock.tag_evidence import Heard
from edge_agent.stock.takes import FOR_S, Takes
from edge_agent.stock.teller import Teller
from edge_agent.stock.telling import cause_of, interval_of, status_of, taken_after

CONFIRM_EVERY = timedelta(seconds=1)
"""How often a plate at rest moves its facing's `observed_at`."""
REST_EVERY_S = 30.0
"""How often the weight of a plate at rest is evidence: what changes in between is drift."""
UNTOUCHED_MARGIN = 0.1
"""A plate that nobody touched gets another count only when that is so much more probable."""
MOST_CONFIDENT = 0.999
UTC = ZoneInfo("UTC")
AGAIN_S = 5.0
"""So often a facing is judged again, while so many of its tags are in doubt."""
SALE_WRONG = 0.1
"""An item that was paid for and that nobody saw leave: scanned as something else, or taken from elsewhere."""


class Estimator:
    """Folds readings of one store. Every method returns the effects that must be committed together."""

    def __init__(
        self,
        planogram: Planogram,
        wiring: Wiring,
        beliefs: Iterable[Belief] = (),
        *,
        habits: Habits = USUAL,
        zone: ZoneInfo = UTC,
        confidence_step: float = 0.1,
    ) -> None:
        self._assortment = Assortment(planogram, habits)
        self._heard_at = dict.fromkeys(wiring.back_room, BACK_ROOM) | dict(wiring.antennas)
        self._facings = self._assortment.facings
        self._pans = pans(wiring.plates, self._assortment, habits)
        every = {id(pan): pan for pan in self._pans.values()}
        self._beside = across.neighbours(list(every.values()), self._facings)
        self._lying: dict[str, tuple[Pan, int]] = {
            item.facing: (pan, index)
            for pan in self._pans.values()
            if pan.belief is not None
            for index, item in enumerate(pan.belief.items)
        }
        self._sensors = Sensors(wiring, self._lying)
        self.presence, self._takes = Presence(), Takes()
        self._readers = {BACK_ROOM: {reader for reader, _ in wiring.back_room}} | self._sensors.covering
        self._tags = ShelfTags(self.presence, self._sensors.covering)
        self._evidence = Evidence(self._assortment, self._lying, self._tags, habits)
        self.accountant = Accountant(self._evidence, self._tags, self._sensors, self._lying)
        self._oddities = Oddities(self._lying)
        self._due_s: dict[str, float] = {}
        self._limits: dict[str, float] = {}
        self._heard: dict[str, Heard] = {}
        self._teller = Teller(
            planogram.facings, beliefs, self._evidence, self._takes, Demand(zone), step=confidence_step
        )
        self.beliefs = self._teller.beliefs

    def restore_plate(self, position: PlatePosition, now: Moment) -> None:
        """Put back the last durable word of a plate; the plate itself has to come to rest anew."""
        pan = self._pans.get((position.device, position.channel))
        if pan is not None:
            pan.restore(position, now)

    def restore_tag(self, *, epc: str, device: str, facing: str, mono_s: float) -> None:
        """Put back a tag that was present when the process stopped.

        A reader that was replaced hands its tags to one that hears the same place, or to any.
        """
        readers = self._readers.get(facing) or set().union(*self._readers.values()) or {device}
        reader = device if device in readers else min(readers)
        tag = self.presence.restore(epc=epc, device=reader, facing=facing, mono_s=mono_s)
        item = decode_epc(epc)
        if item is not None and facing in self._facings and item.gtin == self._facings[facing].gtin:
            self._tags.came(facing, tag)
            self._due_s.setdefault(facing, mono_s + AGAIN_S)

    def weight(self, reading: WeightReading, now: Moment) -> Effects | None:
        """One weight. None when it has no consequence (a plate at rest said so again)."""
        key = (reading.device, reading.channel)
        pan = self._pans.get(key)
        self._sensors.heard(reading.device)
        if pan is None:
            return None
        moved = pan.moving
        rest_g = pan.feed(key, reading, now)
        if pan.moving and not moved:
            self._touched(pan, now)
        if rest_g is not None:
            effects = self._settled(pan, rest_g, now)
            effects.plates += pan.at_rest(now)
            return effects
        if reading.weight_g is None:
            return None
        if pan.moving:
            return self._remember(pan, key, reading.weight_g, now)
        self._confirm(pan, now)
        return self._rested(pan, now) or self._remember(pan, key, reading.weight_g, now)

    def tag(self, reading: TagRead, now: Moment) -> Effects | None:
        """One tag read. None when the tag was known to be there."""
        facing = self._heard_at.get((reading.device, reading.antenna))
        if facing is None:
            return None
        if self._sensors.heard(reading.device):
            self._due_s |= dict.fromkeys(self._sensors.facings(reading.device), now.mono_s + AGAIN_S)
        self._tags.reader_heard(reading.device, now.mono_s)
        moves = self.presence.seen(
            epc=reading.epc,
            device=reading.device,
            facing=facing,
            rssi_dbm=reading.rssi_dbm,
            mono_s=now.mono_s,
            channel=reading.rf_channel,
        )
        return self._moved(moves, now) if moves else None

    def gap(self, reading: GapSeen, now: Moment) -> Effects | None:
        """A camera's verdict on a facing. None when it has no consequence."""
        name = reading.facing
        if name not in self._facings:
            return None
        self._evidence.saw(reading, now.mono_s)
        effects = Effects()
        self._teller.gap(effects, reading, now)
        self._judge(effects, name, now, unseen=True)
        return effects if effects.events else None

    def sale(self, reading: Sale, now: Moment) -> Effects | None:
        """A line of a receipt. It moves what no sensor counts (given back: as if it lay there again)."""
        effects, places = Effects(), self._assortment.places(reading.gtin)
        uncounted = [name for name in places if self._evidence.uncounted(name) is not None]
        left = reading.quantity
        if left > 0 and len(uncounted) < len(places):
            # Shoppers were seen to take it where a sensor counts.
            left = self._takes.sold(reading.gtin, left, now.mono_s)
        if uncounted and left:
            fullest = max(uncounted, key=lambda name: self.beliefs[name].on_hand or 0)
            kind: Cause = "sale" if left > 0 else "return"
            return self._line(fullest, -left, reading.occurred_at, kind, now)
        old = reading.occurred_at is not None and now.at - reading.occurred_at > timedelta(seconds=FOR_S)
        weighed = [name for name in places if name in self._lying]
        if left <= 0 or old or not weighed or not self._takes.watched(now.mono_s):
            return None
        name = min(weighed, key=lambda name: self.beliefs[name].confidence)
        (pan, index), on_hand = self._lying[name], self.beliefs[name].on_hand or 0
        if pan.belief is not None and pan.belief.hypotheses:
            fewer = range(max(0, on_hand - left) + 1)
            pan.belief.hint(index, dict.fromkeys(fewer, 0.0), log(SALE_WRONG))
            pan.before = []
            self._judge(effects, name, now, unseen=False, cause="sale")
        return effects if effects.events else None

    def delivery(self, reading: Delivery, now: Moment) -> Effects | None:
        """A line of a delivery. It moves a facing that it names and that no sensor counts."""
        if reading.facing not in self._assortment.places(reading.gtin):
            return None
        return self._line(reading.facing, reading.quantity, reading.occurred_at, "restock", now)

    def _line(
        self, name: str, change: int, occurred_at: datetime | None, cause: Cause, now: Moment
    ) -> Effects | None:
        """A line of a receipt or delivery moves what is carried of a facing."""
        carried = self._evidence.uncounted(name)
        if carried is None or not carried.moved(change, now.mono_s, occurred_at=occurred_at):
            return None
        effects = Effects()
        self._judge(effects, name, now, unseen=False, cause=cause)
        self._teller.keep(effects, name)
        return effects

    def recount(self, reading: Recount, now: Moment) -> Effects | None:
        """Staff counted by hand: the belief is based anew on that. None for a facing that is not known."""
        name = reading.facing
        if name not in self._facings:
            return None
        effects, lying = Effects(), self._lying.get(name)
        belief = lying[0].belief if lying is not None else None
        if lying is not None and belief is not None and belief.hypotheses:
            belief.recount(lying[1], reading.on_hand, lying[0].rest_g)
            lying[0].before = []
            for key, last in lying[0].positions.items():
                effects.plates.append(lying[0].position(key, last.weight_g, now))
        else:
            room = 2 * self._facings[name].capacity
            self._evidence.carried.setdefault(name, Carried(room)).recounted(
                reading.on_hand, now.at, now.mono_s
            )
        self._evidence.counted(name, reading.on_hand, now.mono_s)
        self._judge(effects, name, now, unseen=False, cause="recount")
        self._teller.keep(effects, name)
        return effects

    def device_lost(self, device: str, now: Moment) -> None:
        """From now on the device is silent; `tick` lets the confidence of its facings fall."""
        self._sensors.lost(device, now.mono_s)
        self._tags.reader_lost(device)
        for name in self._sensors.facings(device):
            self._heard.pop(name, None)
        self._evidence.forget_camera(device)
        self.presence.troubled(device, now.mono_s)

    def tick(self, now: Moment) -> Effects | None:
        """What time alone changes: departures and the doubt that grows over silent sensors."""
        departures = self.presence.departures(now.mono_s)
        effects = self._moved(departures, now) if departures else Effects()
        for name in [name for name, due_s in self._due_s.items() if due_s <= now.mono_s]:
            del self._due_s[name]
            if name in self._lying or self._says_else(name, now):
                self._judge(effects, name, now, unseen=name in self._lying)
            if (
                name not in self._lying
                or self._tags.listened(name, now.mono_s) < HEARD_SHARE
                or self._evidence.doubt(name, now.mono_s) > DOUBT
            ):
                self._due_s[name] = now.mono_s + AGAIN_S
        for name in self._sensors.silent():
            if self._sensors.limit(name, now.mono_s) < self._limits.get(name, 1.0):
                self._judge(effects, name, now, unseen=True)
        return effects if effects.events else None

    def _says_else(self, name: str, now: Moment) -> bool:
        """Whether the tags of a facing without a plate, looked at often, say anything else than before."""
        if self._sensors.limit(name, now.mono_s) != self._limits.get(name, 1.0):
            return True
        heard = self._tags.heard(name, now.mono_s)
        if self._tags.listened(name, now.mono_s) < HEARD_SHARE:
            return False
        before, self._heard[name] = self._heard.get(name), heard
        return before != heard

    def _confirm(self, pan: Pan, now: Moment) -> None:
        """A plate at rest is evidence that goes on; noted once a second, for it is no event."""
        for item in pan.belief.items if pan.belief is not None else ():
            belief = self.beliefs[item.facing]
            if belief.observed_at is not None and now.at - belief.observed_at >= CONFIRM_EVERY:
                self.beliefs[item.facing] = replace(belief, observed_at=now.at)

    def _remember(self, pan: Pan, key: PlateKey, weight_g: float, now: Moment) -> Effects | None:
        """The reading of a touched plate, made durable when it differs from the durable one."""
        last = pan.positions.get(key)
        if last is not None and abs(last.weight_g - weight_g) <= pan.plates[key].touch_g:
            return None
        return Effects(plates=[pan.position(key, weight_g, now)])

    def _touched(self, pan: Pan, now: Moment) -> None:
        """Somebody begins to move things: what the tags said until now is taken in."""
        for item in pan.belief.items if pan.belief is not None else ():
            if self._tags.covers(item.facing):
                self._evidence.settle_tags(item.facing, now.mono_s)

    def _settled(self, pan: Pan, rest_g: float, now: Moment) -> Effects:
        """The plate came to rest after it was touched, or after nobody looked."""
        unseen, effects, belief = pan.unseen, Effects(), pan.belief
        if belief is None:
            return effects
        if self._takes.watched_since_s is None:
            self._takes.watched_since_s = now.mono_s
        belief.away = {gtin: self._takes.away(gtin, now.mono_s) for gtin in belief.neighbours}
        first = not belief.hypotheses
        beside = self._touched_with(pan, now)
        pan.weigh(rest_g, now.mono_s, [lean for one in beside for lean in across.leans(pan, one)])
        for index, item in enumerate(belief.items):
            counted = self._evidence.carried.pop(item.facing, None)
            if first and counted is not None and counted.shares:  # by hand, before it was ever weighed
                belief.recount(index, max(counted.shares, key=lambda n: counted.shares[n]), rest_g)
        self._weighed(effects, pan, now, unseen=unseen)
        for one in beside:
            if said := list(across.leans(one, pan)):
                one.weigh_again(said)
                self._weighed(effects, one, now, unseen=False)
                effects.plates += one.at_rest(now)
        return effects

    def _touched_with(self, pan: Pan, now: Moment) -> list[Pan]:
        """Neighbouring plates that came to rest just before it and lie there untouched."""
        return [
            one
            for one in self._beside.get(id(pan), ())
            if now.mono_s - one.rested_s < across.TOGETHER_S and not one.moving
        ]

    def _weighed(self, effects: Effects, pan: Pan, now: Moment, *, unseen: bool) -> None:
        """What its weight says goes into what is told of its facings."""
        for item in pan.belief.items if pan.belief is not None else ():
            if self._tags.covers(item.facing):
                self._tags.touched(item.facing, now.mono_s)
                self._due_s[item.facing] = now.mono_s + AGAIN_S
            self._judge(effects, item.facing, now, unseen=unseen, settled=True)

    def _rested(self, pan: Pan, now: Moment) -> Effects | None:
        """The plate is at rest as before; None when that has no consequence."""
        if pan.belief is None or now.mono_s - pan.rested_s < REST_EVERY_S or (rest_g := pan.rest_g) is None:
            return None
        pan.rest(rest_g, now.mono_s)
        effects = Effects()
        for item in pan.belief.items:
            self._judge(effects, item.facing, now, unseen=True)
        if not effects.events:
            return None
        effects.plates += pan.at_rest(now)
        return effects

    def _judge(
        self,
        effects: Effects,
        name: str,
        now: Moment,
        *,
        unseen: bool,
        settled: bool = False,
        cause: Cause | None = None,
    ) -> None:
        """One facing, by all that speaks of it; nothing where nothing does. `settled`: its plate just did.

        Where a plate would have told of a change, another count without one must be much more probable.
        """
        before, facing = self.beliefs[name], self._facings[name]
        limit = self._limits[name] = self._sensors.limit(name, now.mono_s)
        found = self._evidence.of(name, now.mono_s, believed=limit if name in self._lying else 1.0)
        if found is None:
            if before.on_hand is not None and before.confidence > limit:
                self._teller.become(effects, before, doubted(before, limit, "stale"), "correction", now)
            return
        shares = found.shares
        margin = 0.0 if settled or cause else UNTOUCHED_MARGIN
        best = max(shares, key=lambda n: shares[n])
        if before.on_hand is not None and shares[best] < shares.get(before.on_hand, 0.0) + margin:
            best = before.on_hand
        # Where the scale is silent but tags count the facing too, what they say has been weighed in.
        counted = name in self._lying and "rfid" in found.sources and self._evidence.counted_by_tags(name)
        most = MOST_CONFIDENT if counted else min(limit, MOST_CONFIDENT)
        reasons = self._oddities.of(before, best, found, now.mono_s, recounted=cause == "recount")
        after = replace(
            before,
            on_hand=best,
            confidence=round(min(shares.get(best, 0.0), most), 3),
            status=status_of(best, shares, facing, limit=most, before=before.status),
            sources=found.sources,
            reasons=reasons if limit == 1.0 else (*reasons, "stale"),
            interval=interval_of(shares),
            contributions=tuple((one, round(alone.get(best, 0.0), 3)) for one, alone in found.alone.items()),
            observed_at=now.at,
        )
        kind = cause or cause_of(before, after, unseen=unseen)
        self._teller.become(
            effects, before, replace(after, taken=taken_after(before, after, kind)), kind, now
        )

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
            if item.gtin == self._facings[move.facing].gtin:
                (self._tags.came if move.arrived else self._tags.left)(move.facing, move.tag)
            if self._tags.listened(move.facing, now.mono_s) > HEARD_SHARE:
                self._judge(effects, move.facing, now, unseen=False)
            self._due_s.setdefault(move.facing, now.mono_s + AGAIN_S)
        return effects
