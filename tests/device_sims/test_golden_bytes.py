"""Frames that real readers and modules sent, made again by our encoders: the same bytes, checks included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sims.indicator import Indication
from device_sims.m100 import M100Module, frame, tag_crc
from device_sims.modbus_scale import ModbusModules, Station, laumas
from device_sims.r2000 import R2000Reader, packet
from device_sims.reader_field import TagInView
from device_sims.uhfreader18 import UhfReader, block

VECTORS = json.loads((Path(__file__).parents[1] / "golden" / "devices.json").read_text())["vectors"]


def captured(protocol: str) -> list[Any]:
    """The vectors of a protocol whose bytes are a good frame, from a device or for it."""
    chosen = []
    for vector in VECTORS:
        sent = vector["in"].get("hex") or vector["out"].get("hex")
        if vector["protocol"] == protocol and sent and vector["out"].get("kind") != "reject":
            chosen.append(pytest.param(bytes.fromhex(sent), vector["out"], id=sent))
    assert chosen
    return chosen


@pytest.mark.parametrize(("sent", "means"), captured("r2000-a0"))
def test_r2000_packets_are_packed_as_captured(sent: bytes, means: dict[str, Any]) -> None:
    assert packet(sent[2], sent[3], sent[4:-1]) == sent
    if "epc" not in means:
        return
    tag = TagInView(bytes.fromhex(means["epc"]), means["rssi_dbm"], means["freq_index"])
    said = R2000Reader(lambda _: [tag]).feed(packet(means["address"], int(means["cmd"], 16), b"\x01"))
    last = said[:-12][-len(sent) :]
    if means["pc"] == "3000" and means["freq_index"] < 50:
        assert last == sent
    else:  # another PC than the one that an EPC's length gives, or a channel of the other band
        assert (last[:4], last[7:-1]) == (sent[:4], sent[7:-1])


def test_an_r2000_ends_an_inventory_and_acknowledges_as_captured() -> None:
    known = {vector.values[0] for vector in captured("r2000-a0")}
    reader = R2000Reader(lambda _: [])
    assert reader.feed(bytes.fromhex("a004017400e7")) in known
    end = reader.feed(bytes.fromhex("a006018b010001cc"))
    (example,) = [one for one in known if one[1] == 0x0A]
    assert (len(end), end[:5]) == (len(example), example[:5])
    assert sum(end) % 256 == 0


@pytest.mark.parametrize(("sent", "means"), captured("uhfreader18"))
def test_uhf_readers_answer_as_captured(sent: bytes, means: dict[str, Any]) -> None:
    model = 288 if "antenna" in means or means.get("cmd") == "0x21" else 18
    tags = [
        # The captures give raw strengths; 150 below is this simulator's dBm.
        TagInView(bytes.fromhex(tag["epc"]), tag.get("rssi_raw", 0) - 150)
        for tag in means.get("tags", [])
    ]
    reader = UhfReader(lambda _: tags, model=model, scanning=means.get("kind") == "heartbeat")
    if reader.scanning:
        assert reader.tick() == sent
        return
    question = block(
        0, sent[2], bytes((4, 0, 1, 0, 0, 0, 0, 0x80, 3)) if sent[2] == 1 and model == 288 else b""
    )
    assert sent in reader.feed(question)


@pytest.mark.parametrize(("sent", "means"), captured("m100-bb"))
def test_m100_frames_are_made_as_captured(sent: bytes, means: dict[str, Any]) -> None:
    assert frame(sent[1], sent[2], sent[5:-2]) == sent
    if "epc" not in means:
        return
    words = bytes.fromhex(means["pc"] + means["epc"])
    assert tag_crc(words).hex() == means["tag_crc"]
    (epc, rssi_dbm) = bytes.fromhex(means["epc"]), means["rssi_dbm"]
    ours = M100Module(lambda _: [TagInView(epc, rssi_dbm)]).feed(frame(0, 0x22))
    assert (ours[:6], ours[8:20]) == (sent[:6], sent[8:20])  # all but the PC, which ours has from the length
    assert ours == frame(2, 0x22, ours[5:6] + b"\x30\x00" + epc + tag_crc(b"\x30\x00" + epc))


class Display:
    """One state for the whole test."""

    max_g = 15_000.0

    def __init__(self, shown: Indication) -> None:
        self._shown = shown

    def read(self, _now_s: float) -> Indication:
        return self._shown


@pytest.mark.parametrize(
    ("weight_g", "stable", "documented"),
    [
        (1250, True, "01030a0800000004e2000004e2de47"),
        (1250, False, "01030a0000000004e2000004e25fad"),
        (-35, True, "01030a098000000023000000231141"),
    ],
)
def test_a_laumas_answers_as_its_table_says(weight_g: float, stable: bool, documented: str) -> None:
    assert documented in {v["in"].get("hex") for v in VECTORS if v["protocol"] == "modbus-rtu"}
    display = Display(Indication(weight_g, stable, "in range"))
    modules = ModbusModules([Station(1, laumas(display))], clock=lambda: 1.0)  # type: ignore[arg-type]  # reads alike
    assert modules.feed(bytes.fromhex("01030006000565c8")).hex() == documented


FRAMES = st.one_of(
    st.binary(max_size=12),
    st.builds(packet, st.just(1), st.integers(0, 255), st.binary(max_size=12)),
    st.builds(block, st.just(0), st.integers(0, 255), st.binary(max_size=12)),
    st.builds(frame, st.integers(0, 2), st.integers(0, 255), st.binary(max_size=12)),
)


@given(st.lists(FRAMES, max_size=8))
def test_no_bytes_make_a_simulated_reader_fall_over(chunks: list[bytes]) -> None:
    tags = [TagInView(bytes((0x30, n)) * 6, -60) for n in range(3)]
    readers = [
        R2000Reader(lambda _: tags),
        UhfReader(lambda _: tags),
        UhfReader(lambda _: tags, model=288),
        UhfReader(lambda _: tags, scanning=True),
        M100Module(lambda _: tags),
    ]
    for reader in readers:
        for chunk in chunks:
            assert isinstance(reader.feed(chunk), bytes)
            assert isinstance(reader.tick(), bytes)
