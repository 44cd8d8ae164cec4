"""Lines of scales against published vectors and manuals, however they are split and whatever is between them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_agent.contract.errors import ConfigError
from edge_agent.drivers.ascii_lines import LineFramer, Noise, Shown, any_scale, bare
from edge_agent.drivers.decode import decode_stream
from edge_agent.service.line_pattern import LINE_LIMIT

GOLDEN = Path(__file__).parents[2] / "golden" / "devices.json"
VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for vector in json.loads(GOLDEN.read_text(encoding="utf-8"))["vectors"]
    if vector["protocol"] == "ascii-stream"
}
LINES: dict[str, tuple[str, float | None, bool | None, list[str]]] = {
    # A&D EK-L §9-2, GC §16.2 (comparison), AD-4212D (CSV)
    "A&D stable": ("ST,+001234.5  g\r\n", 1234.5, True, []),
    "A&D unstable": ("US,-000012.5  g\r\n", -12.5, False, ["motion"]),
    "A&D below its range": ("OL,-99999999 PC\r\n", None, None, ["over", "under"]),
    "A&D beyond the exponent": ("OL,+9999999E+19\r\n", None, None, ["over"]),
    "A&D compared": ("ST,OK,+0001.234 kg\r\n", 1234.0, True, []),
    "A&D CSV": ("ST,+0001.278, ct\r\n", 0.2556, True, []),
    "A&D tola, not tonnes": ("ST,+00001.00  t\r\n", None, True, ["error"]),
    # Tiger TI-02-P p. 21, AD-4329A §12.1.2
    "indicator net": ("ST,NT,-  0.120kg\r\n", -120.0, True, ["net"]),
    "indicator moving": ("US,GS,+  0.120, kg\r\n", 120.0, False, ["motion"]),
    "indicator blank out of range": ("OL,GS,      .  kg\r\n", None, None, ["over"]),
    "indicator under": ("UL,GS,        kg\r\n", None, None, ["under"]),
    "indicator tonnes": ("ST,GS,+  0.020 t\r\n", 20_000.0, True, []),
    # Sartorius SBI
    "SBI stable": ("+   123.45 g  \r\n", 123.45, True, []),
    "SBI unverified digit": ("+   123.4[5]g  \r\n", 123.45, None, []),
    "SBI moving": ("+   123.45    \r\n", None, False, ["motion"]),
    "SBI net": ("N     -    1.234 kg \r\n", -1234.0, True, ["net"]),
    "SBI high": ("      H       \r\n", None, None, ["over"]),
    "SBI low": ("Stat        L       \r\n", None, None, ["under"]),
    "SBI error": ("Stat     ERR 101    \r\n", None, None, ["error"]),
    # Adam
    "Adam": ("+   0.500 kg\r\n", 500.0, None, []),
    "Adam without sign": ("  0.500kg\r\n", 500.0, None, []),
    "Adam labelled": ("N/W-  1.500kg\r\n", -1500.0, None, ["net"]),
    # Ohaus RS232 manual EN-3, Defender 5000 p. 51
    "Ohaus stable": ("       12.72 g     \r\n", 12.72, True, []),
    "Ohaus moving": ("       12.73 g    ?\r\n", 12.73, False, ["motion"]),
    "Ohaus net": ("    -12.73 g     ? N\r\n", -12.73, False, ["motion", "net"]),
    "Ohaus ounces": ("      0.4500 oz    \r\n", 12.757285556, True, []),
    "Ohaus pieces": ("           3 PCS   \r\n", None, True, ["error"]),
    # SMA SCP-0499
    "SMA": ("\n 1G      5.025lb \r", 2279.301659, True, []),
    "SMA zero": ("\nZ1G      0.000lb \r", 0.0, True, ["zero"]),
    "SMA moving net": ("\n 1NM     7.650kg \r", 7650.0, False, ["motion", "net"]),
    "SMA over": ("\nO1G    102.000kg \r", None, None, ["over"]),
    "SMA under": ("\nU1G     -2.000kg \r", None, None, ["under"]),
    "SMA tare error": ("\nT1G ----------   \r", None, None, ["error"]),
}
TARES = ["ST,TR,+  1.000kg\r\n", "       12.72 g      T\r\n", "\n 1T      0.500kg \r"]


def decoded(stream: bytes, **options: str) -> list[Any]:
    return list(decode_stream("ascii-scale", [stream], options=options))


def framer() -> LineFramer:
    return LineFramer(any_scale, seven_bits=True)


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_every_vector_decodes(name: str) -> None:
    vector = VECTORS[name]
    out = vector["out"]
    [reading] = decoded(vector["in"]["text"].encode())
    factor = {"g": 1, "kg": 1000}.get(out.get("unit"))
    assert reading["stable"] == out.get("stable")
    assert ("over" in reading["flags"]) == out.get("overload", False)
    if factor is None:
        assert reading["weight_g"] is None
        assert reading["flags"] == (["over"] if out.get("overload") else ["error"])
    else:
        assert reading["weight_g"] == pytest.approx(out["value"] * factor)


@pytest.mark.parametrize("name", LINES)
def test_lines_as_the_manuals_print_them(name: str) -> None:
    line, weight_g, stable, flags = LINES[name]
    [reading] = decoded(line.encode())
    assert (reading["stable"], reading["flags"]) == (stable, flags)
    assert reading["weight_g"] == (None if weight_g is None else pytest.approx(weight_g))


@pytest.mark.parametrize("line", TARES)
def test_a_tare_is_not_what_lies_on_the_plate(line: str) -> None:
    assert decoded(line.encode()) == []


@pytest.mark.parametrize(
    "line",
    [
        "123.45",
        "12",
        "hello 12 g",
        "ST,GS,+",
        "10:30:15",
        "COOL",
        "kg",
        "12,5 kg",
        "No. 5",
        "+",
        "?",
    ],
)
def test_what_says_no_weight_is_none(line: str) -> None:
    [text] = decoded(line.encode() + b"\r\n")
    assert text == f"not understood: {line}"


def test_a_line_without_a_unit_is_an_error_until_the_unit_is_told() -> None:
    [unitless] = decoded(b"ST,GS,+  12.5\r\n")
    assert (unitless["weight_g"], unitless["flags"]) == (None, ["error"])
    [reading] = decoded(b"ST,GS,+  12.5\r\n", unit="kg")
    assert (reading["weight_g"], reading["flags"]) == (12_500.0, [])


def test_parity_bits_are_masked() -> None:
    line = b"ST,+001234.5  g\r\n"
    even = bytes(byte | (byte.bit_count() % 2) << 7 for byte in line)
    assert even != line
    assert decoded(even) == decoded(line)


@given(st.lists(st.sampled_from(sorted(LINES)), min_size=1, max_size=6), st.data())
def test_every_split_decodes_the_same(names: list[str], data: st.DataObject) -> None:
    stream = b"".join(LINES[name][0].encode() for name in names)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    whole, cut = framer(), framer()
    pieces = [cut.feed(stream[a:b]) for a, b in pairwise([0, *cuts, len(stream)])]
    found = [item for piece in pieces for item in piece]
    assert found == whole.feed(stream)
    assert len(found) == len(names)


@given(
    st.binary(max_size=600),
    st.lists(st.integers(0, 600), max_size=20),
    st.booleans(),
    st.sampled_from([any_scale, bare]),
)
def test_any_bytes_split_anyhow_decode_the_same_and_never_raise(
    stream: bytes, cuts: list[int], seven_bits: bool, grammar: Any
) -> None:
    whole, pieces = LineFramer(grammar, seven_bits=seven_bits), LineFramer(grammar, seven_bits=seven_bits)
    expected = whole.feed(stream)
    found = [
        item
        for a, b in pairwise([0, *sorted(cuts), len(stream)])
        for item in pieces.feed(stream[a : max(a, b)])
    ]
    assert found == expected
    assert pieces.skipped_bytes == whole.skipped_bytes


@given(st.text(st.sampled_from("ST,GSOLUNQ+-. 0123456789kgPC%?\r\n"), max_size=300))
def test_whatever_looks_like_lines_never_raises_up_to_the_reading(text: str) -> None:
    for preset in ("auto", "and", "sartorius", "adam", "ohaus", "sma", "hx711"):
        decoded(text.encode(), preset=preset)


@given(st.lists(st.tuples(st.binary(max_size=40), st.sampled_from(sorted(LINES))), min_size=1, max_size=6))
@example([(b"ST,+0012", "A&D stable")])
@example([(b"OL,", "A&D stable")])
@example([(b"+   0.5", "Adam")])
@example([(b"\xb1", "Adam")])
def test_garbage_before_frames_loses_no_good_frame(parts: list[tuple[bytes, str]]) -> None:
    stream = b"".join(garbage + b"\xff" + LINES[name][0].encode() for garbage, name in parts)
    found = iter([item for item in framer().feed(stream) if isinstance(item, Shown)])
    for _, name in parts:
        [good] = framer().feed(LINES[name][0].encode())
        assert isinstance(good, Shown)
        # Where bytes stand before it, a layout by columns tells no longer whether it is stable.
        assert any((item.value, item.unit) == (good.value, good.unit) for item in found), name


def test_a_cut_frame_before_a_whole_one_never_lends_it_its_digits() -> None:
    found = framer().feed(b"ST,+0012ST,+000034.0  g\r\n")
    assert found == [Noise(b"ST,+0012"), Shown("000034.0", "g", True)]


@pytest.mark.parametrize(
    "line", [b"ST,+001234.5  g", b"ST,GS,+  4.876kg", b"+   0.500 kg", b"OL,+999999.9  g"]
)
def test_no_beginning_of_a_frame_is_another_weight(line: bytes) -> None:
    for cut in range(1, len(line) - 1):
        shown = [item for item in framer().feed(line[:cut] + b"\r\n") if isinstance(item, Shown)]
        assert all(item.value is None or item.unit is None for item in shown)


def test_an_endless_line_keeps_a_bounded_buffer_and_its_last_frame() -> None:
    endless = framer()
    for _ in range(1000):
        assert endless.feed(b"x" * 1000) == []
    assert endless.skipped_bytes == 1_000_000 - LINE_LIMIT
    assert endless.feed(b"ST,+000005.0  g\r\n")[-1] == Shown("000005.0", "g", True)


# --- presets, units, patterns, quantities -----------------------------------------------------


def test_a_bare_number_is_a_weight_only_where_it_is_said() -> None:
    [reading] = decoded(b"123.45\r\n", preset="hx711", unit="g")
    assert (reading["weight_g"], reading["stable"]) == (123.45, None)
    [unitless] = decoded(b"123.45\r\n", preset="hx711")
    assert (unitless["weight_g"], unitless["flags"]) == (None, ["error"])
    [broken] = decoded(b"nan\r\n", preset="hx711", unit="g")
    assert (broken["weight_g"], broken["flags"]) == (None, ["error"])


def test_raw_counts_become_grams_by_scale() -> None:
    [reading] = decoded(b"8388608\r\n", preset="hx711", unit="g", scale="-0.0025")
    assert reading["weight_g"] == -20971.52


def test_sartorius_leaves_out_the_unit_while_it_moves() -> None:
    [reading] = decoded(b"+   123.45    \r\n", preset="sartorius", unit="g")
    assert (reading["weight_g"], reading["stable"], reading["flags"]) == (123.45, False, ["motion"])


def test_a_pattern_names_its_parts() -> None:
    pattern = (
        r"(?P<stable>ST|US)\|(?P<mode>N|G)\|(?P<sign>[-+])(?P<value>\d+\.\d+)(?P<unit>kg)|(?P<over>\^\^)"
    )
    found = decoded(b"US|N|-1.250kg\r\n^^\r\nnothing\r\n", pattern=f"'{pattern}'")
    assert [r if isinstance(r, str) else (r["weight_g"], r["stable"], r["flags"]) for r in found] == [
        (-1250.0, False, ["motion", "net"]),
        (None, None, ["over"]),
        "not understood: nothing",
    ]


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        (r"\d+", "no group (?P<value>…)"),
        (r"(?P<value>\d+", "no regular expression"),
        (r"(?P<weight>\d+)(?P<value>g)", "the group 'weight'; known: mode"),
        (r"(?P<value>(\d+)+)x", "too long on a line"),
        (r"(\w+ ?)*:(?P<value>\d)", "too long on a line"),
        (r"(?P<value>.*).*.*.*.*x", "too long on a line"),
    ],
)
def test_a_pattern_of_no_use_is_refused_before_anything_is_read(pattern: str, what: str) -> None:
    with pytest.raises(ConfigError) as raised:
        decoded(b"", pattern=f"'{pattern}'")
    assert what in str(raised.value)


@pytest.mark.parametrize(
    ("text", "quantity", "value"),
    [
        (b"21.5\r\n", "temperature_c", 21.5),
        (b"-18.0 C\r\n", "temperature_c", -18.0),
        (b"50 F\r\n", "temperature_c", 10.0),
        (b"273.15 K\r\n", "temperature_c", 0.0),
        (b"45.2 %\r\n", "humidity_pct", 45.2),
        (b"1\r\n", "door", 1.0),
        (b"0\r\n", "door", 0.0),
    ],
)
def test_a_quantity_is_an_environment_reading(text: bytes, quantity: str, value: float) -> None:
    unit = {"temperature_c": "°C", "humidity_pct": "%", "door": "open"}[quantity]
    [reading] = decoded(text, quantity=quantity)
    assert list(reading.items()) == [
        ("kind", "environment"),
        ("quantity", quantity),
        ("unit", unit),
        ("value", pytest.approx(value)),
    ]


def test_a_sketchs_line_in_utf_8_is_read_by_a_pattern() -> None:
    pattern = r"'T: *(?P<value>-?\d+\.\d)°(?P<unit>[CF])'"
    [reading] = decoded("Kühlung T: 50.0°F\r\n".encode(), pattern=pattern, quantity="temperature_c")
    assert reading["value"] == pytest.approx(10)


def test_a_door_says_open_and_closed() -> None:
    found = decoded(b"door open\r\ndoor closed\r\n", pattern="'door (?P<value>open|closed)'", quantity="door")
    assert [reading["value"] for reading in found] == [1.0, 0.0]


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "and", "pattern": "'(?P<value>1)'"},
        {"unit": "C"},
        {"scale": "0"},
        {"quantity": "door", "preset": "and"},
        {"quantity": "door", "facings": "[A1]"},
        {"limits": "{temperature_c: {max: 5}}"},
        {"quantity": "door", "limits": "{temperature_c: {max: 5}}"},
        {"quantity": "door", "limits": "{door: {max: 1}}"},
    ],
)
def test_settings_that_contradict_each_other_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        decoded(b"", **options)
