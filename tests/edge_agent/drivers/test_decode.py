"""`edge-agent decode`: bytes or payloads in, readings as JSON out, and every bad line named."""

from __future__ import annotations

import os

import pytest

from edge_agent.contract.errors import ConfigError
from edge_agent.drivers.decode import decode_stream, input_chunks

EVENT = (
    b'{"timestamp":"2026-02-26T17:13:37.432087177Z","eventType":"tagInventory","tagInventoryEvent":'
    b'{"epcHex":"3034257BF400B7800004CB2F","antennaPort":3,"peakRssiCdbm":-7400}}\n'
)


def test_a_weight_has_the_documented_keys_in_order() -> None:
    (weight,) = decode_stream("mt-sics", [b"S S     4.08 kg\r\n"])
    assert isinstance(weight, dict)
    assert list(weight.items()) == [
        ("kind", "weight"),
        ("device", None),
        ("channel", None),
        ("weight_g", 4080.0),
        ("stable", True),
        ("flags", []),
        ("occurred_at", None),
    ]


def test_a_tag_has_the_documented_keys_in_order() -> None:
    (tag,) = decode_stream("impinj-r700", [EVENT])
    assert isinstance(tag, dict)
    assert list(tag.items()) == [
        ("kind", "tag"),
        ("device", None),
        ("antenna", 3),
        ("epc", "3034257bf400b7800004cb2f"),
        ("gtin", "00614141007349"),
        ("serial", "314159"),
        ("rssi_dbm", -74.0),
        ("occurred_at", "2026-02-26T17:13:37.432Z"),
    ]


def test_what_is_broken_is_named_and_the_rest_is_decoded() -> None:
    first, second, third = decode_stream("mt-sics", [b"S S 1 g\r\n\x00\x07?\r\nS S", b" 2 g\r\n"])
    assert isinstance(first, dict)
    assert second == r"not a reply: \x00\x07?"
    assert isinstance(third, dict)
    assert third["weight_g"] == 2.0


def test_a_last_line_without_its_end_is_decoded() -> None:
    (weight,) = decode_stream("mt-sics", [b"S D 2.5 g"])
    assert isinstance(weight, dict)
    assert weight["stable"] is False


def test_hex_lines_with_blanks_colons_and_a_bad_one() -> None:
    found = list(decode_stream("mt-sics", [b"53 20 53 20 31\n", b"zz\n", b"20:67:0D:0a\n"], as_hex=True))
    assert [type(item) for item in found] == [str, dict]
    assert str(found[0]).startswith("not hexadecimal")


def test_after_command_keeps_only_that_commands_replies() -> None:
    lines = [b"S S    99.0000 g\r\nT S    25.0000 g\r\n"]
    (tare,) = decode_stream("mt-sics", lines, options={"after_command": "T"})
    assert isinstance(tare, dict)
    assert tare["weight_g"] == 25.0


def test_bad_payloads_are_one_line_each() -> None:
    found = list(decode_stream("impinj-r700", [b"nope\n", b"\n", b'{"eventType":"other"}\n', EVENT]))
    assert [type(item) for item in found] == [str, dict]
    assert "\n" not in str(found[0])


@pytest.mark.parametrize(
    ("driver", "options"), [("mt-sicks", {}), ("camera", {}), ("mt-sics", {"speed": "9"})]
)
def test_an_unknown_driver_or_option_is_refused_before_reading(driver: str, options: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as raised:
        decode_stream(driver, iter(()), options=options)
    assert "known: " in raised.value.hint


def test_a_text_option_is_taken_as_it_was_typed() -> None:
    options = {"pattern": "[a-z]+ #: (?P<value>[0-9.]+)", "unit": "g"}
    (weight,) = decode_stream("ascii-scale", [b"weight #: 12.5\r\n"], options=options)
    assert isinstance(weight, dict)
    assert weight["weight_g"] == 12.5
    (quoted,) = decode_stream("impinj-r700", [b"x is gone\n", EVENT], options={"will_message": '"x is gone"'})
    assert isinstance(quoted, dict)
    will = {"topic": "#", "will_message": '{"status": "gone"}'}
    assert list(decode_stream("impinj-r700", [b'{"status": "gone"}\n'], options=will)) == []


def test_an_option_that_is_no_yaml_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="tag: "):
        decode_stream("mqtt-json", iter(()), options={"tag": "{epc: "})


def test_raw_bytes_are_decoded_as_they_come_and_payloads_by_the_line() -> None:
    ours, scales = os.pipe()
    with os.fdopen(ours, "rb") as stream, os.fdopen(scales, "wb", buffering=0) as scale:
        scale.write(b"\x0201.250\r")
        weight = next(decode_stream("toledo-8217", input_chunks("toledo-8217", stream)))
        assert isinstance(weight, dict)
        assert weight["weight_g"] == 1250.0
        scale.write(EVENT + b"half")
        assert next(input_chunks("impinj-r700", stream)) == EVENT
