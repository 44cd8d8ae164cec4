"""Registers to readings, by the vectors and by what each profile says; and `decode` of whole replies."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU

from edge_agent.config.devices import ModbusScale
from edge_agent.config.modbus_profile import read_profile
from edge_agent.contract.errors import ConfigError
from edge_agent.drivers.decode import decode_stream
from edge_agent.drivers.modbus_readings import Told, default_scale, polls_of, told, told_scale
from edge_agent.readings import EnvironmentReading, WeightReading

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "devices.json").read_text())["vectors"]
MODBUS = {vector["id"]: vector for vector in GOLDEN if vector["protocol"] == "modbus-rtu"}
WEIGHTS = [v for v in MODBUS.values() if "gross" in v["out"]]


def rtu(body: bytes) -> bytes:
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def reply(function: int, *words: int, station: int = 1) -> bytes:
    data = b"".join(word.to_bytes(2, "big") for word in words)
    return rtu(bytes([station, function, len(data)]) + data)


def decoded(*frames: bytes, **options: str) -> list[Any]:
    lines = [frame.hex().encode() + b"\n" for frame in frames]
    return list(decode_stream("modbus-scale", lines, as_hex=True, options=options))


def read(profile: str, registers: dict[int, int], **settings: Any) -> Told:
    device = ModbusScale(id="m", driver="modbus-scale", port="p", profile=profile, **settings)
    found = read_profile(profile)
    scale = told_scale(found, device, registers) or default_scale(found, device)
    return told(found, "m", registers, scale)


@pytest.mark.parametrize("vector", WEIGHTS, ids=lambda v: v["id"])
def test_the_vectors_weights(vector: dict[str, Any]) -> None:
    (weight,) = decoded(bytes.fromhex(vector["in"]["hex"]), profile="laumas", unit_id="1")
    assert weight["weight_g"] == vector["out"]["gross"] == vector["out"]["net"]
    assert weight["stable"] is vector["out"]["stable"]
    assert ("error" in weight["flags"]) is vector["out"]["error"]


def test_the_vectors_overload_is_no_weight() -> None:
    vector = MODBUS["modbus-rtu/laumas-overload"]
    (weight,) = decoded(bytes.fromhex(vector["in"]["hex"]))
    assert weight["weight_g"] is None
    assert weight["flags"] == ["over", "error"]


def test_the_vectors_exception_and_requests_are_one_line_each() -> None:
    (exception,) = decoded(bytes.fromhex("018302c0f1"))
    assert exception == "station 1 refuses function 3: exception 2: illegal data address"
    (request,) = decoded(bytes.fromhex("01030006000565c8"))
    assert request == "a request: station 1, function 3, registers 40007 to 40011"


def test_the_vectors_baykon_map() -> None:
    vector = MODBUS["modbus-rtu/baykon-map"]
    weight, status = vector["in"]["registers"].values()
    said = read("baykon", {40001: weight >> 16, 40002: weight & 0xFFFF, 40003: int(status, 2)})
    assert said.weights == (
        WeightReading("m", None, vector["out"]["net_or_gross"], vector["out"]["stable"], ()),
    )
    (shown,) = decoded(reply(3, weight >> 16, weight & 0xFFFF, int(status, 2)), profile="baykon")
    assert shown["weight_g"] == vector["out"]["net_or_gross"]


@pytest.mark.parametrize(
    ("status", "stable", "flags"),
    [
        (0b0010, True, ()),
        (0b0110, False, ()),
        (0b1010, True, ("net",)),
        (0x1002, True, ("zero",)),
        (0b0000, None, ("error",)),
        (0x4000, None, ("over", "error")),
        (0x6000, None, ("under", "error")),
        (0x0022, None, ("error",)),
    ],
)
def test_baykon_says_unstable_not_stable(status: int, stable: bool | None, flags: tuple[str, ...]) -> None:
    (weight,) = read("baykon", {40001: 0xFFFF, 40002: 0xFB1E, 40003: status}).weights
    assert weight.weight_g == (None if "error" in flags else -1250)
    assert (weight.stable, weight.flags) == (stable, flags)


LAUMAS = {40007: 0x0800, 40008: 0, 40009: 1250, 40010: 0, 40011: 250}


@pytest.mark.parametrize(
    ("word", "weight_g"),
    [
        (0x0006, 1_250_000),  # kg in whole numbers
        (0x000F, 1250),  # kg, thousandths
        (0x010F, 1.25),
        (0x0109, 125),
        (0x0206, 1_250_000_000),
        (0x030C, 5669.904625),  # 12.50 lb
        (0x0406, None),  # newton
        (0x0113, None),  # a code that is in no manual
    ],
)
def test_laumas_says_unit_and_decimals_in_40014(word: int, weight_g: float | None) -> None:
    said = read("laumas", {**LAUMAS, 40014: word})
    (weight,) = said.weights
    assert weight.weight_g == weight_g
    assert weight.flags == (("error",) if weight_g is None else ())
    assert bool(said.whys) is (weight_g is None)


def test_the_settings_win_over_the_module_and_spare_its_question() -> None:
    said = read("laumas", {**LAUMAS, 40014: 0x0406}, unit="kg", decimals=3)
    assert said.weights[0].weight_g == 1250
    device = ModbusScale(id="m", driver="modbus-scale", port="p", unit="kg", decimals=3)
    assert [poll.start for poll in polls_of(read_profile("laumas"), device)] == [40007]


def test_the_weight_is_the_one_on_the_display() -> None:
    gross = read("laumas", LAUMAS).weights[0]
    net = read("laumas", {**LAUMAS, 40007: 0x0C00}).weights[0]
    assert (gross.weight_g, gross.flags) == (1250, ())
    assert (net.weight_g, net.flags) == (250, ("net",))


@pytest.mark.parametrize(("status", "weight_g"), [(0x0880, -1250), (0x0900, 1250), (0x0D00, -250)])
def test_gross_and_net_have_a_sign_each(status: int, weight_g: float) -> None:
    assert read("laumas", {**LAUMAS, 40007: status}).weights[0].weight_g == weight_g


def test_dini_argeo_has_four_plates_with_a_status_each() -> None:
    words = [0x0002, 0, 1250, 0x0003, 0, 1250, 0x0008, 0, 1250, 0x0010, 0, 0]
    said = read("dini-argeo", dict(enumerate(words, 40202)), unit="kg", decimals=3)
    assert said.weights == (
        WeightReading("m", 1, 1250, True, ()),
        WeightReading("m", 2, -1250, True, ()),
        WeightReading("m", 3, None, None, ("over", "error")),
        WeightReading("m", 4, 0, False, ("zero",)),
    )
    assert said.whys == ("overload",)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=16, max_size=16))
def test_sixteen_plates_come_back_as_they_were_sent(weights: list[int]) -> None:
    words = [word for number in weights for word in struct.unpack(">HH", struct.pack(">i", number))]
    shown = decoded(reply(3, *words), profile="load-cell-16")
    assert [(w["channel"], w["weight_g"], w["stable"]) for w in shown] == [
        (channel, weight, None) for channel, weight in enumerate(weights, 1)
    ]


def test_one_plate_of_sixteen_is_known_by_its_request_or_the_option() -> None:
    one = reply(3, 0xFFFF, 0xFB2E)
    asked, after, alone = decoded(bytes.fromhex("01030004000285ca"), one, one, profile="load-cell-16")
    assert asked.startswith("a request: station 1, function 3, registers 4 to 5")
    assert (after["channel"], after["weight_g"]) == (3, -1234)
    assert "no poll of profile load-cell-16 is like that" in alone
    (told_where,) = decoded(one, profile="load-cell-16", address="30")
    assert told_where["channel"] == 16


@pytest.mark.parametrize("address", ["x", "40000", "106000"])
def test_an_address_that_is_no_register_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is no register"):
        decoded(b"", profile="laumas", address=address)


def test_a_transmitter_of_the_surroundings() -> None:
    temperature, humidity = decoded(reply(4, 0xFF33, 546), profile="sht20")
    assert temperature == {
        "kind": "environment",
        "quantity": "temperature_c",
        "unit": "°C",
        "value": -20.5,
    }
    assert (humidity["quantity"], humidity["value"]) == ("humidity_pct", 54.6)


def test_what_another_station_says_is_not_this_devices() -> None:
    frame = reply(3, 0x0800, 0, 1250, 0, 1250, station=2)
    assert decoded(frame) == ["of station 2, not of station 1 (option unit_id)"]
    (weight,) = decoded(frame, unit_id="2")
    assert weight["weight_g"] == 1250


def test_modbus_tcp_is_read_where_the_port_says_so() -> None:
    body = bytes.fromhex("01030a0800000004e2000004e2")
    frame = b"\0\7\0\0" + len(body).to_bytes(2, "big") + body
    (weight,) = decoded(frame, port="tcp://h:502")
    assert weight["weight_g"] == 1250


def test_bad_frames_are_named_and_the_rest_is_decoded() -> None:
    good = bytes.fromhex("01030a0800000004e2000004e2de47")
    broken, weight = decoded(good[:-1] + b"\0", good)
    assert broken == "not Modbus, 15 bytes: 01030a0800000004e2000004e2de00"
    assert weight["weight_g"] == 1250


OWN = """\
title: own
numbering: addresses
word_order: low-first
decimals: 1
polls: [{start: 0, count: 8}]
values:
  - {channel: 1, at: 0, type: float32, decimals: 0}
  - {channel: 2, at: 2, type: int32}
  - {channel: 3, at: 4, type: int16, void: [-32768]}
  - {quantity: door, at: 6, type: bit, open: {bit: 3, is: 0}}
  - {quantity: temperature_c, at: 5, type: int16, decimals: 2, void: [32767]}
