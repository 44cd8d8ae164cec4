"""The simulated serial RFID readers against other people's programs, and those against our framer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from chafon_rfid import uhfreader18 as chafon_18
from chafon_rfid import uhfreader288m as chafon_288
from chafon_rfid.base import CommandRunner, ReaderCommand, ReaderInfoFrame, ReaderType
from chafon_rfid.transport_serial import SerialTransport
from hypothesis import given
from hypothesis import strategies as st
from uhfreader18 import RfidClient, StreamBuffer

from device_sims.links import PtyLink, TcpLink, plugged_in
from device_sims.m100 import M100Module
from device_sims.r2000 import R2000Reader
from device_sims.reader_field import ReaderFaults, TagInView
from device_sims.uhfreader18 import UhfReader, block, crc16
from edge_agent.drivers.decode import decode_stream

TAGS = [TagInView(bytes((0x30, n)) * 6, -50 - n) for n in range(7)]
EPCS = [tag.epc.hex() for tag in TAGS]
EVEN = st.integers(1, 31).flatmap(lambda words: st.binary(min_size=2 * words, max_size=2 * words))


def field(antenna: int) -> Sequence[TagInView]:
    return TAGS if antenna == 1 else TAGS[:1]


def decoded(driver: str, *chunks: bytes) -> list[Any]:
    return list(decode_stream(driver, chunks))


def chafon_inventory(port: str, model: int) -> tuple[Any, list[Any]]:
    """What `wabson.chafon-rfid` reads over a serial port: the reader's kind, and its tags."""
    transport = SerialTransport(port, timeout=2)
    try:
        runner = CommandRunner(transport)
        kind = ReaderInfoFrame(runner.run(ReaderCommand(0x21))).type
        library: Any = chafon_18 if model == 18 else chafon_288
        question = ReaderCommand(1) if model == 18 else chafon_288.G2InventoryCommand()
        transport.write(question.serialize())
        tags: list[Any] = []
        while True:
            frame = library.G2InventoryResponseFrame(transport.read_frame())
            tags += frame.get_tag()
            if frame.result_status != 3:
                return kind, tags
    finally:
        transport.destroy()


@pytest.mark.parametrize(
    ("model", "kind"), [(18, ReaderType.UHFReader18), (288, ReaderType.UHFReader288M)], ids=["18", "288"]
)
async def test_chafon_rfid_reads_ours_on_a_pty(model: int, kind: Any, tmp_path: Path) -> None:
    link = PtyLink(UhfReader(field, model=model), tmp_path / "reader")
    async with plugged_in(link), asyncio.timeout(10):
        found, tags = await asyncio.to_thread(chafon_inventory, link.address, model)
    assert found == kind
    assert [bytes(tag.epc).hex() for tag in tags] == EPCS
    assert {tag.antenna_num for tag in tags} == {1}


async def test_uhfreader18_talks_with_ours_over_tcp() -> None:
    reader = UhfReader(field, address=5)
    link = TcpLink(reader)

    def talk(port: int) -> tuple[Any, int]:
        with RfidClient("127.0.0.1", port) as client:
            about, address = client.discover_address()
            client.set_power(address, 21)
            return about, address

    async with plugged_in(link), asyncio.timeout(10):
        about, address = await asyncio.to_thread(talk, int(link.address.rsplit(":", 1)[1]))
    assert (address, about.version, about.reader_model.name) == (5, "0.22", "UHFREADER18")
    assert reader.power_dbm == 21


async def test_uhfreader18_understands_what_ours_pushes(tmp_path: Path) -> None:
    stream, reader = StreamBuffer(), UhfReader(field, scanning=True)
    result = stream.feed(reader.tick())
    assert [frame.data.hex() for frame in result.frames] == EPCS
    reader = UhfReader(lambda _: [], scanning=True)
    assert len(stream.feed(reader.tick()).heartbeats) == 1
    assert stream.pending_bytes == 0


