"""The camera driver when pictures are damaged, black, frozen, or change their size: real MJPEG, real model."""

from __future__ import annotations

import threading
from itertools import chain, count, repeat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_agent.config.cameras import Camera
from edge_agent.contract.errors import CameraStalled, LinkLost
from edge_agent.drivers.camera import CameraDriver
from edge_agent.readings import DeviceAnswered, DeviceDegraded, LineCrossing, LineWatched, Reading
from edge_agent.service import metrics
from edge_agent.vision import capture, picture_health
from edge_agent.vision.families import Picture

ANSWERED = DeviceAnswered("cam-door")
PER_S = 20


def camera(source: str, **settings: Any) -> Camera:
    line = {"id": "leaving", "from": [560, 432], "to": [560, 0]}
    values = {"id": "cam-door", "driver": "camera", "source": source, "footfall": {"lines": [line]}}
    return Camera.model_validate({**values, "drawn_on": [768, 432], **settings})


def noise(seed: int, *, size: tuple[int, int] = (432, 768)) -> Picture:
    return np.random.default_rng(seed).integers(60, 120, (*size, 3), np.uint8)


def flipped(part: bytes, seed: int) -> bytes:
    """The part with 40 wrong bits in its picture, or without the end of it."""
    random, wrong = np.random.default_rng(seed), bytearray(part)
    if seed % 4 < 2:
        return part.replace(part[len(part) // 2 :], b"\0" * (len(part) - len(part) // 2))
    for place in random.integers(300, len(part) - 4, 40):
        wrong[place] ^= 1 << int(random.integers(8))
    return bytes(wrong)


class Scenes:
    """A film that shows one of several endless scenes at a time; a test says when the next one comes."""

    def __init__(self, *scenes: Any) -> None:
        self._scenes = scenes
        self.at = 0

    def __call__(self, write: Any, over: threading.Event) -> None:
        for number in count():
            write(self._scenes[self.at](number))
            if over.wait(1 / PER_S):
                return


def reasons(readings: list[Reading]) -> list[str]:
    return [reading.reason for reading in readings if isinstance(reading, DeviceDegraded)]


def watched(readings: list[Reading]) -> int:
    return sum(isinstance(reading, LineWatched) for reading in readings)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (np.zeros((432, 768, 3), np.uint8), "the picture is black"),
        (noise(1), "frozen: the same picture for 1 s, to the last bit"),
        (noise(1, size=(480, 640)), "640x480 now: another shape than 768x432"),
    ],
)
async def test_a_picture_that_tells_nothing_is_degraded_and_unwatched_until_it_is_good_again(
    mjpeg: Any, emitted: Any, running: Any, monkeypatch: pytest.MonkeyPatch, trouble: Picture, reason: str
) -> None:
    monkeypatch.setattr(picture_health, "BLACK_AFTER_S", 0.5)
    good, bad = [mjpeg.part(noise(n)) for n in range(7)], mjpeg.part(trouble)
    scenes = Scenes(lambda n: good[n % 7], lambda _n: bad)
    with mjpeg.serving(scenes) as address:
        async with running(CameraDriver(camera(address, frozen_after_s=1)).run(emitted)):
            await emitted.until(watched)
            scenes.at = 1
            await emitted.until(reasons)
            before = watched(emitted.readings)
            scenes.at = 0
            await emitted.until(lambda readings: watched(readings) > before)
    (said,) = reasons(emitted.readings)
    assert reason in said
    degraded = emitted.readings.index(DeviceDegraded("cam-door", said))
    assert emitted.readings[degraded + 1] == ANSWERED
    assert watched(emitted.readings[:degraded]) == before


async def test_a_person_is_counted_once_though_frames_are_damaged_and_the_sub_stream_comes_and_goes(
    mjpeg: Any, outside_data: Path, emitted: Any, running: Any
) -> None:
    clip = cv2.VideoCapture(str(outside_data / "video" / "one-by-one-person-detection.mp4"), cv2.CAP_FFMPEG)
    clip.set(cv2.CAP_PROP_POS_FRAMES, 168)
    large = [clip.read()[1] for _ in range(32)]
    clip.release()
    small = [cv2.resize(picture, (384, 216), interpolation=cv2.INTER_AREA) for picture in large]
    parts = [mjpeg.part(picture) for picture in (*small[:10], *large[10:22], *small[22:])]
    parts = [flipped(part, n) if n % 5 >= 3 else part for n, part in enumerate(parts)]

    def film(write: Any, over: threading.Event) -> None:
        for part in chain(parts, repeat(parts[-1])):
            write(part)
            if over.wait(0.1):
                return

    damaged = metrics.frames_damaged.labels("cam-door")._value.get()
    with mjpeg.serving(film) as address:
        async with running(CameraDriver(camera(address)).run(emitted)):
            await emitted.until(lambda readings: any(isinstance(r, LineCrossing) for r in readings))
            seen = watched(emitted.readings)
            await emitted.until(lambda readings: watched(readings) > seen + 1)
    assert sum(isinstance(reading, LineCrossing) for reading in emitted.readings) == 1
    assert not reasons(emitted.readings)
    assert metrics.frames_damaged.labels("cam-door")._value.get() > damaged


async def test_a_camera_of_which_no_frame_can_be_read_has_stalled(
    mjpeg: Any, emitted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "STALLED_AFTER_S", 0.5)
    bad = b"--edge\r\nContent-Type: image/jpeg\r\nContent-Length: 4\r\n\r\nbad!\r\n"
    with (
        mjpeg.serving(Scenes(lambda _n: bad)) as address,
        pytest.raises(CameraStalled, match="could be read"),
    ):
        await CameraDriver(camera(address)).run(emitted)


async def test_an_absent_usb_camera_is_lost_with_a_hint(emitted: Any) -> None:
    with pytest.raises(LinkLost, match="cannot open usb:63") as caught:
        await CameraDriver(camera("usb:63")).run(emitted)
    assert "plugged in" in caught.value.hint
