"""LLRP framing: the captured messages however they are cut, garbage around them, lengths that lie."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.drivers.decode import decode_stream
from edge_agent.drivers.frames import Noise
from edge_agent.drivers.llrp_frames import MESSAGE_LIMIT, header, message_framer

GOLDEN = Path(__file__).parents[2] / "golden" / "devices.json"
VECTORS: list[dict[str, Any]] = [
    vector
    for vector in json.loads(GOLDEN.read_text(encoding="utf-8"))["vectors"]
    if vector["protocol"] == "llrp"
]


def message(vector: dict[str, Any]) -> bytes:
    if "hex" in vector["in"]:
        return bytes.fromhex(vector["in"]["hex"])
    body = bytes.fromhex(vector["in"]["body_hex"])
    return header(vector["in"]["message_type"], body) + body


GOOD = [message(vector) for vector in VECTORS if vector["out"].get("kind") != "reject"]
REPORTS = [vector for vector in VECTORS if "epc" in vector["out"]]


def framed(chunks: list[bytes]) -> tuple[list[bytes], list[Noise]]:
    framer = message_framer()
    found = [one for chunk in chunks for one in framer.feed(chunk)] + framer.end()
    noises = [one for one in found if isinstance(one, Noise)]
    assert framer.skipped_bytes == sum(noise.length for noise in noises)
    return [one for one in found if isinstance(one, bytes)], noises


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(raw) + 1) for place in places}), len(raw)]
    return [raw[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
@pytest.mark.parametrize("bare", [False, True])
def test_every_vector_decodes(vector: dict[str, Any], bare: bool) -> None:
    if bare and "body_hex" not in vector["in"]:
        return
    options = {"message_type": str(vector["in"]["message_type"])} if bare else {}
    line = vector["in"]["body_hex"] if bare else message(vector).hex()
    shown = list(decode_stream("llrp", [line.encode()], as_hex=True, options=options))
    expected = vector["out"]
    if expected.get("kind") == "reject":
        assert len(shown) == 1
        assert isinstance(shown[0], str)
        return
    if "epc" not in expected:
        assert shown == []
        return
    (tag,) = shown
    assert isinstance(tag, dict)
    assert (tag["epc"], tag["antenna"], tag["rssi_dbm"]) == (
        expected["epc"],
        expected["antenna"],
        expected["rssi"],
    )
    assert (tag["occurred_at"] is not None) == ("first_us" in expected)


@pytest.mark.parametrize(
    "raw", GOOD, ids=[vector["id"] for vector in VECTORS if vector["out"].get("kind") != "reject"]
)
def test_every_split_of_every_vector_is_the_same_message(raw: bytes) -> None:
    for place in range(len(raw) + 1):
        assert framed([raw[:place], raw[place:]]) == ([raw], [])
    assert framed([bytes([byte]) for byte in raw]) == ([raw], [])


@given(st.lists(st.sampled_from(GOOD) | st.binary(max_size=40)), st.lists(st.integers(0, 4000)))
def test_cuts_change_nothing(parts: list[bytes], places: list[int]) -> None:
    raw = b"".join(parts)
    assert framed(cut(raw, places)) == framed([raw])


# Garbage may hold what looks like a header and reach into the message behind it; a few bytes cannot.
@given(st.lists(st.tuples(st.binary(max_size=9), st.sampled_from(GOOD)), min_size=1))
def test_garbage_between_messages_loses_none(parts: list[tuple[bytes, bytes]]) -> None:
    safe = [(bytes(byte & 0xF0 | 0x10 for byte in garbage), good) for garbage, good in parts]
    found, noises = framed([b"".join(garbage + good for garbage, good in safe)])
    assert found == [good for _, good in safe]
    assert sum(noise.length for noise in noises) == sum(len(garbage) for garbage, _ in safe)


@given(st.sampled_from(REPORTS), st.integers(1, 60_000))
def test_a_length_that_lies_swallows_nothing_behind_it(vector: dict[str, Any], more: int) -> None:
    good = message(vector)
    lying = good[:2] + (len(good) + more).to_bytes(4, "big") + good[6:]
    framer = message_framer()
    found = framer.feed(lying + good + good)
    assert [one for one in found if isinstance(one, bytes)] == [good, good]


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if v["out"].get("kind") == "reject"], ids=lambda v: v["id"]
)
def test_a_broken_message_costs_only_itself(vector: dict[str, Any]) -> None:
    good = message(REPORTS[0])
    shown = list(decode_stream("llrp", [good + message(vector) + good]))
    assert [isinstance(one, dict) for one in shown] == [True, False, True]


def test_a_message_that_is_cut_off_gives_up_what_stands_behind_its_header() -> None:
    good = message(REPORTS[0])
    found, noises = framed([good[:30], good])
    assert found == [good]
    assert [noise.length for noise in noises] == [30]


def test_what_waits_is_bounded() -> None:
    framer = message_framer()
    claim = bytes.fromhex("043d") + (MESSAGE_LIMIT - 1).to_bytes(4, "big") + bytes(4)
    parameter = bytes.fromhex("03ff0100") + bytes(252)
    kept = 0
    for _ in range(4 * MESSAGE_LIMIT // len(parameter)):
        kept += len(parameter)
        framer.feed(claim + parameter if kept == len(parameter) else parameter)
        assert len(framer._rest) <= MESSAGE_LIMIT


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_random_bytes_never_raise(raw: bytes) -> None:
    found, noises = framed([raw])
    assert sum(map(len, found)) + sum(noise.length for noise in noises) == len(raw)


@settings(max_examples=300)
@given(st.sampled_from(GOOD), st.integers(0, 500), st.integers(0, 255))
def test_a_flipped_byte_never_raises(raw: bytes, place: int, byte: int) -> None:
    place %= len(raw)
    list(decode_stream("llrp", [raw[:place] + bytes([byte]) + raw[place + 1 :]]))


@given(st.binary(max_size=60))
def test_a_bare_body_of_anything_never_raises(body: bytes) -> None:
    list(decode_stream("llrp", [body.hex().encode()], as_hex=True, options={"message_type": "61"}))
