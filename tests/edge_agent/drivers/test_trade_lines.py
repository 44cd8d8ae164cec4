"""Receipts and deliveries on MQTT: every line counts or is named, whatever the others say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_agent.config.mappings import MqttJson
from edge_agent.drivers.decode import decode_stream
from edge_agent.drivers.mqtt_json import Mapper
from edge_agent.drivers.topic import Understood
from edge_agent.local_writes import SaleBody
from edge_agent.readings import Delivery, Reading, Sale

COLA, TEA = "06901234567892", "04012345678901"
AT = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
LINES = {"each": "lines"}


def settings(**given: Any) -> MqttJson:
    return MqttJson.model_validate({"id": "till-1", "driver": "mqtt-json", "topic": "t", **given})


def understood(given: dict[str, Any], payload: Any) -> Understood:
    return Mapper(settings(**given)).understand(json.dumps(payload).encode(), "t")


def readings(given: dict[str, Any], payload: Any) -> list[Reading]:
    found = understood(given, payload)
    assert found.faults == []
    return found.readings


def test_a_whole_receipt_is_a_sale_for_each_of_its_lines() -> None:
    sent = {
        "receipt": "R-17",
        "ts": "2026-11-22T10:00:00Z",
        "lines": [
            {"line": 10, "gtin": COLA, "quantity": 2},
            {"line": "20", "gtin": TEA, "quantity": "-1", "at": 1795341660},
        ],
    }
    given_back = datetime(2026, 11, 22, 10, 1, 0, tzinfo=UTC)
    assert readings({"sale": {**LINES, "time": "at"}, "time": "ts"}, sent) == [
        Sale("till-1", "R-17", "10", COLA, 2, AT),
        Sale("till-1", "R-17", "20", TEA, -1, given_back),
    ]


def test_a_message_may_be_one_line() -> None:
    sent = {"receipt": 17, "line": 3, "gtin": COLA}
    assert readings({"sale": {}}, sent) == [Sale("till-1", "17", "3", COLA, 1)]


def test_a_list_of_lines_that_each_name_their_receipt() -> None:
    sent = [{"receipt": "a", "gtin": COLA}, {"receipt": "b", "gtin": TEA, "quantity": 3.0}]
    assert readings({"sale": {"each": "@"}}, sent) == [
        Sale("till-1", "a", "1", COLA, 1),
        Sale("till-1", "b", "1", TEA, 3),
    ]


def test_lines_of_two_receipts_in_one_message_have_their_own_numbers() -> None:
    sent = {
        "lines": [
            {"receipt": 1, "line": 1, "gtin": COLA},
            {"receipt": 2, "line": 1, "gtin": COLA, "quantity": 3},
            {"receipt": 3, "gtin": COLA},
            {"receipt": 4, "deposit": 0.25},
            {"receipt": 4, "gtin": TEA},
        ]
    }
    assert readings({"sale": LINES}, sent) == [
        Sale("till-1", "1", "1", COLA, 1),
        Sale("till-1", "2", "1", COLA, 3),
        Sale("till-1", "3", "1", COLA, 1),
        Sale("till-1", "4", "2", TEA, 1),
    ]


def test_the_number_of_a_line_is_never_taken_for_that_of_its_receipt() -> None:
    sent = {"id": 4711, "lines": [{"id": 1, "gtin": COLA}, {"id": 2, "gtin": TEA}]}
    found = readings({"sale": {**LINES, "receipt": "id", "line": "id"}}, sent)
    assert found == [Sale("till-1", "4711", "1", COLA, 1), Sale("till-1", "4711", "2", TEA, 1)]


def test_a_line_without_a_number_has_its_place_in_the_list() -> None:
    """Also behind what is no item: a receipt that is sent again has the same lines."""
    sent = {"receipt": "r", "lines": [{"gtin": COLA}, {"deposit": 0.25}, {"gtin": None}, {"gtin": TEA}]}
    assert [one.line for one in readings({"sale": LINES}, sent) if isinstance(one, Sale)] == ["1", "4"]
    by_key = {"receipt": "r", "lines": {"x": {"gtin": COLA}}}
    assert readings({"sale": LINES}, by_key) == [Sale("till-1", "r", "x", COLA, 1)]


@pytest.mark.parametrize(
    ("sent", "gtin"),
    [
        ("6901234567892", COLA),
        (COLA, COLA),
        (" 6901234567892 ", COLA),
        (6901234567892, COLA),
        ("012345678905", "00012345678905"),
        (12345678905, "00012345678905"),  # a UPC that begins with 0, as a number
        ("96385074", "00000096385074"),
        (96385074, "00000096385074"),
    ],
)
def test_gtins_of_any_length_have_14_digits(sent: Any, gtin: str) -> None:
    assert readings({"sale": {}}, {"receipt": "r", "gtin": sent}) == [Sale("till-1", "r", "1", gtin, 1)]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ({"gtin": "6901234567890"}, "GTIN 6901234567890 has a wrong check digit (expected 2)"),
        ({"gtin": "4011"}, "GTIN '4011' must have 8, 12, 13 or 14 digits"),
        ({"gtin": 4011}, "GTIN '4011' must have 8, 12, 13 or 14 digits"),
        ({"gtin": ""}, "not a GTIN: ''"),
        ({"gtin": True}, "not a GTIN: True"),
        ({"gtin": 6901234567892.0}, "not a GTIN: 6901234567892.0"),
        ({"quantity": 0.35}, "quantity is no whole number from -10000 to 10000: 0.35"),
        ({"quantity": "two"}, "quantity is no whole number from -10000 to 10000: 'two'"),
        ({"quantity": 6901234567892}, "quantity is no whole number from -10000 to 10000: 6901234567892"),
        ({"line": [1]}, "not a line's number"),
    ],
)
def test_a_bad_line_is_one_line_of_text_and_the_others_count(line: dict[str, Any], fault: str) -> None:
    bad = {"line": 2, "gtin": COLA, **line}
    sent = {"receipt": "r", "lines": [{"gtin": COLA}, bad, {"gtin": TEA}]}
    found = understood({"sale": LINES}, sent)
    assert found.readings == [Sale("till-1", "r", "1", COLA, 1), Sale("till-1", "r", "3", TEA, 1)]
    assert found.faults == [f"line {bad['line']!r}: {fault}"]


@pytest.mark.parametrize("receipt", [None, "", 1.5, True, "x" * 129, "\n", ["a"]])
def test_without_a_number_of_the_receipt_nothing_can_count_once(receipt: Any) -> None:
    found = understood({"sale": LINES}, {"receipt": receipt, "lines": [{"gtin": COLA}]})
    assert (found.readings, found.faults) == ([], ["line 1: no receipt number"])


def test_a_line_number_that_comes_twice_is_told() -> None:
    sent = {"receipt": "r", "lines": [{"line": 1, "gtin": COLA}, {"line": 1, "gtin": TEA}]}
    found = understood({"sale": LINES}, sent)
    assert found.readings == [Sale("till-1", "r", "1", COLA, 1)]
    assert found.faults == ["line 1 is there twice"]


def test_a_line_that_was_made_void_says_nothing_and_is_no_fault() -> None:
    found = understood({"sale": LINES}, {"receipt": "r", "lines": [{"gtin": COLA, "quantity": 0}]})
    assert (found.readings, found.faults, found.others) == ([], [], 1)


def test_a_filter_in_the_path_chooses_the_lines_that_are_sales() -> None:
    sent = {"receipt": "r", "lines": [{"type": "sale", "gtin": COLA}, {"type": "order", "gtin": TEA}]}
    found = readings({"sale": {"each": "lines[?type=='sale']"}}, sent)
    assert found == [Sale("till-1", "r", "1", COLA, 1)]


# --- deliveries --------------------------------------------------------------------------------


def test_a_delivery_goes_to_the_back_room_or_onto_a_facing() -> None:
    given = {"delivery": {**LINES, "facing": "place"}}
    sent = {
        "delivery": "D-9",
        "lines": [{"gtin": COLA, "quantity": 24}, {"gtin": TEA, "quantity": 6, "place": "A1-02"}],
    }
    assert readings(given, sent) == [
        Delivery("till-1", "D-9", "1", COLA, 24),
        Delivery("till-1", "D-9", "2", TEA, 6, "A1-02"),
    ]


def test_one_facing_for_a_whole_delivery_and_that_of_a_line_before_it() -> None:
    given = {"delivery": {**LINES, "facing": "facing"}}
    sent = {"delivery": "d", "facing": "A1", "lines": [{"gtin": COLA}, {"gtin": TEA, "facing": "B1"}]}
    found = readings(given, sent)
    assert [one.facing for one in found if isinstance(one, Delivery)] == ["A1", "B1"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ({"quantity": -1}, "line 1: quantity is no whole number from 0 to 10000: -1"),
        ({"facing": 1.5}, "line 1: facing is no name: 1.5"),
        ({"gtin": "1"}, "line 1: GTIN '1' must have 8, 12, 13 or 14 digits"),
    ],
)
def test_a_delivery_that_makes_no_sense_is_told(line: dict[str, Any], fault: str) -> None:
    found = understood({"delivery": {"facing": "facing"}}, {"delivery": "d", "gtin": COLA, **line})
    assert (found.readings, found.faults) == ([], [fault])


# --- everything else ---------------------------------------------------------------------------


def test_decode_prints_sales_and_deliveries_as_json_with_every_field() -> None:
    options = {"sale": "{each: lines}", "delivery": "{each: came, facing: to}", "time": "ts"}
    sent = {
        "receipt": "r", "delivery": "d", "ts": "2026-11-22T10:00:00Z",
        "lines": [{"gtin": COLA}, {"gtin": "1"}], "came": [{"gtin": TEA, "quantity": 3, "to": "A1"}],
    }  # fmt: skip
    sale, delivery, fault = decode_stream("mqtt-json", [json.dumps(sent).encode()], options=options)
    at = "2026-11-22T10:00:00.000Z"
    assert sale == {
        "kind": "sale", "device": None, "receipt": "r", "line": "1", "gtin": COLA, "quantity": 1, "occurred_at": at,
    }  # fmt: skip
    assert delivery == {
        "kind": "delivery", "device": None, "delivery": "d", "line": "1", "gtin": TEA, "quantity": 3, "facing": "A1",
        "occurred_at": at,
    }  # fmt: skip
    assert str(fault).startswith("line 2: GTIN '1' must have")


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.just(COLA),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["receipt", "delivery", "line", "gtin", "quantity", "facing", "lines", "time"]),
            inner,
        )
    ),
    max_leaves=20,
)


@given(ANY)
def test_whatever_a_till_says_nothing_breaks_and_what_counts_is_whole(sent: Any) -> None:
    given = {"sale": LINES, "delivery": {**LINES, "facing": "facing", "time": "time"}}
    for one in understood(given, sent).readings:
        assert isinstance(one, Sale | Delivery)
        assert len(one.gtin) == 14
        assert one.quantity != 0
        assert one.line


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"sale": {"each": "a..b"}}, "no JMESPath"),
        ({"sale": {"price": "p"}}, "price"),
        ({"sale": {}, "facings": ["A1"]}, "facings and channels need it"),
    ],
)
def test_a_mapping_that_cannot_work_is_named(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        settings(**given)


def number_and_quantity(found: list[Reading]) -> tuple[str, int]:
    (sale,) = found
    assert isinstance(sale, Sale)
    return sale.receipt, sale.quantity


@pytest.mark.parametrize(
    ("receipt", "quantity", "is_taken"),
    [
        ("x" * 128, 10_000, True), (" 7 ", -10_000, True), (7, 1, True), (10**60, 1, True),
        ("x" * 129, 1, False), ("r", 10_001, False), ("r", -10_001, False), ("a\tb", 1, False),
    ],
)  # fmt: skip
def test_a_line_has_the_same_limits_and_name_over_mqtt_and_over_the_api(
    receipt: Any, quantity: int, is_taken: bool
) -> None:
    sent = {"receipt": receipt, "line": 1, "gtin": COLA, "quantity": quantity}
    over_mqtt = understood({"sale": {}}, sent).readings
    over_the_api = dict(sent, occurred_at="2026-11-22T10:00:00Z")
    if not is_taken:
        assert over_mqtt == []
        with pytest.raises(ValidationError):
            SaleBody.model_validate(over_the_api)
        return
    assert number_and_quantity(over_mqtt) == number_and_quantity(
        [SaleBody.model_validate(over_the_api).reading()]
    )
