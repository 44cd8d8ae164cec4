"""Every recording of a real dialogue replays to the readings that were kept beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent.drivers.decode import decoder_for, reading_json
from edge_agent.drivers.tap import Heard
from edge_agent.live.recording import Piece, read_recording
from edge_agent.live.replaying import replay

FOLDER = Path(__file__).parents[2] / "golden" / "recordings"
RECORDINGS = sorted(path for path in FOLDER.glob("*.jsonl") if not path.stem.endswith(".readings"))


def kept(recording: Path) -> list[object]:
    lines = recording.with_suffix(".readings.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_a_recording_replays_to_the_readings_beside_it(recording: Path) -> None:
    assert list(replay(recording)) == kept(recording)
    assert kept(recording)


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_a_recording_replays_the_same_when_every_byte_comes_alone(recording: Path) -> None:
    with recording.open("rb") as file:
        heard = read_recording(file)
        decoder = decoder_for(heard.settings)
        found: list[object] = []
        for piece in heard.pieces:
            assert isinstance(piece, Piece)
            whole = piece.heard
            cut = whole.topic is None and whole.direction == "in"
            parts = [Heard("in", bytes([byte])) for byte in whole.chunk] if cut else [whole]
            for part in parts:
                found += [
                    item if isinstance(item, str) else reading_json(item) for item in decoder.feed(part)
                ]
        found += [item if isinstance(item, str) else reading_json(item) for item in decoder.end()]
    assert [item for item in found if item is not None] == kept(recording)