"""


def own(tmp_path: Path, registers: dict[int, int]) -> Told:
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    return read(str(path), registers)


def test_types_words_order_and_doors_of_a_profile_of_ones_own(tmp_path: Path) -> None:
    high, low = struct.unpack(">HH", struct.pack(">f", 352.1))
    said = own(tmp_path, {0: low, 1: high, 2: 0xFFFE, 3: 0xFFFF, 4: 0xFFF6, 5: 0xFF9C, 6: 0, 7: 0})
    assert [weight.weight_g for weight in said.weights] == [352.1, -0.2, -1.0]
    assert said.environment == (
        EnvironmentReading("m", "door", "open", 1),
        EnvironmentReading("m", "temperature_c", "°C", -1.0),
    )


def test_numbers_that_mean_nothing_are_no_values(tmp_path: Path) -> None:
    nan_high, nan_low = struct.unpack(">HH", struct.pack(">f", float("nan")))
    said = own(tmp_path, {0: nan_low, 1: nan_high, 2: 0, 3: 0, 4: 0x8000, 5: 0x7FFF, 6: 8, 7: 0})
    assert [(weight.weight_g, weight.flags) for weight in said.weights] == [
        (None, ("error",)),
        (0, ()),
        (None, ("error",)),
    ]
    assert said.environment == (EnvironmentReading("m", "door", "open", 0),)
    assert said.voids == ("temperature_c: no valid value",)


@given(
    st.sampled_from(["laumas", "baykon", "dini-argeo", "load-cell-16", "sht20"]),
    st.lists(st.integers(0, 0xFFFF), min_size=32, max_size=32),
    st.sampled_from(["g", "kg", "t", "lb", None]),
)
def test_any_words_give_readings_or_reasons(name: str, words: list[int], unit: str | None) -> None:
    profile = read_profile(name)
    registers = {
        register: word
        for poll in profile.polls
        for register, word in zip(poll.registers, words, strict=False)
    }
    said = read(name, registers, unit=unit)
    for weight in said.weights:
        assert (weight.weight_g is None) == ("error" in weight.flags)
    assert len(said.weights) + len(said.environment) + len(said.voids) == len(profile.every_value)
