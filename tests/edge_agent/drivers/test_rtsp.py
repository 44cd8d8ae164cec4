"""RTSP for real: GStreamer's server sends H.264 over TCP, is killed, restarted, and asks for passwords."""

from __future__ import annotations

import asyncio
import itertools
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from time import monotonic
from typing import Any

import cv2
import numpy as np
import pytest

from edge_agent.config.cameras import Camera
from edge_agent.contract.errors import CameraStalled, LinkLost
from edge_agent.drivers.camera import CameraDriver
from edge_agent.readings import LineCrossing, LineWatched
from edge_agent.supervisor import KeptDevice
from edge_agent.vision import video
from edge_agent.vision.capture import Capture
from edge_agent.vision.families import Picture
from edge_agent.vision.source import frames, open_source

_PYTHON = "/usr/bin/python3"
_SERVER = Path(__file__).with_name("rtsp_camera.py")
_NEEDS = "gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly python3-gi"
LEAVING = {"id": "leaving", "from": [560, 432], "to": [560, 0]}


class RtspCamera:
    """A camera at a port of its own, which can lose its power."""

    def __init__(self, port: int, *, login: str = "", pictures: str = "") -> None:
        self.host = f"127.0.0.1:{port}"
        self.address = f"rtsp://{self.host}/live?token=hidden"
        self._command = [_PYTHON, str(_SERVER), str(port), login, pictures]

    @contextmanager
    def on(self) -> Iterator[RtspCamera]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(self._command, text=True, **pipes) as self._server:  # type: ignore[call-overload]  # pipes
            try:
                assert self._server.stdout.readline() == "ready\n"
                yield self
            finally:
                self._server.kill()

    def told(self, command: str) -> None:
        self._server.stdin.write(command + "\n")
        self._server.stdin.flush()


@pytest.fixture
def port(unused_tcp_port: int) -> int:
    asked = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst; Gst.init();"
    )
    asked += "assert all(map(Gst.ElementFactory.find, ('x264enc', 'rtph264pay')))"
    try:
        subprocess.run([_PYTHON, "-c", asked], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"no RTSP server: apt-get install {_NEEDS}")
    return unused_tcp_port


