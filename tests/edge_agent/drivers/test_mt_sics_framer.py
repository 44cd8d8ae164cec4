"""The MT-SICS framer against every published vector, however the bytes are split and whatever is between them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_agent.drivers.decode import decode_stream
from edge_agent.drivers.mt_sics import LINE_LIMIT, MtSicsFramer, Noise, Reply, weight_reading

GOLDEN = Path(__file__).parents[2] / "golden" / "devices.json"
VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for vector in json.loads(GOLDEN.read_text(encoding="utf-8"))["vectors"]
    if vector["protocol"] == "mt-sics"
}
GOOD = sorted(name for name, vector in VECTORS.items() if vector["out"]["kind"] != "reject")


def bytes_of(name: str) -> bytes:
    return str(VECTORS[name]["in"]["text"]).encode()


def understood(reply: Reply) -> dict[str, Any]:
    """A reply in the words of the vectors."""
    said: dict[str, Any] = {"reply_id": reply.command}
    if reply.value is not None:
        return {"kind": "weight", "value": float(reply.value), "unit": reply.unit, **_stable(reply), **said}
    if reply.status in ("I", "L", "+", "-", ""):
        return {"kind": "error", "code": reply.status, **said}
    if reply.command == "M28":
        return {"kind": "list", "items": [int(reply.fields[0]), float(reply.fields[1])], **said}
    if reply.fields:
        return {"kind": "info", "fields": list(reply.fields), **said}
    return {"kind": "ack", **(_stable(reply) if reply.status in "SD" else {}), **said}


def _stable(reply: Reply) -> dict[str, bool]:
    return {"stable": reply.status != "D"}


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_every_vector_decodes(name: str) -> None:
    vector, found = VECTORS[name], MtSicsFramer().feed(bytes_of(name))
    expected = {key: value for key, value in vector["out"].items() if key != "meaning"}
    if expected["kind"] == "reject":
        assert [type(item) for item in found] == [Noise]
        return
    replies = [understood(item) for item in found if isinstance(item, Reply)]
    assert len(replies) == len(found)
    if expected["kind"] == "list":
        assert [reply["items"] for reply in replies] == expected["items"]
    else:
        wanted = vector["in"].get("after_command", expected["reply_id"])
        assert [reply for reply in replies if reply["reply_id"] == wanted] == [expected]


UNIT_G = {"g": 1.0, "kg": 1000.0}


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_every_vector_is_printed_as_what_it_says_about_the_plate(name: str) -> None:
    vector, out = VECTORS[name], VECTORS[name]["out"]
    only = vector["in"].get("after_command")
    found = list(decode_stream("mt-sics", [bytes_of(name)], options={"after_command": only} if only else {}))
    readings = [item for item in found if isinstance(item, dict)]
    assert (len(found) > len(readings)) == (out["kind"] == "reject")
    match out["kind"]:
        case "weight":
            (weight,) = readings
            assert weight["weight_g"] == pytest.approx(out["value"] * UNIT_G[out["unit"]], abs=1e-9)
            assert (weight["stable"], weight["flags"]) == (out["stable"], [])
        case "error" if out["reply_id"] in ("S", "SI", "SIR", "SR"):
            flag = {"+": "over", "-": "under"}.get(out["code"], "error")
            assert [(r["weight_g"], r["flags"]) for r in readings] == [(None, [flag])]
        case "list" if out["reply_id"] == "M28":
            assert [(r["quantity"], r["value"]) for r in readings] == [
                ("temperature_c", celsius) for _, celsius in out["items"]
            ]
        case _:
            assert readings == []


@given(st.lists(st.sampled_from(GOOD), min_size=1, max_size=6), st.data())
def test_every_split_decodes_the_same(names: list[str], data: st.DataObject) -> None:
    stream = b"".join(map(bytes_of, names))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    framer = MtSicsFramer()
    pieces = [framer.feed(stream[a:b]) for a, b in pairwise([0, *cuts, len(stream)])]
    assert [item for piece in pieces for item in piece] == MtSicsFramer().feed(stream)


@given(st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=20))
def test_any_bytes_split_anyhow_decode_the_same_and_never_raise(stream: bytes, cuts: list[int]) -> None:
    whole, pieces = MtSicsFramer(), MtSicsFramer()
    expected = whole.feed(stream)
    found = [
        item
        for a, b in pairwise([0, *sorted(cuts), len(stream)])
        for item in pieces.feed(stream[a : max(a, b)])
    ]
    assert found == expected
    assert pieces.skipped_bytes == whole.skipped_bytes


@given(st.lists(st.tuples(st.binary(max_size=40), st.sampled_from(GOOD)), min_size=1, max_size=6))
@example([(b'I4 A "', "mt-sics/weight-01")])
@example([(b"S S     1", "mt-sics/weight-02")])
@example([(b"S ", "mt-sics/other-01")])
def test_garbage_before_frames_loses_no_good_frame(parts: list[tuple[bytes, str]]) -> None:
    stream = b"".join(garbage + b"\xff" + bytes_of(name) for garbage, name in parts)
    found = [item for item in MtSicsFramer().feed(stream) if isinstance(item, Reply)]
    good = [reply for _, name in parts for reply in MtSicsFramer().feed(bytes_of(name))]
    remaining = iter(found)
    assert all(reply in remaining for reply in good), "a good frame is missing or out of order"


def test_a_cut_frame_before_a_whole_one_never_lends_it_its_digits() -> None:
    found = MtSicsFramer().feed(b"S S     12S S     34.00 g\r\n")
    assert found == [Noise(b"S S     12"), Reply("S", "S", "34.00", "g")]


@pytest.mark.parametrize("cut", range(1, len(b"S S     100.00 g")))
def test_no_beginning_of_a_weight_is_a_weight(cut: int) -> None:
    found = MtSicsFramer().feed(b"S S     100.00 g"[:cut] + b"\r\n")
    assert not [item for item in found if isinstance(item, Reply)]


def test_an_endless_line_keeps_a_bounded_buffer_and_its_last_frame() -> None:
    framer = MtSicsFramer()
    for _ in range(1000):
        assert framer.feed(b"\xaa" * 1000) == []
    assert framer.skipped_bytes == 1_000_000 - LINE_LIMIT
    assert framer.feed(b"S S 5.00 g\r\n")[-1] == Reply("S", "S", "5.00", "g")
    assert framer.skipped_bytes == 1_000_000


@pytest.mark.parametrize(
    ("text", "weight_g"),
    [
        ("100.00 g", 100.0),
        ("4.08 kg", 4080.0),
        ("-0.3 kg", -300.0),
        ("250 mg", 0.25),
        ("0.001 t", 1000.0),
        ("2 lb", 907.18474),
        ("16 oz", 453.59237),
        (".5 g", 0.5),
        ("100.0 G", 100.0),
        ("50.0 %", None),
        ("12 PCS", None),
    ],
)
def test_units_become_grams(text: str, weight_g: float | None) -> None:
    (reply,) = MtSicsFramer().feed(b"S D " + text.encode() + b"\r\n")
    assert isinstance(reply, Reply)
    assert reply.weight_g == (pytest.approx(weight_g, rel=1e-12) if weight_g is not None else None)


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("S I", ("error",)),
        ("S +", ("over",)),
        ("S -", ("under",)),
        ("ES", ("error",)),
        ("S S 3 PCS", ("error",)),
    ],
)
def test_conditions_become_flags_without_a_weight(line: str, flags: tuple[str, ...]) -> None:
    (reply,) = MtSicsFramer().feed(line.encode() + b"\r\n")
    assert isinstance(reply, Reply)
    reading = weight_reading("scale", reply)
    assert reading is not None
    assert (reading.weight_g, reading.flags) == (None, flags)


@pytest.mark.parametrize(
    "line", ["Z A", "Z I", "TAC A", 'I4 A "1"', "M28 A 1 21.8", "TA L", "PW L", "C3 I", "DW A"]
)
def test_what_is_not_about_the_plate_is_no_reading(line: str) -> None:
    (reply,) = MtSicsFramer().feed(line.encode() + b"\r\n")
    assert isinstance(reply, Reply)
    assert weight_reading("scale", reply) is None


def test_parity_bits_are_cleared_where_the_line_has_seven_bits() -> None:
    line = b"S S     100.00 g\r\n"
    with_parity = bytes(byte | (byte.bit_count() % 2) << 7 for byte in line)
    assert MtSicsFramer(seven_bits=True).feed(with_parity) == MtSicsFramer().feed(line)
    (found,) = decode_stream("mt-sics", [with_parity], options={"serial_format": "7E1"})
    assert isinstance(found, dict)
    assert found["weight_g"] == 100.0


@pytest.mark.parametrize(
    ("lines", "replies"),
    [
        ('I0 B 0 "I0"\r\nI0 B 1 "TA"\r\nI0 A 2 "M28"\r\n', [("0", "I0"), ("1", "TA"), ("2", "M28")]),
        ('I3 A "1.00 12.34.567.890"\r\n', [("1.00 12.34.567.890",)]),
        ('I10 A "Shelf 4"\r\nI11 A "XS6002S"\r\n', [("Shelf 4",), ("XS6002S",)]),
        ('I1 A "01" "2.30" "2.20" "" ""\r\n', [("01", "2.30", "2.20", "", "")]),
    ],
)
def test_inquiries_are_fields(lines: str, replies: list[tuple[str, ...]]) -> None:
    found = MtSicsFramer().feed(lines.encode())
    assert [item.fields for item in found if isinstance(item, Reply)] == replies
    assert not [item for item in found if isinstance(item, Noise)]
