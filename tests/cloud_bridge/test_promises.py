"""How much can be promised: what a count supports, what is held back, what is claimed, and how far a store is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_bridge.config import Promises
from cloud_bridge.promises import available, distance_m, held_back, is_settled, supported
from cloud_bridge.store.records import StoreRecord
from cloud_bridge.store.reservations import Claim, Count, StockRecord
from edge_agent.contract.times import rfc3339

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
RULES = Promises()
STORE = StoreRecord(
    store="s1", name="", gln=None, timezone="UTC", last_seen_at=None, head_seq=0, head_occurred_at=None, last_seq=0,
    as_of_seq=0, catch_up_to=0, state_at=None, clock_offset_ms=None, differences=0, differed_at=None, latitude=None,
    longitude=None,
)  # fmt: skip


def at(seconds: float) -> str:
    return rfc3339(NOW + timedelta(seconds=seconds))


def stock(*counts: Count, claims: tuple[Claim, ...] = ()) -> StockRecord:
    return StockRecord(STORE, counts, claims)


def promised(record: StockRecord, rules: Promises = RULES, as_of: str | None = at(-1)) -> int:
    return available(record, rules, as_of=as_of, now=NOW)


@pytest.mark.parametrize(
    ("confidence", "kept"),
    [(1.0, 0), (0.95, 0), (0.94, 1), (0.9, 1), (0.89, 2), (0.8, 2), (0.6, 3), (0.5, 4)],
)
def test_the_less_sure_a_count_the_more_of_it_is_held_back(confidence, kept):
    assert held_back(confidence, sure=0.95) == kept
    assert supported(Count(10, confidence, "ok"), RULES) == 10 - kept


@pytest.mark.parametrize(
    "count", [Count(10, 0.49, "ok"), Count(10, 0.99, "unknown"), Count(0, 1.0, "out"), Count(1, 0.9, "low")]
)
def test_a_count_that_is_not_believed_supports_nothing(count):
    assert supported(count, RULES) == 0


def test_facings_are_judged_one_by_one_and_safety_stock_is_a_store_s():
    record = stock(Count(5, 0.99, "ok"), Count(5, 0.9, "ok"), Count(5, 0.3, "ok"))
    assert promised(record) == 9
    assert promised(record, Promises(safety_stock=2)) == 7
    assert promised(record, Promises(safety_stock=20)) == 0


def test_a_picture_that_is_too_old_promises_nothing_or_the_share_that_is_configured():
    record = stock(Count(5, 1.0, "ok"))
    assert promised(record, as_of=at(-120)) == 5
    assert promised(record, as_of=at(-120.002)) == promised(record, as_of=None) == 0
    assert promised(record, Promises(stale_share=0.5), as_of=None) == 2
    assert promised(record, Promises(stale_after_s=600), as_of=at(-500)) == 5


def test_a_hold_counts_until_it_expires_and_a_collection_until_the_picture_must_hold_it():
    held = Claim(2, "held", at(10), None)
    over = Claim(2, "held", at(0), None)
    fresh = Claim(1, "collected", at(-500), at(-800))
    old = Claim(1, "collected", at(-500), at(-901))
    counts = Count(9, 1.0, "ok")
    assert promised(stock(counts, claims=(held, over, fresh, old))) == 9 - 2 - 1
    # HQ's clock alone frees nothing: the picture has to be that much younger than the collection.
    lenient = Promises(stale_share=1.0)
    assert promised(stock(counts, claims=(old,)), lenient, as_of=at(-600)) == 8
    assert promised(stock(counts, claims=(old,)), lenient, as_of=None) == 8
    assert not is_settled(at(0), RULES, as_of=at(899.9))
    assert is_settled(at(0), RULES, as_of=at(900))


@given(
    counts=st.lists(
        st.builds(Count, st.integers(0, 50), st.floats(0, 1), st.sampled_from(["ok", "low", "out", "unknown"])),
        min_size=1,
    ),
    claimed=st.integers(0, 20),
    safety=st.integers(0, 5),
    share=st.floats(0, 1),
    age_s=st.integers(0, 1000),
)  # fmt: skip
def test_no_promise_exceeds_what_is_there_less_what_is_claimed(counts, claimed, safety, share, age_s):
    rules = Promises(safety_stock=safety, stale_share=share)
    record = stock(*counts, claims=(Claim(claimed, "held", at(10), None),))
    got = promised(record, rules, as_of=at(-age_s))
    assert 0 <= got <= max(0, record.on_hand - claimed - safety)
    surer = stock(
        *(Count(c.on_hand, min(1.0, c.confidence + 0.1), c.status) for c in counts), claims=record.claims
    )
    assert promised(surer, rules, as_of=at(-age_s)) >= got


def test_distances_are_great_circles():
    shanghai, beijing = (31.2304, 121.4737), (39.9042, 116.4074)
    assert distance_m(shanghai, beijing) == pytest.approx(1_067_000, rel=0.002)
    assert distance_m((0, 179.5), (0, -179.5)) == pytest.approx(111_195, rel=0.001)
    assert distance_m(shanghai, shanghai) == 0
    assert distance_m((90, 0), (-90, 0)) == pytest.approx(20_015_087, rel=1e-4)