def clock_ms(picture: Picture) -> int:
    """What the camera's clock said when it filmed this."""
    height, width = picture.shape[:2]
    stripes = picture[height // 2, width // 64 :: width // 32, 1]
    return int("".join("1" if stripe > 128 else "0" for stripe in stripes), 2)


def age_ms(picture: Picture) -> int:
    return int(monotonic() * 1000) - clock_ms(picture)


def crossings(readings: list[Any]) -> int:
    return sum(isinstance(reading, LineCrossing) for reading in readings)


def filmed(clip: Path, folder: Path) -> None:
    """Pictures for the camera, ten a second: a woman stands for 3 s, then walks out over x = 560."""
    video = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    video.set(cv2.CAP_PROP_POS_FRAMES, 168)
    walk = range(30, 62)
    for number in walk:
        cv2.imwrite(str(folder / f"{number:03d}.jpg"), video.read()[1])
    video.release()
    for number in (*range(1, walk[0]), *range(walk[-1] + 1, 400)):
        (folder / f"{number:03d}.jpg").symlink_to(f"{min(max(number, walk[0]), walk[-1]):03d}.jpg")


async def test_people_in_an_rtsp_stream_are_counted_and_a_camera_that_was_off_is_found_again(
    port: int, outside_data: Path, tmp_path: Path, emitted: Any, running: Any
) -> None:
    filmed(outside_data / "video" / "one-by-one-person-detection.mp4", tmp_path)
    server = RtspCamera(port, pictures=f"{tmp_path}/%03d.jpg")
    settings = Camera.model_validate(
        {"id": "cam", "driver": "camera", "source": server.address, "footfall": {"lines": [LEAVING]}}
    )
    losses: asyncio.Queue[str] = asyncio.Queue()

    async def lost(_device: str, reason: str, *, hint: str) -> None:
        losses.put_nowait(reason + hint)

    device = KeptDevice("cam", lambda: CameraDriver(settings), lost)
    async with running(device.run(emitted)):
        with server.on():
            await emitted.until(lambda readings: crossings(readings) == 1, timeout=20)
        async with asyncio.timeout(20):
            reasons = [await losses.get()]
            known = list(emitted.readings)
            while "no camera answers" not in reasons[-1]:
                reasons.append(await losses.get())
        assert emitted.readings == known  # nothing is watched, so nothing is a zero
        with server.on():
            await emitted.until(lambda readings: crossings(readings) == 2, timeout=20)
    watched = [reading.occurred_at for reading in emitted.readings if isinstance(reading, LineWatched)]
    assert max(b - a for a, b in itertools.pairwise(watched)).total_seconds() > 1
    assert server.host in reasons[-1]
    assert not any("hidden" in reason for reason in reasons)


async def test_a_slow_reader_sees_what_is_now_and_not_a_queue_of_what_was(port: int) -> None:
    ages: list[int] = []
    with RtspCamera(port).on() as camera:
        async with asyncio.timeout(20), Capture(camera.address, per_s=1e6) as newest:
            async for frame in newest:
                ages.append(age_ms(frame.picture))
                if len(ages) == 10:
                    break
                await asyncio.sleep(0.3)  # the reader's work, not a wait for something
            assert newest.dropped > 2 * len(ages)
    # The first frames of a stream are those that FFmpeg made itself sure with.
    assert max(ages[3:]) < 500


def test_a_wrong_password_and_an_unknown_path_are_named_without_secrets(
    port: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with RtspCamera(port, login="viewer:s3cr%t").on() as camera:
        right = camera.address.replace("//", "//viewer:s3cr%25t@")
        source = open_source(right)
        assert source.grab() is not None
        source.close()
        said = ""
        for address, problem in (
            (right.replace("s3cr", "wr0ng"), "refuses the user or the password"),
            (camera.address, "asks for a user and a password"),
            (right.replace("/live", "/nowhere"), "has no such stream"),
        ):
            with pytest.raises(LinkLost, match=f"cannot open rtsp://{camera.host}: it {problem}") as caught:
                open_source(address)
            said += str(caught.value) + caught.value.hint
    said += caplog.text + "".join(capfd.readouterr())
    assert not any(secret in said for secret in ("s3cr", "wr0ng", "hidden", "viewer"))


def test_a_silent_stream_has_stalled(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "READ_TIMEOUT_S", 0.5)
    with RtspCamera(port).on() as camera:
        source = open_source(camera.address)
        assert source.grab() is not None
        camera.told("mute on")
        with pytest.raises(CameraStalled, match=f"no frame from rtsp://{camera.host}"):
            list(frames(source, per_s=1))
        source.close()


def test_a_picture_keeps_its_size_when_the_stream_changes_its_own(port: int) -> None:
    with RtspCamera(port).on() as camera:
        source = open_source(camera.address)
        for size in ("320 180", "1280 720"):
            camera.told(f"size {size}")
            for _ in range(40):
                source.grab()
            picture = source.picture()
            assert picture is not None
            assert picture.shape == (360, 640, 3)
            assert 0 <= age_ms(picture) < 2000
        source.close()


def test_damaged_bytes_in_the_stream_end_neither_it_nor_the_program(port: int) -> None:
    with RtspCamera(port).on() as camera:
        source = open_source(camera.address)
        assert source.grab() is not None
        camera.told("damage 0.001")
        for _ in range(50):
            source.grab()
            picture = source.picture()
            assert picture is None or picture.shape == (360, 640, 3)
        camera.told("damage 0")
        ages = []
        for _ in range(40):
            source.grab()
            picture = source.picture()
            ages += [age_ms(picture)] if picture is not None else []
        source.close()
    assert np.median(ages[-10:]) < 500


def test_a_process_ends_well_while_a_camera_is_still_being_opened() -> None:
    program = """
import asyncio, sys
from edge_agent.vision import capture, rtsp, video
rtsp._ANSWER_WITHIN_S = 0.1
video.OPEN_TIMEOUT_S, capture._STOP_WITHIN_S = 1.0, 0.1
async def main():
    async with capture.Capture(sys.argv[1], per_s=5):
        pass
asyncio.run(main())
"""
    with create_server(("127.0.0.1", 0)) as mute:
        address = f"rtsp://127.0.0.1:{mute.getsockname()[1]}/live"
        ended = subprocess.run([sys.executable, "-c", program, address], capture_output=True, timeout=20)
    assert (ended.returncode, ended.stderr) == (0, b"")
