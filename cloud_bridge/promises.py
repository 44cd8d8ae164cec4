"""How much of what a store says it has can be promised to somebody else: pure."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Final

from cloud_bridge.config import Promises
from cloud_bridge.store.reservations import Claim, Count, StockRecord
from edge_agent.contract.times import parse_rfc3339, rfc3339

WRONG_BY_MORE: Final = 0.5
"""Of the counts that are wrong by n, the share that is wrong by more: how fast the tail of the error falls.

Of the wrong counts of each simulated store at most 41 % were wrong by more than one (docs/accuracy.md, exact
and within ±1); where cameras alone counted 72 %: too little is held back there.
"""
_ROUNDING: Final = 1e-9
_EARTH_M: Final = 6_371_008.8
"""Mean radius (IUGG)."""

Place = tuple[float, float]
"""Latitude and longitude in degrees."""


def available(stock: StockRecord, rules: Promises, *, as_of: str | None, now: datetime) -> int:
    """Items that can be promised: what the counts support less safety stock and claims, never below 0.

    `as_of`: up to when HQ's picture of the store is known to be right. A picture that is older than
    `stale_after_s` supports `stale_share` of its items, rounded down.
    """
    supports = sum(supported(count, rules) for count in stock.counts)
    if is_stale(as_of, rules, now=now):
        supports = math.floor(supports * rules.stale_share + _ROUNDING)
    taken = sum(claim.items for claim in stock.claims if is_claimed(claim, rules, as_of=as_of, now=now))
    return max(0, supports - rules.safety_stock - taken)


def supported(count: Count, rules: Promises) -> int:
    """Of a facing's items those that are there with a probability of at least `sure`.

    A count is right with probability c, its confidence. It is too high by more than k items with at most
    (1 - c) * WRONG_BY_MORE**k, as if no count were ever too low; the smallest k that brings this down to
    1 - sure is held back. Below `min_confidence`, or where the status is not known, nothing is supported.
    """
    if count.status == "unknown" or count.confidence < rules.min_confidence - _ROUNDING:
        return 0
    return max(0, count.on_hand - held_back(count.confidence, sure=rules.sure))


def held_back(confidence: float, *, sure: float) -> int:
    """See `supported`: with 0.95 none of a count from 0.95 on, one from 0.9, two from 0.8, three from 0.6."""
    k, doubt = 0, 1 - confidence
    while doubt > 1 - sure + _ROUNDING:
        k, doubt = k + 1, doubt * WRONG_BY_MORE
    return k


def is_stale(as_of: str | None, rules: Promises, *, now: datetime) -> bool:
    """Whether a picture is too old to be promised from as it is."""
    return as_of is None or (now - parse_rfc3339(as_of)).total_seconds() > rules.stale_after_s


def is_claimed(claim: Claim, rules: Promises, *, as_of: str | None, now: datetime) -> bool:
    """Whether a reservation still takes its items from what is available.

    Held: until it expires. Collected: until the shelf has told that so many left (then it claims none), or
    until it must have told, which is when HQ's picture is `pick_within_s` younger than the collection.
    """
    if claim.state == "held":
        return claim.expires_at > rfc3339(now)
    return not is_settled(claim.ended_at, rules, as_of=as_of)


def is_settled(collected_at: str | None, rules: Promises, *, as_of: str | None) -> bool:
    """Whether a picture as of then must hold what was collected, told as picks or not."""
    if collected_at is None or as_of is None:
        return False
    age_s = (parse_rfc3339(as_of) - parse_rfc3339(collected_at)).total_seconds()
    return age_s >= rules.pick_within_s


def distance_m(here: Place, there: Place) -> float:
    """Metres along the great circle (haversine)."""
    (lat, lon), (lat2, lon2) = (map(math.radians, place) for place in (here, there))
    chord = math.sin((lat2 - lat) / 2) ** 2
    chord += math.cos(lat) * math.cos(lat2) * math.sin((lon2 - lon) / 2) ** 2
    return 2 * _EARTH_M * math.asin(min(1.0, math.sqrt(chord)))
