"""The serial RFID readers' framers and decoders: every published vector, every cut, garbage, and the known traps."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from device_sims.m100 import M100Module
from device_sims.m100 import frame as module_frame
from device_sims.reader_field import TagInView
from device_sims.uhfreader18 import crc16
from edge_agent.config.devices import R2000
from edge_agent.drivers import m100, r2000, uhfreader18
from edge_agent.drivers.decode import decode_stream, decoder_for
from edge_agent.drivers.frames import NOISE_LIMIT, NOISE_SHOWN, FrameScanner, Grammar, Noise
from edge_agent.drivers.tap import Heard
from edge_agent.readings import TagRead

GOLDEN = Path(__file__).parents[2] / "golden" / "devices.json"
FAMILIES = {"r2000-a0": "r2000", "uhfreader18": "uhfreader18", "m100-bb": "m100"}
GRAMMARS: dict[str, Grammar] = {
    "r2000": r2000.GRAMMAR,
    "uhfreader18": uhfreader18.GRAMMAR,
    "m100": m100.GRAMMAR,
}
VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for vector in json.loads(GOLDEN.read_text(encoding="utf-8"))["vectors"]
    if vector["protocol"] in FAMILIES
}
DRIVERS = sorted(GRAMMARS)


def bytes_of(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["in"].get("hex") or vector["out"]["hex"])


def good_frames(driver: str) -> list[bytes]:
    return [
        bytes_of(vector)
        for vector in VECTORS.values()
        if FAMILIES[vector["protocol"]] == driver and vector["out"].get("kind") != "reject"
    ]


def decoded(driver: str, *chunks: bytes, **options: str) -> list[Any]:
    return list(decode_stream(driver, chunks, options=options))


def tags(driver: str, *chunks: bytes, **options: str) -> list[tuple[int | None, str, float | None]]:
    found = decoded(driver, *chunks, **options)
    return [(one["antenna"], one["epc"], one["rssi_dbm"]) for one in found if isinstance(one, dict)]


def a0(*body: int) -> bytes:
    frame = bytes((0xA0, len(body) + 1, *body))
    return frame + bytes((-sum(frame) & 0xFF,))


def tag_89(epc: bytes, *, freq_ant: int = 0, rssi: int = 69, extra: bytes = b"") -> bytes:
    return a0(1, 0x89, freq_ant, len(epc) // 2 << 3, 0, *epc, rssi, *extra)


def chafon(*body: int) -> bytes:
    frame = bytes((len(body) + 2, *body))
    return frame + crc16(frame)


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_every_vector_decodes(name: str) -> None:
    vector = VECTORS[name]
    driver, out = FAMILIES[vector["protocol"]], vector["out"]
    found = decoded(driver, bytes_of(vector))
    if out.get("kind") == "reject":
        assert [type(item) for item in found] == [str]
        return
    expected = out.get("tags", [out] if "epc" in out else [])
    assert [item["epc"] for item in found] == [tag["epc"] for tag in expected]
    for item, tag in zip(found, expected, strict=True):
        assert item["antenna"] == out.get("antenna")
        assert item["rssi_dbm"] == tag.get("rssi_dbm")


@pytest.mark.parametrize("driver", DRIVERS)
@given(data=st.data())
def test_every_split_finds_the_same(driver: str, data: st.DataObject) -> None:
    parts = st.lists(st.one_of(st.sampled_from(good_frames(driver)), st.binary(max_size=12)), max_size=8)
    stream = b"".join(data.draw(parts))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    whole, pieces = FrameScanner(GRAMMARS[driver]), FrameScanner(GRAMMARS[driver])
    expected = whole.feed(stream) + whole.end()
    found = [item for a, b in pairwise([0, *cuts, len(stream)]) for item in pieces.feed(stream[a:b])]
    assert found + pieces.end() == expected
    assert pieces.skipped_bytes == whole.skipped_bytes


@pytest.mark.parametrize("driver", DRIVERS)
@given(stream=st.binary(max_size=700))
def test_any_bytes_are_frames_or_noise_and_none_is_lost(driver: str, stream: bytes) -> None:
    scanner = FrameScanner(GRAMMARS[driver])
    found = scanner.feed(stream) + scanner.end()
    noise = sum(item.length for item in found if isinstance(item, Noise))
    assert noise == scanner.skipped_bytes
    assert noise + sum(len(item) for item in found if isinstance(item, bytes)) == len(stream)
    decoded(driver, stream)


@pytest.mark.parametrize("driver", DRIVERS)
@given(data=st.data())
def test_garbage_between_frames_loses_no_good_frame(driver: str, data: st.DataObject) -> None:
    good = good_frames(driver)
    parts = data.draw(
        st.lists(st.tuples(st.binary(max_size=40), st.sampled_from(good)), min_size=1, max_size=5)
    )
    scanner = FrameScanner(GRAMMARS[driver])
    found = scanner.feed(b"".join(garbage + frame for garbage, frame in parts)) + scanner.end()
    frames = [item for item in found if isinstance(item, bytes)]
    assume(all(frame in good for frame in frames))  # garbage may be a frame by chance, checksum and all
    remaining = iter(frames)
    assert all(frame in remaining for _, frame in parts), "a good frame is missing or out of order"


@pytest.mark.parametrize("driver", DRIVERS)
def test_no_broken_frame_swallows_the_good_one_behind_it(driver: str) -> None:
    for good in good_frames(driver):
        for at in range(len(good)):
            for flip in (0x01, 0x80, 0xFF):
                broken = good[:at] + bytes((good[at] ^ flip,)) + good[at + 1 :]
                scanner = FrameScanner(GRAMMARS[driver])
                assert good in scanner.feed(broken + good) + scanner.end(), broken.hex()
            scanner = FrameScanner(GRAMMARS[driver])
            assert good in scanner.feed(good[:at] + good) + scanner.end(), good[:at].hex()


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_changed_byte_of_a_tag_frame_is_noticed(driver: str) -> None:
    for good in good_frames(driver):
        if not tags(driver, good):
            continue
        for at in range(len(good)):
            for flip in range(1, 256):
                broken = good[:at] + bytes((good[at] ^ flip,)) + good[at + 1 :]
                assert not tags(driver, broken), broken.hex()


def test_endless_noise_is_told_in_pieces_and_kept_short() -> None:
    scanner = FrameScanner(r2000.GRAMMAR)
    found = [item for _ in range(1000) for item in scanner.feed(b"\x00" * 1000)]
    assert [(len(item.raw), item.length) for item in found if isinstance(item, Noise)] == [
        (NOISE_SHOWN, NOISE_LIMIT)
    ] * (1_000_000 // NOISE_LIMIT)
    good = bytes_of(VECTORS["r2000-a0/tag-1"])
    assert scanner.feed(good)[-1] == good
    assert scanner.skipped_bytes == 1_000_000


def test_each_broken_frame_is_one_line() -> None:
    broken = bytes_of(VECTORS["r2000-a0/bad-checksum"])
    good = bytes_of(VECTORS["r2000-a0/tag-1"])
    found = decoded("r2000", broken, broken, good, b"\x00\x01", broken[:7])
    assert [item if isinstance(item, str) else "tag" for item in found] == [
        f"a broken frame: {broken.hex()}",
        f"a broken frame: {broken.hex()}",
        "tag",
        "no frame: 0001",
        f"a broken frame: {broken[:7].hex()}",
    ]


FITS_BOTH = chafon(0, 1, 3, *bytes.fromhex("03020209020902020909"))
"""Three tags of an 18, or two of a 288 at two antennas: even lengths leave few such contents."""


class TestR2000:
    """0xA0 frames."""

    @pytest.mark.parametrize("words", [1, 2, 4, 6, 8, 15, 31])
    def test_an_epc_is_as_long_as_its_pc_says(self, words: int) -> None:
        epc = bytes(range(2 * words))
        assert tags("r2000", tag_89(epc)) == [(1, epc.hex(), -60.0)]

    def test_the_phase_behind_rssi_is_no_part_of_the_tag(self) -> None:
        assert tags("r2000", tag_89(b"\x30" * 12, extra=b"\x12\x34")) == [(1, "30" * 12, -60.0)]

    @pytest.mark.parametrize("name", [name for name in VECTORS if "freq_index" in VECTORS[name]["out"]])
    def test_the_hop_channel_is_told(self, name: str) -> None:
        decoder = decoder_for(R2000(id="r", driver="r2000", port="p"))
        (read,) = decoder.feed(Heard("in", bytes_of(VECTORS[name])))
        assert isinstance(read, TagRead)
        assert read.rf_channel == VECTORS[name]["out"]["freq_index"]

    @pytest.mark.parametrize("extra", [b"\x01", b"\x01\x02\x03"])
    def test_a_tag_of_another_length_than_its_pc_says_is_no_frame(self, extra: bytes) -> None:
        (told,) = decoded("r2000", tag_89(b"\x30" * 12, extra=extra))
        assert str(told).startswith("a broken frame")

    @pytest.mark.parametrize(
        ("freq_ant", "rssi", "option", "expected"),
        [
            (0b0000_0111, 69, "false", (4, -60.0)),
            (0b0000_0111, 69, "true", (4, -60.0)),
            (0b0000_0101, 0x80 | 69, "true", (6, -60.0)),
            (0b0000_0101, 0x80 | 69, "false", (2, None)),
        ],
    )
    def test_the_high_antenna_bit_counts_where_the_firmware_has_one(
        self, freq_ant: int, rssi: int, option: str, expected: tuple[int, float | None]
    ) -> None:
        frame = tag_89(b"\x30" * 12, freq_ant=freq_ant, rssi=rssi)
        ((antenna, _, rssi_dbm),) = tags("r2000", frame, high_antenna_in_rssi=option)
        assert (antenna, rssi_dbm) == expected

    def test_fast_switching_and_session_inventories_read_alike(self) -> None:
        for command in (0x8A, 0x8B):
            assert tags("r2000", a0(1, command, 2, 0x30, 0, *range(12), 69)) == [
                (3, bytes(range(12)).hex(), -60.0)
            ]

    @pytest.mark.parametrize(
        "frame",
        [
            a0(1, 0x89, 0x22),
            a0(1, 0x8A, 1, 0x22),
            a0(1, 0x74, 0x10),
            a0(1, 0x72, 8, 2),
            a0(0xFF, 0x89, 0xFF),
            a0(0xFF, 0x70),
            a0(1, 0x8A, 0, 0, 9, 0, 0, 0, 99),
        ],
    )
    def test_what_is_about_no_tag_is_silent(self, frame: bytes) -> None:
        assert decoded("r2000", frame) == []

    def test_a_tag_without_an_epc_names_nothing(self) -> None:
        assert decoded("r2000", tag_89(b"")) == []


class TestUhfReader18:
    """Frames without a start byte, two layouts, and a heartbeat that looks like a length."""

    def test_a_heartbeat_is_silent_and_swallows_nothing(self) -> None:
        tag = bytes_of(VECTORS["uhfreader18/18-one"])
        beat = bytes_of(VECTORS["uhfreader18/heartbeat"])
        assert decoded("uhfreader18", beat + tag + beat + beat + tag) == 2 * decoded("uhfreader18", tag)

    def test_a_frame_of_the_heartbeats_length_is_a_frame(self) -> None:
        content = b"\x04" + b"".join(bytes((size, *range(size))) for size in (18, 18, 20, 20))
        frame = chafon(0, 1, 3, *content)
        assert frame[0] == 0x56
        beat = bytes_of(VECTORS["uhfreader18/heartbeat"])
        found = tags("uhfreader18", frame + beat + frame)
        assert [len(epc) // 2 for _, epc, _ in found] == [18, 18, 20, 20] * 2

    def test_a_long_pushed_frame_of_the_heartbeats_length_is_no_heartbeat(self) -> None:
        frame = chafon(0, 0xEE, 0, *range(81))
        assert frame[0] == 0x56
        scanner = FrameScanner(uhfreader18.GRAMMAR)
        assert scanner.feed(frame) == [frame]

    def test_a_heartbeat_in_pieces_waits_for_its_last_byte(self) -> None:
        scanner = FrameScanner(uhfreader18.GRAMMAR)
        assert scanner.feed(b"\x56\0\0\0\0") == []
        assert scanner.feed(b"\0") == [b"\x56\0\0\0\0\0"]

    @pytest.mark.parametrize("mask", [1, 2, 4, 8, 16, 128])
    def test_the_antenna_of_a_288_is_a_bit(self, mask: int) -> None:
        assert tags("uhfreader18", chafon(0, 1, 3, mask, 1, 4, 1, 2, 3, 4, 107)) == [
            (mask.bit_length(), "01020304", None)
        ]

    def test_several_antennas_at_once_are_none(self) -> None:
        assert tags("uhfreader18", chafon(0, 1, 3, 0b101, 1, 4, 1, 2, 3, 4, 107)) == [
            (None, "01020304", None)
        ]

    @pytest.mark.parametrize("status", [1, 2, 3, 4])
    def test_tags_come_with_every_status_of_an_inventory(self, status: int) -> None:
        assert tags("uhfreader18", chafon(7, 1, status, 2, 2, 1, 2, 4, 1, 2, 3, 4)) == [
            (None, "0102", None),
            (None, "01020304", None),
        ]

    @pytest.mark.parametrize("status", [0x26, 0xF8, 0xFB, 0xFD, 0xFE, 0xFF])
    def test_other_statuses_hold_no_tags(self, status: int) -> None:
        assert decoded("uhfreader18", chafon(0, 1, status, 1, 0, 0, 0, 0, 0, 9)) == []

    def test_the_one_antenna_of_an_18_is_the_configured_one(self) -> None:
        frame = bytes_of(VECTORS["uhfreader18/18-one"])
        assert tags("uhfreader18", frame, antennas='{"1": A1-01}')[0][0] == 1

    def test_a_reply_that_fits_both_layouts_is_not_guessed(self) -> None:
        (told,) = decoded("uhfreader18", FITS_BOTH)
        assert "set `model`" in str(told)
        assert [epc for _, epc, _ in tags("uhfreader18", FITS_BOTH, model="18")] == ["0209", "0902", "0909"]
        assert [epc for _, epc, _ in tags("uhfreader18", FITS_BOTH, model="288")] == ["0902", "0209"]

    @pytest.mark.parametrize(("known_by", "count"), [("288-ant1", 2), ("info-288", 2), ("18-one", 3)])
    def test_what_was_certain_before_decides(self, known_by: str, count: int) -> None:
        certain = bytes_of(VECTORS[f"uhfreader18/{known_by}"])
        found = tags("uhfreader18", certain + FITS_BOTH)
        assert len(found) == count + len(tags("uhfreader18", certain))

    def test_a_configured_model_reads_no_other_layout(self) -> None:
        frame = bytes_of(VECTORS["uhfreader18/288-ant1"])
        (told,) = decoded("uhfreader18", frame, model="18")
        assert "holds no tags" in str(told)

    def test_a_tid_behind_the_epc_is_no_part_of_it(self) -> None:
        frame = chafon(0, 1, 3, 1, 1, 0x80 | 16, 1, 2, 3, 4, *range(12), 107)
        assert tags("uhfreader18", frame) == [(1, "01020304", None)]

    def test_pushed_tags_of_both_models(self) -> None:
        captured = bytes.fromhex("1100ee002000708c2b380b2d00000000e056")
        assert tags("uhfreader18", captured) == [(None, "2000708c2b380b2d00000000", None)]
        assert tags("uhfreader18", chafon(0, 0xEE, 0, 8, 4, 1, 2, 3, 4, 99)) == [(4, "01020304", None)]
        assert decoded("uhfreader18", chafon(0, 0xEE, 0x28, *range(16))) == []

    def test_an_echoed_question_is_no_reply(self) -> None:
        question = chafon(0xFF, 1, 4, 0, 1, 0, 0, 0, 0, 0x80, 3)
        assert decoded("uhfreader18", question, chafon(0xFF, 1), chafon(0, 0x21), b"\0") == ["no frame: 00"]

    @given(
        st.lists(
            st.integers(1, 31).flatmap(lambda n: st.binary(min_size=2 * n, max_size=2 * n)),
            min_size=1,
            max_size=3,
        ),
        st.sampled_from([1, 2, 4, 8]),
    )
    def test_no_layout_is_ever_taken_for_the_other(self, epcs: list[bytes], mask: int) -> None:
        listed = b"".join(bytes((len(epc),)) + epc for epc in epcs)
        strong = b"".join(bytes((len(epc),)) + epc + b"\x6b" for epc in epcs)
        for content in (bytes((len(epcs),)) + listed, bytes((mask, len(epcs))) + strong):
            found = decoded("uhfreader18", chafon(0, 1, 3, *content))
            if isinstance(found[0], str):
                assert "set `model`" in found[0]
            else:
                assert [tag["epc"] for tag in found] == [epc.hex() for epc in epcs]


class TestM100:
    """0xBB frames."""

    def test_an_end_mark_inside_a_frame_ends_nothing(self) -> None:
        epc = b"\x7e\xbb" * 6
        frame = M100Module(lambda _: [TagInView(epc, -126)]).feed(bytes.fromhex("bb00220000227e"))
        assert frame.count(0x7E) > 6
        assert tags("m100", frame + frame) == [(None, epc.hex(), -126.0)] * 2

    def test_a_tag_whose_own_crc_is_wrong_is_not_believed(self) -> None:
        frame = bytearray(bytes_of(VECTORS["m100-bb/tag-1"]))
        frame[12] ^= 0x01
        frame[-2] = sum(frame[1:-2]) & 0xFF
        (told,) = decoded("m100", bytes(frame))
        assert str(told).startswith("a broken frame")

    def test_a_tag_without_its_crc_is_read(self) -> None:
        content = b"\xc9\x30\x00" + bytes(range(12))
        assert tags("m100", module_frame(2, 0x22, content)) == [(None, bytes(range(12)).hex(), -55.0)]

    def test_the_only_antenna_is_the_configured_one(self) -> None:
        frame = bytes_of(VECTORS["m100-bb/tag-1"])
        assert tags("m100", frame, antennas='{"1": A1-01}')[0][0] == 1
