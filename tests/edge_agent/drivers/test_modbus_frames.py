"""Modbus framing: every cut gives the same messages, noise costs nothing but itself, nothing raises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from pymodbus.pdu import ModbusPDU

from edge_agent.drivers.decode import decode_stream
from edge_agent.drivers.modbus_frames import (
    Framer,
    Noise,
    RtuFramer,
    TcpFramer,
    is_refusal,
    is_request,
    read_request,
    refused,
)

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "devices.json").read_text())["vectors"]
MODBUS = {vector["id"]: vector for vector in GOLDEN if vector["protocol"] == "modbus-rtu"}
REPLIES = [v for v in MODBUS.values() if "hex" in v["in"]]
REQUESTS = [v for v in MODBUS.values() if "address" in v["in"]]

Plain = tuple[object, ...]


def rtu(body: bytes) -> bytes:
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def tcp(transaction: int, body: bytes) -> bytes:
    return transaction.to_bytes(2, "big") + b"\0\0" + len(body).to_bytes(2, "big") + body


def plain(items: list[ModbusPDU | Noise]) -> list[Plain]:
    """Messages as values that can be compared; noise left out."""
    return [
        (i.dev_id, i.function_code, i.exception_code, i.address, i.count, *i.registers)
        for i in items
        if isinstance(i, ModbusPDU)
    ]


def fed(framer: Framer, chunks: list[bytes]) -> list[ModbusPDU | Noise]:
    return [item for chunk in chunks for item in framer.feed(chunk)] + framer.end()


def reply(station: int, function: int, words: list[int]) -> bytes:
    return bytes([station, function, 2 * len(words)]) + b"".join(word.to_bytes(2, "big") for word in words)


stations = st.integers(1, 247)
words = st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=125)
bodies = st.one_of(
    st.builds(reply, stations, st.sampled_from([3, 4]), words),
    st.builds(lambda s, f, c: bytes([s, f | 0x80, c]), stations, st.sampled_from([3, 4, 6, 16]), st.integers(1, 11)),
    st.builds(
        lambda s, f, a, c: bytes([s, f]) + a.to_bytes(2, "big") + c.to_bytes(2, "big"),
        stations, st.sampled_from([3, 4]), st.integers(0, 0xFFFF), st.integers(1, 125),
    ),
)  # fmt: skip


@st.composite
def cut(draw: st.DrawFn, raw: bytes) -> list[bytes]:
    places = sorted(draw(st.sets(st.integers(0, len(raw)), max_size=8)))
    return [raw[a:b] for a, b in zip([0, *places], [*places, len(raw)], strict=True)]


def test_the_golden_file_has_this_family() -> None:
    assert len(REPLIES) >= 5
    assert len(REQUESTS) >= 6


@pytest.mark.parametrize("vector", REQUESTS, ids=lambda v: v["id"])
def test_a_request_is_written_as_in_the_vectors(vector: dict[str, Any]) -> None:
    asked = vector["in"]
    request = read_request(asked["unit"], asked["function"], asked["address"], asked["count"])
    assert RtuFramer().frame(request).hex() == vector["out"]["hex"]


@pytest.mark.parametrize("vector", REQUESTS, ids=lambda v: v["id"])
def test_a_request_on_the_line_is_seen_as_one(vector: dict[str, Any]) -> None:
    (message,) = RtuFramer().feed(bytes.fromhex(vector["out"]["hex"]))
    assert isinstance(message, ModbusPDU)
    assert is_request(message)
    assert (message.address, message.count) == (vector["in"]["address"], vector["in"]["count"])


def test_an_exception_is_told_in_words() -> None:
    vector = MODBUS["modbus-rtu/exception"]
    (message,) = RtuFramer().feed(bytes.fromhex(vector["in"]["hex"]))
    assert isinstance(message, ModbusPDU)
    assert is_refusal(message)
    assert message.exception_code == vector["out"]["exception"]
    assert vector["out"]["meaning"] in refused(message)


@given(st.data(), st.lists(bodies, min_size=1, max_size=6))
def test_every_cut_gives_the_same_messages(data: st.DataObject, sent: list[bytes]) -> None:
    raw = b"".join(rtu(body) for body in sent)
    whole = fed(RtuFramer(), [raw])
    assert len(whole) == len(sent)
    pieces = fed(RtuFramer(), data.draw(cut(raw)))
    assert plain(pieces) == plain(whole)


@pytest.mark.parametrize("vector", REPLIES, ids=lambda v: v["id"])
def test_every_cut_of_every_vector_gives_the_same_readings(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["in"]["hex"])
    whole = list(decode_stream("modbus-scale", [raw]))
    assert len(whole) == 1
    for place in range(len(raw) + 1):
        assert list(decode_stream("modbus-scale", [raw[:place], raw[place:]])) == whole
    assert list(decode_stream("modbus-scale", [bytes([byte]) for byte in raw])) == whole


@given(st.data(), st.lists(st.tuples(st.binary(max_size=12), bodies), min_size=1, max_size=4))
def test_noise_between_messages_loses_none(data: st.DataObject, sent: list[tuple[bytes, bytes]]) -> None:
    raw = b"".join(noise + rtu(body) for noise, body in sent)
    good = plain(fed(RtuFramer(), [b"".join(rtu(body) for _, body in sent)]))
    found = plain(fed(RtuFramer(), data.draw(cut(raw))))
    assert [message for message in found if message in good] == good


@given(bodies, bodies, st.data())
def test_a_broken_message_does_not_swallow_the_one_behind_it(
    broken: bytes, good: bytes, data: st.DataObject
) -> None:
    frame = rtu(broken)
    torn = frame[: data.draw(st.integers(0, len(frame) - 1))]
    found = fed(RtuFramer(), [torn, rtu(good)])
    assert plain(fed(RtuFramer(), [rtu(good)]))[0] in plain(found)


@given(bodies, st.integers(0, 2000))
def test_a_wrong_checksum_is_no_message(body: bytes, place: int) -> None:
    frame = bytearray(rtu(body))
    frame[place % len(frame)] ^= 0x55
    framer = RtuFramer()
    intact = plain(fed(RtuFramer(), [rtu(body)]))
    assert intact[0] not in plain(fed(framer, [bytes(frame)]))
    assert framer.skipped_bytes > 0


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=600), max_size=6))
@pytest.mark.parametrize("kind", [RtuFramer, TcpFramer])
def test_random_bytes_never_raise_and_all_are_counted(kind: type[Framer], chunks: list[bytes]) -> None:
    framer = kind()
    found = fed(framer, chunks)
    noise = sum(item.count for item in found if isinstance(item, Noise))
    assert noise == framer.skipped_bytes
    assert framer.skipped_bytes <= sum(map(len, chunks))


def test_what_waits_is_never_more_than_one_message() -> None:
    framer = RtuFramer()
    for _ in range(1000):
        framer.feed(bytes([1, 3, 250]) * 20)
        assert len(framer._waiting) <= 256


def test_a_request_whose_address_looks_like_a_length_is_still_a_request() -> None:
    # Baykon's registers at 1004: the high byte of the address stands where a reply has its byte count.
    for address in (0x03EC, 0x0400, 0x0500):
        frame = rtu(b"\x01\x03" + address.to_bytes(2, "big") + b"\0\7")
        (message,) = fed(RtuFramer(), [frame])
        assert isinstance(message, ModbusPDU)
        assert is_request(message)
        assert message.address == address


@pytest.mark.parametrize("count", [0, 126, 0xFFFF])
def test_a_request_for_no_or_too_many_registers_is_noise(count: int) -> None:
    body = b"\x01\x03\0\6" + count.to_bytes(2, "big")
    good = reply(1, 3, [7])
    for framer, bad, behind in (
        (RtuFramer(), rtu(body), rtu(good)),
        (TcpFramer(), tcp(1, body), tcp(2, good)),
    ):
        assert plain(fed(framer, [bad, behind])) == plain(fed(RtuFramer(), [rtu(good)]))
        assert framer.skipped_bytes == len(bad)


def test_frames_of_the_makers_manuals() -> None:
    # Baykon MX08 manual p.58: status, indicated, gross and tare of AD[0], with its request.
    said = "010303EC0007C5B9" + "01030E010A000010E2000014CA000003E8BD55"
    _asked, told = fed(RtuFramer(), [bytes.fromhex(said)])
    assert isinstance(told, ModbusPDU)
    assert list(told.registers) == [0x010A, 0, 0x10E2, 0, 0x14CA, 0, 0x03E8]


@given(st.data(), st.lists(st.tuples(st.integers(0, 0xFFFF), bodies), min_size=1, max_size=5))
def test_every_cut_of_modbus_tcp_gives_the_same_messages(
    data: st.DataObject, sent: list[tuple[int, bytes]]
) -> None:
    raw = b"".join(tcp(transaction, body) for transaction, body in sent)
    found = fed(TcpFramer(), data.draw(cut(raw)))
    assert plain(found) == plain(fed(RtuFramer(), [b"".join(rtu(body) for _, body in sent)]))
    assert [item.transaction_id for item in found if isinstance(item, ModbusPDU)] == [t for t, _ in sent]


def test_modbus_tcp_finds_its_way_back_behind_nonsense() -> None:
    good = tcp(7, reply(1, 3, [1, 2]))
    lies = tcp(6, reply(1, 3, [1, 2]))
    lies = lies[:5] + b"\x63" + lies[6:]
    found = fed(TcpFramer(), [b"HTTP/1.1 400 Bad Request\r\n\r\n" + lies + good])
    assert [item.transaction_id for item in found if isinstance(item, ModbusPDU)] == [7]
