"""The file of `record`: what it holds, what it never holds, and what a damaged one still gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.config.cameras import Camera
from edge_agent.config.devices import ImpinjR700, MtSics
from edge_agent.contract.errors import ConfigError
from edge_agent.contract.times import utc_now
from edge_agent.drivers.tap import Heard, Taps
from edge_agent.live.recording import (
    Damage,
    Piece,
    header_json,
    hearing,
    piece_json,
    read_recording,
    recordable,
)
from edge_agent.live.replaying import Complaint, replay

SCALE = MtSics(id="scale-1", driver="mt-sics", port="socket://user:hidden@127.0.0.1:4001", facings=["A1"])
HEADER = json.dumps(header_json(SCALE, utc_now())).encode() + b"\n"
WEIGHT = b'{"t_s":0.5,"dir":"in","hex":"5320532020202020203330302e3020670d0a"}\n'


def replayed(folder: Path, *lines: bytes) -> list[Any]:
    file = folder / "a.jsonl"
    file.write_bytes(b"".join(lines))
    return list(replay(file))


def test_the_header_says_whose_bytes_follow_and_no_secret() -> None:
    header = json.loads(HEADER)
    assert (header["recording"], header["device"], header["driver"]) == (1, "scale-1", "mt-sics")
    assert header["settings"]["baudrate"] == 9600
    assert b"hidden" not in HEADER
    assert read_recording([HEADER]).settings == SCALE.model_copy(update={"port": "socket://127.0.0.1:4001"})


@given(st.sampled_from(["in", "out"]), st.binary(max_size=40), st.none() | st.text(min_size=1, max_size=9))
def test_every_piece_is_read_as_it_was_written(direction: Any, chunk: bytes, topic: str | None) -> None:
    heard = Heard(direction if topic is None else "in", chunk, topic)
    line = json.dumps(piece_json(Piece(1.25, heard))).encode() + b"\n"
    assert list(read_recording([HEADER, line]).pieces) == [Piece(1.25, heard)]


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_random_lines_never_crash(lines: list[bytes]) -> None:
    for piece in read_recording([HEADER, *lines]).pieces:
        assert isinstance(piece, Piece | Damage)


def test_a_torn_last_line_is_told_and_is_no_damage(tmp_path: Path) -> None:
    weight, complaint = replayed(tmp_path, HEADER, WEIGHT, WEIGHT[:21])
    assert weight["weight_g"] == 300.0
    assert weight["device"] == "scale-1"
    assert complaint == Complaint('line 3, the last, is torn: {"t_s":0.5,"dir":"in"', damaged=False)


@pytest.mark.parametrize(
    "line",
    [
        b"garbage\n",
        b"\xff\xfe\n",
        b'{"t_s":-1,"dir":"in","hex":"00"}\n',
        b'{"t_s":NaN,"dir":"in","hex":"00"}\n',
        b'{"t_s":1,"dir":"up","hex":"00"}\n',
        b'{"t_s":1,"dir":"in","hex":"0"}\n',
        b'{"t_s":1,"dir":"in"}\n',
        b"[1]\n",
    ],
)
def test_a_damaged_line_is_named_and_the_rest_is_replayed(tmp_path: Path, line: bytes) -> None:
    complaint, weight = replayed(tmp_path, HEADER, line, WEIGHT)
    assert complaint.damaged
    assert complaint.text.startswith("line 2 is damaged")
    assert weight["weight_g"] == 300.0


def test_a_gap_of_the_recorder_is_told(tmp_path: Path) -> None:
    (complaint,) = replayed(tmp_path, HEADER, b'{"t_s":2.0,"dropped":7}\n')
    assert complaint.text == "7 pieces are missing at 2.0 s: the recorder was too slow"


def test_what_the_device_said_without_sense_is_told_with_its_time(tmp_path: Path) -> None:
    (complaint,) = replayed(tmp_path, HEADER, b'{"t_s":0.25,"dir":"in","hex":"3f3f0d0a"}\n')
    assert complaint == Complaint("0.250 s: not a reply: ??", damaged=False)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"recording": 2}, "format 2; this program reads 1"),
        ({"driver": "abacus"}, "driver 'abacus', which is not known"),
        ({"driver": 7}, "driver 7"),
        ({"settings": None}, "no settings"),
        ({"settings": {"port": "x", "baudrate": -1}}, "baudrate"),
    ],
)
def test_a_header_that_cannot_be_used_says_why(change: dict[str, object], text: str) -> None:
    header = json.dumps(json.loads(HEADER) | change).encode() + b"\n"
    with pytest.raises(ConfigError, match=text) as caught:
        read_recording([header])
    assert caught.value.hint


@pytest.mark.parametrize("lines", [[], [b""], [b"\n"], [b"S S 1 g\r\n"], [b'{"a":1}\n']])
def test_a_file_that_is_no_recording_says_so(lines: list[bytes]) -> None:
    with pytest.raises(ConfigError, match="not a recording"):
        read_recording(lines)


def test_a_setting_of_another_version_is_left_out_and_told(tmp_path: Path) -> None:
    header = json.loads(HEADER)
    header["settings"]["sparkle"] = True
    complaint, weight = replayed(tmp_path, json.dumps(header).encode() + b"\n", WEIGHT)
    assert complaint.text == "setting sparkle is not known here"
    assert weight["weight_g"] == 300.0


def test_a_paced_replay_keeps_the_recorded_pauses(tmp_path: Path) -> None:
    file, slept = tmp_path / "a.jsonl", list[float]()
    file.write_bytes(HEADER + WEIGHT + WEIGHT.replace(b"0.5", b"2.5"))
    assert len(list(replay(file, pace=True, sleep=slept.append))) == 2
    assert [round(pause, 1) for pause in slept] == [0.5, 2.5]


def test_pictures_are_refused() -> None:
    camera = Camera(id="cam", driver="camera", source="rtsp://127.0.0.1/x")
    with pytest.raises(ConfigError, match="pictures never leave") as caught:
        recordable(camera)
    assert "footfall" in caught.value.hint


async def test_a_recorder_hears_both_directions_and_topics_with_their_times() -> None:
    taps = Taps()
    reader = ImpinjR700(id="rfid", driver="impinj-r700", topic="a/#")
    with hearing(reader, taps) as (header, follower):
        assert json.loads(header)["driver"] == "impinj-r700"
        tell = taps.of("rfid")
        tell(Heard("out", b"?"))
        tell(Heard("in", "é".encode(), "a/b"))
        tell(Heard("in", b"\xff", "a/c"))
        taps.of("other")(Heard("in", b"x"))
        lines = [json.loads(line) for line in (await follower.lines()).splitlines()]
    assert all(0 <= line.pop("t_s") < 5 for line in lines)
    assert lines == [
        {"dir": "out", "hex": "3f"},
        {"topic": "a/b", "text": "é"},
        {"topic": "a/c", "hex": "ff"},
    ]
    assert not taps.attended
