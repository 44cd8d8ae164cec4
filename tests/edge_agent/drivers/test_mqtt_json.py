"""Mapped messages: the published shapes, what is no value, and what a configuration may say."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_agent.config.mappings import MqttJson
from edge_agent.drivers import said
from edge_agent.drivers.decode import decode_stream
from edge_agent.drivers.mqtt_json import Mapper
from edge_agent.drivers.topic import Understood
from edge_agent.readings import (
    DeviceAnswered,
    DeviceDegraded,
    EnvironmentReading,
    Reading,
    TagRead,
    WeightReading,
)

AT = datetime(2026, 11, 22, 10, 0, 0, 123000, tzinfo=UTC)


def settings(**given: Any) -> MqttJson:
    return MqttJson.model_validate({"id": "d1", "driver": "mqtt-json", "topic": "t", **given})


def understood(given: dict[str, Any], payload: Any, topic: str = "t") -> Understood:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Mapper(settings(**given)).understand(raw, topic)


def readings(given: dict[str, Any], payload: Any, topic: str = "t") -> list[Reading]:
    found = understood(given, payload, topic)
    assert found.faults == []
    return found.readings


def weight_g(weight: dict[str, Any], payload: Any) -> float | None:
    (reading,) = readings({"weight": weight}, payload)
    assert isinstance(reading, WeightReading)
    return reading.weight_g


# --- shapes that are out there -----------------------------------------------------------------

SHELF = {
    "id": "shelf01",
    "topic": "homie/{id}/scales/{channel}/mass",
    "weight": {"unit": "kg"},
    "channel_names": {"aabbccddeeff": 1, "b963": 2},
    "channels": {"1": ["A1"], "2": ["A2"]},
    "online": {"topic": "homie/{id}/scales/{channel}/state"},
}


def test_a_shelf_of_plates_that_are_named_by_their_hardware_address() -> None:
    topic = "homie/shelf01/scales/aabbccddeeff/mass"
    assert readings(SHELF, b"0.352", topic) == [WeightReading("shelf01", 1, 352.0, None)]
    assert understood(SHELF, b"0.352", "homie/shelf01/scales/ffff/mass").faults == ["unknown channel 'ffff'"]
    assert understood(SHELF, b"0.352", "homie/shelf02/scales/b963/mass") == Understood()


def test_one_plate_that_is_gone_degrades_the_shelf_until_it_is_back() -> None:
    mapper = Mapper(settings(**SHELF))
    gone = DeviceDegraded("shelf01", "plate b963 says that it is offline")
    assert mapper.understand(b"0", "homie/shelf01/scales/b963/state").readings == [gone]
    other = mapper.understand(b"1.5", "homie/shelf01/scales/aabbccddeeff/mass").readings
    assert other == [WeightReading("shelf01", 1, 1500.0, None), gone], "a good plate does not clear it"
    back = mapper.understand(b"1", "homie/shelf01/scales/b963/state").readings
    assert back == [DeviceAnswered("shelf01")]


def test_a_plate_without_a_facing_may_go() -> None:
    assert understood(SHELF, b"0", "homie/shelf01/scales/ffff/state") == Understood(others=1)


def test_of_many_plates_that_are_gone_a_few_are_named() -> None:
    channels = {str(number): [f"A{number}"] for number in range(1, 10)}
    mapper = Mapper(settings(**{**SHELF, "channels": channels}))
    for number in range(1, 10):
        said = mapper.understand(b"0", f"homie/shelf01/scales/{number}/state").readings
    assert said == [DeviceDegraded("shelf01", "plates 1, 2, 3, 4, 5 and 4 more say that they are offline")]


@pytest.mark.parametrize(
    ("payload", "there"), [(b"0", False), (b"1", True), (b"ready", True), (b"lost", False), (b"", None)]
)
def test_the_last_will_of_a_whole_shelf(payload: bytes, there: bool | None) -> None:
    given = {**SHELF, "online": {"topic": "homie/{id}/state"}}
    assert understood(given, payload, "homie/shelf01/state").there is there


def test_a_zigbee_contact_and_climate_sensor() -> None:
    given = {
        "topic": "zigbee2mqtt/{id}",
        "door": {"path": "contact", "open": [False], "closed": [True]},
        "environment": {"temperature_c": "temperature", "humidity_pct": "humidity"},
        "online": {"topic": "zigbee2mqtt/{id}/availability", "path": "state"},
    }
    sent = {"battery": 100, "contact": False, "temperature": 4.31, "humidity": 61, "linkquality": 87}
    assert readings(given, sent, "zigbee2mqtt/d1") == [
        EnvironmentReading("d1", "temperature_c", "°C", 4.31),
        EnvironmentReading("d1", "humidity_pct", "%", 61.0),
        EnvironmentReading("d1", "door", "open", 1.0),
    ]
    (closed,) = readings(given, {"contact": True}, "zigbee2mqtt/d1")
    assert closed == EnvironmentReading("d1", "door", "open", 0.0)
    away = understood(given, {"state": "offline"}, "zigbee2mqtt/d1/availability")
    assert (away.there, away.readings) == (False, [])


def test_a_tasmota_probe_and_a_unit_that_is_not_ours() -> None:
    given = {
        "topic": "tele/{id}/SENSOR",
        "environment": {"temperature_c": "DS18B20.Temperature"},
        "match": {"TempUnit": "C"},
        "online": {"topic": "tele/{id}/LWT"},
    }
    sent = {"Time": "2026-11-22T10:00:00", "DS18B20": {"Id": "0316", "Temperature": 3.9}, "TempUnit": "C"}
    (cold,) = readings(given, sent, "tele/d1/SENSOR")
    assert isinstance(cold, EnvironmentReading)
    assert cold.value == 3.9
    assert readings(given, {**sent, "TempUnit": "F"}, "tele/d1/SENSOR") == []
    assert understood(given, b"Offline", "tele/d1/LWT").there is False
    assert understood(given, b"Online", "tele/d1/LWT").there is True


def test_a_shelly_that_says_one_quantity_a_topic() -> None:
    given = {"topic": "{id}/status/+", "environment": {"temperature_c": "tC", "humidity_pct": "rh"}}
    mapper = Mapper(settings(**given))
    said_by = [
        ("d1/status/temperature:0", {"id": 0, "tC": -18.4, "tF": -1.1}),
        ("d1/status/humidity:0", {"id": 0, "rh": 55.5}),
        ("d1/status/devicepower:0", {"id": 0, "battery": {"V": 5.9}}),
    ]
    found = [mapper.understand(json.dumps(sent).encode(), topic) for topic, sent in said_by]
    assert [r.value for one in found for r in one.readings if isinstance(r, EnvironmentReading)] == [
        -18.4,
        55.5,
    ]
    assert (found[2].others, found[2].faults) == (1, [])


def test_paths_with_signs_in_them() -> None:
    given = {"environment": {"temperature_c": '"temperature:0".tC'}}
    (found,) = readings(given, {"temperature:0": {"tC": 5}})
    assert isinstance(found, EnvironmentReading)
    assert found.value == 5.0


def test_all_plates_of_a_module_in_one_message() -> None:
    by_list = {"weight": {"each": "plates", "path": "g", "stable": "ok"}, "channel": "n"}
    sent = {"plates": [{"n": 1, "g": 100, "ok": True}, {"n": "2", "g": "50.5", "ok": 0}, {"n": 3, "g": None}]}
    expected = [WeightReading("d1", 1, 100.0, True), WeightReading("d1", 2, 50.5, False)]
    assert readings(by_list, sent) == expected
    by_key = {"weight": {"each": "@", "path": "@"}, "channel_names": {"b963": 9}}
    assert readings(by_key, {"1": 100, "b963": 7}) == [
        WeightReading("d1", 1, 100.0, None),
        WeightReading("d1", 9, 7.0, None),
    ]


def test_tag_reads_in_hex_and_in_base64url() -> None:
    raw = bytes.fromhex("3034257bf400b7800004cb2f")
    given = {
        "tag": {"each": "reads", "epc": "epc", "antenna": "ant", "rssi_dbm": "rssi", "time": "t"},
        "time": "ts",
    }
    sent = {
        "ts": "2026-11-22T10:00:00.123Z",
        "reads": [
            {"epc": "30 34-25 7B-F4 00 B7 80 00 04 CB 2F", "ant": 2, "rssi": -61.5},
            {"epc": "0x" + raw.hex(), "t": 1_800_000_000},
            {"epc": "nothing"},
            {"ant": 1},
        ],
    }
    found = understood(given, sent)
    assert found.readings == [
        TagRead("d1", 2, raw.hex(), -61.5, AT),
        TagRead("d1", None, raw.hex(), None, datetime(2027, 1, 15, 8, 0, tzinfo=UTC)),
    ]
    assert found.faults == ["not an EPC: 'nothing'"]
    url = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    (one,) = readings({"tag": {"encoding": "base64url"}, "topic": "r/{antenna}"}, {"epc": url}, "r/3")
    assert one == TagRead("d1", 3, raw.hex(), None)


def test_a_bare_epc_of_digits_only_keeps_its_zeros() -> None:
    (one,) = readings({"tag": {"epc": "@"}}, b"003425701400000000000001")
    assert isinstance(one, TagRead)
    assert one.epc == "003425701400000000000001"


# --- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "payload", "grams"),
    [
        ({}, b"352", 352.0),
        ({}, b" -0.5 ", -0.5),
        ({}, b'"12.5"', 12.5),
        ({"unit": "kg"}, b"0.352", 352.0),
        ({"unit": "lb"}, b"1", 453.59237),
        ({"path": "a.b[1]", "scale": 0.001}, {"a": {"b": [1, 2500]}}, 2.5),
        ({"path": "net", "scale": -1, "unit": "kg"}, {"net": "-1e-1"}, 100.0),
    ],
)
def test_a_number_in_its_unit(weight: dict[str, Any], payload: Any, grams: float) -> None:
    assert weight_g(weight, payload) == grams


@pytest.mark.parametrize("payload", [b"nan", b"inf", b"-Infinity", b"1e999", b"1_000", b"12 g", b"true"])
def test_what_is_no_number_is_a_fault_and_no_weight(payload: bytes) -> None:
    found = understood({"weight": {}}, payload)
    assert (found.readings, len(found.faults)) == ([], 1)


@pytest.mark.parametrize("value", [True, "", "abc", [1], {"g": 1}, 10**400])
def test_a_value_of_another_kind_is_a_fault(value: Any) -> None:
    found = understood({"weight": {"path": "w"}, "environment": {"temperature_c": "w"}}, {"w": value})
    assert (found.readings, len(found.faults)) == ([], 2)


@pytest.mark.parametrize("payload", [b"null", b"", {"w": None}, {"other": 1}, []])
def test_an_absent_value_is_no_reading_never_zero(payload: Any) -> None:
    given = {
        "weight": {"path": "w"},
        "environment": {"humidity_pct": "h"},
        "door": {"path": "d", "open": [1]},
    }
    assert understood(given, payload).readings == []


def test_a_bad_value_costs_only_itself() -> None:
    given = {"weight": {"path": "w"}, "environment": {"temperature_c": "t"}}
    found = understood(given, {"w": "broken", "t": 4.0})
    assert found.readings == [EnvironmentReading("d1", "temperature_c", "°C", 4.0)]
    assert found.faults == ["weight is no number: 'broken'"]


def test_a_path_that_matches_nothing_is_noticed_until_it_has_once_matched() -> None:
    mapper = Mapper(settings(weight={"path": "w"}))
    assert mapper.understand(b'{"x": 1}', "t").faults == ["no mapped value in the message"]
    assert mapper.understand(b'{"w": 1}', "t").readings
    later = mapper.understand(b'{"battery": 90}', "t")
    assert (later.others, later.faults) == (1, [])


@pytest.mark.parametrize(
    "said_time",
    [
        "2026-11-22T10:00:00.123Z",
        "2026-11-22T18:00:00.123+08:00",
        1795341600.123,
        1795341600123,
        1795341600123000,
        1795341600123000000,
        "1795341600123",
    ],
)
def test_a_time_is_told_by_its_size(said_time: Any) -> None:
    (reading,) = readings({"weight": {"path": "w"}, "time": "ts"}, {"w": 1, "ts": said_time})
    assert isinstance(reading, WeightReading)
    assert reading.occurred_at is not None
    assert abs((reading.occurred_at - AT).total_seconds()) < 1e-3


@pytest.mark.parametrize("said_time", ["10:00", "2026-11-22T10:00:00", 4711, 0, -5, True, None, {}, 1e300])
def test_what_is_no_time_is_none_and_the_reading_counts(said_time: Any) -> None:
    (reading,) = readings({"weight": {"path": "w"}, "time": "ts"}, {"w": 1, "ts": said_time})
    assert isinstance(reading, WeightReading)
    assert reading.occurred_at is None


@pytest.mark.parametrize("sent", [b"ON", b"on", b"true", b'"yes"'])
def test_a_word_that_yaml_takes_for_a_boolean_is_the_same_word(sent: bytes) -> None:
    for opened in ("ON", True, "yes"):
        (door,) = readings({"door": {"open": [opened]}}, sent)
        assert isinstance(door, EnvironmentReading)
        assert door.value == 1.0


def test_a_third_state_of_a_door_is_no_closed_door() -> None:
    found = understood({"door": {"open": ["open"], "closed": ["closed"]}}, b"unavailable")
    assert (found.readings, len(found.faults)) == ([], 1)


def test_match_takes_one_sensor_of_a_topic_that_many_share() -> None:
    given = {"weight": {"path": "w"}, "match": {"sensor.id": 7}}
    assert readings(given, {"sensor": {"id": "7"}, "w": 1})
    assert understood(given, {"sensor": {"id": 8}, "w": 1}) == Understood()
    assert understood(given, {"w": 1}) == Understood()


def test_a_numbered_message_that_comes_again_is_dropped_and_an_equal_new_one_is_not() -> None:
    mapper = Mapper(settings(weight={"path": "w"}, sequence="n"))
    first, second = b'{"w": 5, "n": 1}', b'{"w": 5, "n": 2}'
    assert [len(mapper.understand(sent, "t").readings) for sent in (first, second, first)] == [1, 1, 0]
    assert mapper.understand(second, "t").duplicates == 1
    unnumbered = Mapper(settings(weight={"path": "w"}))
    assert [len(unnumbered.understand(b'{"w": 5}', "t").readings) for _ in range(2)] == [1, 1]


def numbered(number: int, weight: float) -> bytes:
    return json.dumps({"n": number, "w": weight}).encode()


def test_a_device_that_begins_to_count_again_says_nothing_twice() -> None:
    mapper = Mapper(settings(weight={"path": "w"}, sequence="n"))
    said_before_restart = [numbered(n, 5.0 if n < 100 else 3.0) for n in range(1, 150)]
    for payload in [*said_before_restart, *said_before_restart]:
        assert mapper.understand(payload, "t").readings, payload


@pytest.mark.parametrize("modulo", [100, 256])
def test_a_number_that_comes_round_is_no_repetition(modulo: int) -> None:
    mapper = Mapper(settings(weight={"path": "w"}, sequence="n"))
    assert all(mapper.understand(numbered(n % modulo, 5.0), "t").readings for n in range(3 * modulo))


def test_a_message_with_a_name_of_its_own_is_known_again() -> None:
    mapper = Mapper(settings(weight={"path": "w"}, sequence="id"))
    sent = [b'{"w": 5, "id": "01JD%d"}' % n for n in range(30)]
    assert all(mapper.understand(payload, "t").readings for payload in sent)
    assert [mapper.understand(payload, "t").duplicates for payload in sent] == [1] * 30


# --- topics ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "filtered", "topic", "channel"),
    [
        ("shelf/{id}/w/{channel}", "shelf/d1/w/+", "shelf/d1/w/3", 3),
        ("+/{id}/plate{channel}/#", "+/d1/+/#", "x/d1/plate12/a/b", 12),
        ("w-{id}/{channel}/#", "w-d1/+/#", "w-d1/4", 4),
    ],
)
def test_a_template_is_a_filter_and_tells_the_channel(
    template: str, filtered: str, topic: str, channel: int
) -> None:
    made = settings(topic=template, weight={})
    assert made.topic_filter == filtered
    (reading,) = Mapper(made).understand(b"1", topic).readings
    assert isinstance(reading, WeightReading)
    assert reading.channel == channel


def test_a_topic_that_only_the_filter_lets_through_is_nobodys() -> None:
    assert understood({"topic": "plate{channel}/w", "weight": {}}, b"1", "other/w") == Understood()


# --- configuration -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "maps nothing"),
        ({"weight": {}, "topic": "a/{shelf}/w"}, r"found {shelf}; known are {id}, {channel}, {antenna}"),
        ({"weight": {}, "topic": "a/{channel/w"}, "brace is left over"),
        ({"weight": {}, "topic": "a/b+"}, "a whole level"),
        ({"weight": {"path": "a..b"}}, "no JMESPath"),
        ({"weight": {"path": "$state"}}, "double quotes"),
        ({"weight": {"path": "to_nubmer(w)"}}, r"Unknown function: to_nubmer\(\)"),
        ({"weight": {"path": "plates[*].a.to_nubmer(w)"}}, r"to_nubmer\(\)"),
        ({"weight": {"path": "length(a, b)"}}, "Expected 1 argument"),
        ({"weight": {"each": "plates[::0]"}}, "step of a slice"),
        ({"weight": {"scale": 0}}, "every weight would be 0"),
        ({"weight": {}, "channels": {"1": ["A"]}}, "need channel: a path"),
        ({"weight": {}, "channel": "c", "topic": "a/{channel}"}, "keep one"),
        ({"weight": {}, "channel": "c", "facings": ["A"]}, "use channels"),
        ({"environment": {"temperature_c": "t"}, "facings": ["A"]}, "facings and channels need it"),
        ({"weight": {}, "antennas": {"1": "A"}}, "needs tag"),
        ({"tag": {}, "antennas": {"1": "A"}}, "needs tag.antenna"),
        ({"weight": {}, "limits": {"door": {"max": 0}}}, "door is not mapped"),
        (
            {"weight": {}, "channel": "c", "channels": {"1": ["A"]}, "channel_names": {"x": 2}},
            "not in channels",
        ),
        ({"door": {"open": []}}, "at least 1"),
        ({"weight": {}, "online": {"topic": "a/{x}"}}, "known are"),
    ],
)
def test_a_configuration_that_cannot_work_is_named(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        settings(**given)


# --- decode ------------------------------------------------------------------------------------


def test_decode_takes_payloads_or_lines_with_their_topic() -> None:
    options = {"id": "s", "topic": "homie/{id}/scales/{channel}/mass", "weight": "{unit: kg}"}
    lines = [b"homie/s/scales/2/mass 0.1\n", b"0.2\n", b"\n", b"a b\n"]
    first, second, bad = decode_stream("mqtt-json", lines, options=options)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert (first["channel"], first["weight_g"]) == (2, 100.0)
    assert (second["channel"], second["weight_g"]) == (None, 200.0)
    assert bad == "weight is no number: 'a b': a b"


# --- hostile -----------------------------------------------------------------------------------

EVERYTHING = {
    "topic": "t/{channel}",
    "weight": {"each": "w", "path": "g", "stable": "s"},
    "tag": {"each": "t", "antenna": "a", "rssi_dbm": "r", "time": "ts"},
    "environment": {"temperature_c": "abs(c)", "humidity_pct": "h[0].x"},
    "door": {"path": "d", "open": [True], "closed": [False]},
    "time": "ts",
    "sequence": "n",
    "online": {"topic": "t/state", "path": "s"},
    "match": {"m": "x"},
}
KEYS = ["w", "g", "s", "t", "epc", "a", "r", "ts", "c", "h", "x", "d", "n", "m"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["x", "on", "1e9"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=20,
)


@given(st.binary(max_size=80), st.sampled_from(["t/1", "t/state", "t/", "u", None]))
def test_no_bytes_raise(payload: bytes, topic: str | None) -> None:
    Mapper(settings(**EVERYTHING)).understand(payload, topic)


@given(JSON, st.sampled_from(["t/1", "t/state", None]))
def test_no_json_raises_and_every_number_is_finite(value: Any, topic: str | None) -> None:
    whole = {**value, "m": "x"} if isinstance(value, dict) else value
    found = Mapper(settings(**EVERYTHING)).understand(json.dumps(whole).encode(), topic)
    for reading in found.readings:
        if isinstance(reading, WeightReading | EnvironmentReading):
            amount = reading.weight_g if isinstance(reading, WeightReading) else reading.value
            assert said.number(amount) == amount
        assert len(repr(reading)) < 500
    assert all(len(fault) < 500 for fault in found.faults)


@pytest.mark.parametrize("payload", [b"[" * 100_000, b'{"a":' * 100_000, b'"\xff"', b"\xff", b"\x00", b'"'])
def test_hostile_payloads_are_faults_or_nothing(payload: bytes) -> None:
    found = understood({"weight": {}}, payload)
    assert found.readings == []
    assert all(len(fault) < 500 for fault in found.faults)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_survives(value: float) -> None:
    assert said.number(value) == said.number(repr(value)) == value