@given(st.lists(EVEN, max_size=5), st.integers(0, 254), st.sampled_from([18, 288]))
def test_three_programs_read_the_same_tags(epcs: list[bytes], address: int, model: int) -> None:
    reader = UhfReader(lambda _: [TagInView(epc) for epc in epcs], model=model, address=address)
    question = block(255, 1, b"" if model == 18 else bytes((4, 0, 1, 0, 0, 0, 0, 0x80, 3)))
    stream = reader.feed(question)

    frames = StreamBuffer().feed(stream)
    assert not frames.errors
    library: Any = chafon_18 if model == 18 else chafon_288
    theirs = [bytes(tag.epc).hex() for tag in library.G2InventoryResponse(stream).get_tag()]
    ours = decode_stream("uhfreader18", [stream], options={"model": str(model)})
    assert [item["epc"] for item in ours if isinstance(item, dict)] == theirs == [e.hex() for e in epcs]
    # Not told which reader it is, ours reads the same or says that it cannot know; never anything else.
    unsure = decoded("uhfreader18", stream)
    assert [i["epc"] for i in unsure if isinstance(i, dict)] == theirs or any(
        isinstance(i, str) for i in unsure
    )


@given(
    st.lists(st.tuples(st.integers(0, 255), st.sampled_from([1, 0x21, 0xEE, 0x2F]), st.binary(max_size=40)))
)
def test_both_framers_find_the_same_frames(frames: list[tuple[int, int, bytes]]) -> None:
    from edge_agent.drivers.frames import FrameScanner
    from edge_agent.drivers.uhfreader18 import GRAMMAR

    stream = b"".join(block(address, command, b"\x00" + content) for address, command, content in frames)
    theirs = [frame.to_bytes() for frame in StreamBuffer().feed(stream).frames]
    assert FrameScanner(GRAMMAR).feed(stream) == theirs


def test_the_checksum_is_that_of_the_manual() -> None:
    assert crc16(b"123456789") == (0x6F91).to_bytes(2, "little")


def test_an_r2000_answers_as_the_protocol_words_it() -> None:
    reader = R2000Reader(field)
    assert reader.feed(bytes.fromhex("a00301 72ea")).hex() == "a00501720802de"
    assert reader.feed(bytes.fromhex("a004017400e7")).hex() == "a004017410d7"
    found = decoded("r2000", reader.feed(bytes.fromhex("a004ff8901d3")))
    assert [(tag["antenna"], tag["epc"], tag["rssi_dbm"]) for tag in found] == [
        (1, tag.epc.hex(), tag.rssi_dbm) for tag in TAGS
    ]
    assert reader.feed(bytes.fromhex("a004017404e3")).hex() == "a004017447a0"


def test_a_packet_for_another_reader_or_with_a_wrong_check_is_not_answered() -> None:
    reader = R2000Reader(field)
    assert reader.feed(bytes.fromhex("a0030272e9")) == b""
    assert reader.feed(bytes.fromhex("a0030172eb")) == b""


def test_an_m100_answers_with_the_frames_of_its_manual() -> None:
    epc = bytes.fromhex("30751feb705c5904e3d50d70")
    module = M100Module(lambda _: [TagInView(epc, -55)])
    captured = bytes.fromhex("bb02220011c9340030751feb705c5904e3d50d703a76ef7e")
    (ours,) = decoded("m100", module.feed(bytes.fromhex("bb00220000227e")))
    (theirs,) = decoded("m100", captured)
    assert ours == theirs
    empty = M100Module(lambda _: [])
    assert empty.feed(bytes.fromhex("bb00220000227e")).hex() == "bb01ff000115167e"
    assert empty.feed(bytes.fromhex("bb00280000287e")).hex() == "bb012800 01002a7e".replace(" ", "")


def test_an_echoing_reader_says_the_question_first() -> None:
    question, faults = bytes.fromhex("a0030172ea"), ReaderFaults()
    whole = R2000Reader(field).feed(question)
    reader = R2000Reader(field, faults=faults)
    faults.echo = True
    assert reader.feed(question) == question + whole
