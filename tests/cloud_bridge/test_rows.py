"""What HQ reads of outbox rows before its transaction."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_bridge import rows
from cloud_bridge.errors import BadRequest
from cloud_bridge.rows import ReadyRow, SetAside, make_ready
from edge_agent.contract import written
from edge_agent.contract.messages import Batch, OutboxRow, StockChanged, encode, fold_chain
from edge_agent.contract.written import Identifier, Time, is_identifier, is_time

AT = "2026-11-22T10:00:00.123Z"
COLA = "06901234567892"


def row(**other):
    fields = {"facing": "A1", "gtin": COLA, "on_hand": 3, "change": 1, "confidence": 1.0, "status": "ok",
              "cause": "pick", "sources": ["weight"], "observed_at": AT}  # fmt: skip
    body = encode(fields | other.pop("body", {})).decode()
    envelope = {"seq": 1, "eid": "ab" * 16, "kind": "stock.changed", "version": 1, "occurred_at": AT,
                "boot_id": "b", "mono_ms": 5, "body": body}  # fmt: skip
    return OutboxRow(**envelope | other)


def ready(one: OutboxRow) -> ReadyRow:
    try:
        last_chain = fold_chain(bytes(16), [one]).hex()
    except ValueError:  # an eid that is none
        last_chain = "0" * 32
    batch = Batch(session="s", branch="b", first=1, prev_chain="0" * 32, last_chain=last_chain, last_seq=1,
                  rows=[one])  # fmt: skip
    return make_ready(batch).rows[0]


def test_a_row_that_fits_is_its_struct():
    assert ready(row()).body == StockChanged(
        facing="A1", gtin=COLA, on_hand=3, change=1, confidence=1.0, status="ok", cause="pick",
        sources=["weight"], observed_at=AT,
    )  # fmt: skip


@pytest.mark.parametrize("eid", ["", "AB" * 16, "ab" * 15, "ab" * 17, "ab " * 16, "xy" * 16, "ａｂ" * 16])
def test_an_eid_that_is_not_written_as_one_refuses_the_batch(eid):
    with pytest.raises(BadRequest, match="row 1: an eid"):
        ready(row(eid=eid))


@pytest.mark.parametrize(
    "at", ["", "yesterday", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00.123+01:00", AT + "Z"]
)
def test_a_time_that_is_not_written_as_one_refuses_the_batch(at):
    with pytest.raises(BadRequest, match="row 1: occurred_at"):
        ready(row(occurred_at=at))


@pytest.mark.parametrize(
    "wrong",
    [
        {"facing": ""},
        {"facing": "../A1"},
        {"facing": "A1\n"},
        {"facing": "A" * 65},
        {"observed_at": "2026-11-22 10:00:00"},
        {"reorder_due_at": "soon"},
        {"gtin": "06901234567890"},
        {"on_hand": 2**31},
        {"change": -(2**31)},
    ],
)
def test_a_body_that_does_not_fit_is_quarantined_alone(wrong):
    body = ready(row(body=wrong)).body
    assert isinstance(body, SetAside)
    assert (body.fate, body.reason[:15]) == ("quarantined", "stock.changed: ")


def fits(text: str, kind: object) -> bool:
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return False
    return True


@given(st.text(max_size=70) | st.from_regex(r"[A-Za-z0-9._-]{0,66}\n?", fullmatch=True))
def test_an_identifier_is_the_same_whoever_checks_it(text):
    assert is_identifier(text) == fits(text, Identifier)


@given(st.text(max_size=30) | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\n?", fullmatch=True))
def test_a_time_is_the_same_whoever_checks_it(text):
    assert is_time(text) == fits(text, Time)


def test_long_texts_are_refused_and_not_remembered():
    caches = (written._names, written._tells_time, rows._is_gtin14, rows.in_calendar)
    before = [cache.cache_info().misses for cache in caches]
    long = "1" * 100_000
    assert not is_identifier(long)
    assert not is_time(long)
    assert ready(row(body={"gtin": long})).body.fate == "quarantined"
    asked = [cache.cache_info().misses - misses for cache, misses in zip(caches, before, strict=True)]
    assert asked[0] + asked[1] <= 2  # of the row itself
    assert asked[2] == 0
