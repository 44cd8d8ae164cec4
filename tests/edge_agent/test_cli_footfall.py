"""`edge-agent footfall` as a user calls it, on real video."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner

from edge_agent.cli import app
from edge_agent.contract.errors import ConfigError

LEAVING = "560,432,560,0"


@pytest.fixture
def clip(outside_data: Path, tmp_path: Path) -> Path:
    """Real frames, ten a second: a woman stands, then walks out to the right over x = 560."""
    source = cv2.VideoCapture(str(outside_data / "video" / "one-by-one-person-detection.mp4"), cv2.CAP_FFMPEG)
    source.set(cv2.CAP_PROP_POS_FRAMES, 168)
    made = tmp_path / "leaving.avi"
    video = cv2.VideoWriter(str(made), cv2.VideoWriter.fourcc(*"MJPG"), 10, (768, 432))
    for _ in range(32):
        video.write(source.read()[1])
    video.release()
    return made


def fails(*arguments: str | Path) -> ConfigError:
    error = CliRunner().invoke(app, ["footfall", *map(str, arguments)]).exception
    assert isinstance(error, ConfigError), error
    assert error.hint
    return error


def test_a_crossing_is_counted_compared_and_drawn(clip: Path, tmp_path: Path) -> None:
    truth, drawn = tmp_path / "truth.json", tmp_path / "drawn.mp4"
    line = [float(number) for number in LEAVING.split(",")]
    events = [{"t_s": 1.6, "direction": "entered"}, {"t_s": 3.0, "direction": "exited"}]
    truth.write_text(
        json.dumps({"clip": "x", "line": line, "window_s": [0, 4], "tolerance_s": 0.9, "events": events})
    )
    done = CliRunner().invoke(
        app, ["footfall", str(clip), "--truth", str(truth), "--overlay", str(drawn), "--json"]
    )
    assert done.exit_code == 0, done.exception
    facts = json.loads(done.stdout)
    assert (facts["entered"], facts["exited"]) == (1, 0)
    assert facts["crossings"][0]["t_s"] == pytest.approx(1.6, abs=0.9)
    assert (facts["truth"]["hits"], facts["truth"]["recall"]) == (1, 0.5)
    assert facts["truth"]["missed"] == [events[1]]
    video = cv2.VideoCapture(str(drawn))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 16
    video.release()


def test_visits_are_compared_too(clip: Path, tmp_path: Path) -> None:
    truth = tmp_path / "visits.json"
    truth.write_text(json.dumps({"clip": "x", "visits": [{"from_s": 0, "to_s": 3.2}]}))
    done = CliRunner().invoke(app, ["footfall", str(clip), "--truth", str(truth), "--json"])
    assert done.exit_code == 0, done.exception
    told = json.loads(done.stdout)["truth"]
    assert (told["visits"], told["hits"], told["false"]) == (1, 1, 0)
    assert told["dwell_error_s"] < 1.5


@pytest.mark.parametrize("line", ["1,2,3", "a,b,c,d", "5,5,5,5", "nan,1,2,3", "inf,1,2,3"])
def test_a_malformed_line_is_wrong_use(line: str) -> None:
    assert line in fails("door.mp4", "--line", line).message


def test_wrong_use_is_said_with_a_hint(clip: Path, tmp_path: Path) -> None:
    assert "no line" in fails(clip).message
    assert "outside the picture of 768x432" in fails(clip, "--line", "900,0,900,400").message
    assert "anchor" in fails(clip, "--line", LEAVING, "--anchor", "head").message
    assert "unknown family" in fails(clip, "--line", LEAVING, "--model", "mine.onnx").message
    assert "mask" in fails(clip, "--line", LEAVING, "--mask", "1,2").message
    assert "mask" in fails(clip, "--line", LEAVING, "--mask", "inf,0,1,2,3,4").message
    assert "the video itself" in fails(clip, "--line", LEAVING, "--overlay", clip).message
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"")
    assert "broken.mp4" in fails(broken, "--line", LEAVING).message
    assert "truth" in fails(clip, "--truth", tmp_path / "none.json").message
