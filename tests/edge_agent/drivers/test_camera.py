"""The camera driver on real streams: a real MJPEG server, real files, real frames."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import cv2
import pytest
from pydantic import ValidationError

from edge_agent.config.cameras import Camera
from edge_agent.config.store import StoreSettings
from edge_agent.contract.errors import AssetsMissing, CameraStalled, ConfigError, LinkLost, ModelError
from edge_agent.contract.times import utc_now
from edge_agent.drivers.camera import CameraDriver
from edge_agent.readings import (
    DeviceAnswered,
    DeviceDegraded,
    HeatSeen,
    LineCrossing,
    LineWatched,
    Reading,
    ZoneWatched,
)
from edge_agent.service.settings import load
from edge_agent.vision import capture, model
from edge_agent.vision.view import CameraView

LEAVING = {"id": "leaving", "from": [560, 432], "to": [560, 0]}
ACROSS = {"id": "across", "from": [10, 120], "to": [300, 120]}


def camera(source: str | Path, line: dict[str, Any], **footfall: Any) -> Camera:
    return Camera.model_validate(
        {
            "id": "cam-door",
            "driver": "camera",
            "source": str(source),
            "footfall": {"lines": [line], **footfall},
        }
    )


def of(readings: Sequence[Reading], kind: type[Reading]) -> list[Any]:
    return [reading for reading in readings if isinstance(reading, kind)]


def has(kind: type[Reading], count: int = 1) -> Callable[[list[Reading]], bool]:
    """A condition to wait for: that many readings of a kind."""
    return lambda readings: len(of(readings, kind)) >= count


async def unheard(_readings: Sequence[Reading]) -> None:
    """An `emit` for drivers that fail before they say anything of interest."""


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("clips/door.mp4", "/srv/store/clips/door.mp4"),
        ("/clips/door.mp4", "/clips/door.mp4"),
        ("rtsp://10.0.0.7/live", "rtsp://10.0.0.7/live"),
        ("usb:1", "usb:1"),
    ],
)
def test_a_relative_file_lies_beside_the_configuration(source: str, found: str) -> None:
    values = {"id": "cam", "driver": "camera", "source": source}
    assert Camera.model_validate(values, context={"base": Path("/srv/store")}).source == found


@pytest.mark.parametrize("source", ["usb:front", "rtmp://10.0.0.7/live"])
def test_a_source_of_an_unknown_kind_is_refused(source: str) -> None:
    with pytest.raises(ValidationError, match=r"usb:0"):
        Camera.model_validate({"id": "cam", "driver": "camera", "source": source})


@pytest.mark.parametrize(
    "source",
    [
        "rtsp://admin:secr#et@10.0.0.7/s",
        "rtsp://admin:12/34@10.0.0.7/s",
        "http://admin:wh?t@10.0.0.7/s",
        "rtsp://10.0.0.7:808O/s",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_and_not_repeated(source: str, tmp_path: Path) -> None:
    store = tmp_path / "store.yaml"
    camera = {"id": "cam", "driver": "camera", "source": source, "footfall": {"lines": [LEAVING]}}
    store.write_text(json.dumps({"store": {"id": "s"}, "devices": [camera]}))
    with pytest.raises(ConfigError) as caught:
        load(store, StoreSettings, env_prefix="X", environ={})
    said = " ".join([str(caught.value), *caught.value.problems])
    assert "%23" in said
    assert source not in said
    assert "secr" not in said


def endless(mjpeg: Any, *, per_s: float = 30) -> Any:
    """A film of a plain picture that never ends."""
    part = mjpeg.part(mjpeg.grey())

    def film(write: Any, over: threading.Event) -> None:
        while not over.wait(1 / per_s):
            write(part)

    return film


def cut(clip: Path, first: int, last: int) -> list[Any]:
    """Frames `first` to `last` of a clip."""
    video = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    video.set(cv2.CAP_PROP_POS_FRAMES, first)
    pictures = [video.read()[1] for _ in range(first, last)]
    video.release()
    return pictures


@pytest.fixture
def leaving(outside_data: Path) -> list[Any]:
    """Real frames, ten a second: a woman stands, then walks out to the right over x = 560."""
    return cut(outside_data / "video" / "one-by-one-person-detection.mp4", 168, 200)


async def test_one_person_in_an_mjpeg_stream_is_one_crossing(
    mjpeg: Any, leaving: list[Any], emitted: Any, running: Any
) -> None:
    parts = [mjpeg.part(picture) for picture in leaving]

    def film(write: Any, over: threading.Event) -> None:
        for part in itertools.chain(parts, itertools.repeat(parts[-1])):
            write(part)
            if over.wait(0.1):
                return

    before = utc_now()
    with mjpeg.serving(film) as address:
        async with running(CameraDriver(camera(address, LEAVING)).run(emitted)):
            await emitted.until(has(LineCrossing))
            seen = len(of(emitted.readings, LineWatched))
            await emitted.until(has(LineWatched, seen + 2))
    assert emitted.readings[0] == DeviceAnswered("cam-door")
    (crossing,) = of(emitted.readings, LineCrossing)
    assert (crossing.device, crossing.line, crossing.direction) == ("cam-door", "leaving", "entered")
    assert before < crossing.occurred_at < utc_now()
    watched = [reading.occurred_at for reading in of(emitted.readings, LineWatched)]
    gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(watched)]
    assert all(0.9 <= gap < 3 for gap in gaps)


async def test_a_person_in_a_zone_is_told_to_the_end_of_the_file_and_stands_in_a_cell(
    leaving: list[Any], tmp_path: Path, emitted: Any, running: Any
) -> None:
    clip = tmp_path / "leaving.avi"
    height, width = leaving[0].shape[:2]
    video = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (width, height))
    for picture in leaving:
        video.write(picture)
    video.release()
    inside = [[0, 0], [560, 0], [560, height + 1], [0, height + 1]]
    floor = {"zones": [{"id": "inside", "polygon": inside}], "heat_map": {"columns": 2, "rows": 1}}
    watching = camera(clip, LEAVING, **floor)
    async with running(CameraDriver(watching).run(emitted)):
        await emitted.until(has(DeviceDegraded))
    told = of(emitted.readings, ZoneWatched)
    (heat,) = of(emitted.readings, HeatSeen)
    assert sum(reading.visits for reading in told) == 1
    assert told[-1].occupancy is None, "nobody knows once it has ended"
    watched_s, dwell_s = sum(r.watched_s for r in told), sum(r.dwell_s for r in told)
    assert watched_s == pytest.approx(heat.watched_s)
    assert 2.5 <= watched_s <= len(leaving) / 10
    # By eye she walks over x = 560 in the second second.
    assert 0.5 <= dwell_s <= 2.4
    assert dwell_s < sum(heat.cells) <= watched_s, "in the picture she stays for longer"


async def test_a_file_has_its_own_time_and_its_end_is_said_once_and_not_replayed(
    leaving: list[Any], tmp_path: Path, emitted: Any, running: Any
) -> None:
    clip = tmp_path / "leaving.avi"
    height, width = leaving[0].shape[:2]
    video = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (width, height))
    for picture in leaving:
        video.write(picture)
    video.release()
    before = utc_now()
    async with running(CameraDriver(camera(clip, LEAVING)).run(emitted)) as task:
        await emitted.until(has(DeviceDegraded))
        assert emitted.readings[-1] == DeviceDegraded("cam-door", "the video file has ended")
        ended = len(emitted.readings)
        done, _ = await asyncio.wait([task], timeout=0.5)
        assert not done
        assert len(emitted.readings) == ended
    (crossing,) = of(emitted.readings, LineCrossing)
    assert crossing.direction == "entered"
    first = of(emitted.readings, LineWatched)[0].occurred_at
    assert 0 <= (first - before).total_seconds() < 5
    # She is over the line in the second second of the cut, by eye and by its own clock.
    assert 1 <= (crossing.occurred_at - first).total_seconds() <= 2.4


async def test_a_camera_that_falls_silent_has_stalled_and_a_new_try_finds_it_again(
    mjpeg: Any, monkeypatch: pytest.MonkeyPatch, emitted: Any
) -> None:
    monkeypatch.setattr(capture, "STALLED_AFTER_S", 0.5)
    part = mjpeg.part(mjpeg.grey())

    def film(write: Any, over: threading.Event) -> None:
        write(part)
        over.wait()

    with mjpeg.serving(film) as address:
        for attempt in (1, 2):
            with pytest.raises(CameraStalled, match="no frame from http://127"):
                await CameraDriver(camera(address, ACROSS)).run(emitted)
            assert len(of(emitted.readings, DeviceAnswered)) == attempt


async def test_a_camera_that_hangs_up_is_lost(mjpeg: Any) -> None:
    def film(write: Any, _over: threading.Event) -> None:
        write(mjpeg.part(mjpeg.grey()))

    with mjpeg.serving(film) as address, pytest.raises(LinkLost):
        await CameraDriver(camera(address, ACROSS)).run(unheard)


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
async def test_an_absent_camera_is_lost_and_its_password_stays_secret(
    scheme: str, unused_tcp_port: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    source = f"{scheme}://admin:s3cret@127.0.0.1:{unused_tcp_port}/live?token=hidden"
    with pytest.raises(LinkLost, match=f"cannot open {scheme}://127.0.0.1:{unused_tcp_port}") as caught:
        await CameraDriver(camera(source, ACROSS)).run(unheard)
    said = str(caught.value) + caught.value.hint + caplog.text + "".join(capfd.readouterr())
    assert "s3cret" not in said
    assert "hidden" not in said


async def test_a_cancelled_driver_leaves_no_thread_even_when_the_camera_is_silent(
    mjpeg: Any, emitted: Any
) -> None:
    def film(write: Any, over: threading.Event) -> None:
        write(mjpeg.part(mjpeg.grey()))
        over.wait()

    with mjpeg.serving(film) as address:
        task = asyncio.create_task(CameraDriver(camera(address, ACROSS)).run(emitted), name="camera")
        await emitted.until(has(DeviceAnswered))
        asked = monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert monotonic() - asked < 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("capture")]


async def test_two_cameras_share_the_one_inference_thread_fairly(
    mjpeg: Any, emitted: Any, running: Any
) -> None:
    first, second = emitted, type(emitted)()
    with mjpeg.serving(endless(mjpeg)) as address:
        async with (
            running(CameraDriver(camera(address, ACROSS)).run(first)),
            running(CameraDriver(camera(address, ACROSS)).run(second)),
        ):
            await first.until(has(LineWatched, 3))
            await second.until(has(LineWatched, 3))
    assert abs(len(of(first.readings, LineWatched)) - len(of(second.readings, LineWatched))) <= 1
    assert len([t for t in threading.enumerate() if t.name.startswith("inference")]) == 1


async def test_a_slow_reader_gets_the_newest_frame_and_every_drop_is_counted(mjpeg: Any) -> None:
    shades, all_sent = range(10, 250, 10), threading.Event()

    def film(write: Any, over: threading.Event) -> None:
        for shade in shades:
            write(mjpeg.part(mjpeg.grey(shade)))
        all_sent.set()
        over.wait()

    seen = []
    with mjpeg.serving(film) as address:
        async with asyncio.timeout(20), capture.Capture(address, per_s=1e6) as frames:
            await asyncio.to_thread(all_sent.wait)
            async for frame in frames:
                seen.append(round(float(frame.picture.mean()), -1))
                if seen[-1] == shades[-1]:
                    break
    assert seen == sorted(seen)
    assert len(seen) + frames.dropped == len(shades)


async def test_a_camera_without_a_duty_is_a_clear_error() -> None:
    values = camera("usb:0", ACROSS).model_dump(by_alias=True, exclude_none=True)
    with pytest.raises(ConfigError, match="nothing to do"):
        await CameraDriver(Camera.model_validate({**values, "footfall": None})).run(unheard)


async def test_with_a_page_a_camera_without_duties_is_looked_at_masked_and_says_that_it_is_there(
    mjpeg: Any, emitted: Any, running: Any
) -> None:
    """So that its first line can be drawn."""
    mask = [[0, 0], [160, 0], [160, 240], [0, 240]]
    view = CameraView()
    with mjpeg.serving(endless(mjpeg)) as address:
        settings = Camera.model_validate(
            {**camera(address, ACROSS).model_dump(by_alias=True), "footfall": None}
        )
        masked = settings.model_copy(update={"masks": [mask]})
        async with running(CameraDriver(masked, view=view).run(emitted)):
            look = await view.after(1)
            await emitted.until(has(DeviceAnswered, 2))
    assert look.size == (320, 240)
    assert not look.picture[:, :150].any(), "what is masked is not shown either"
    assert look.picture[:, 170:].all()


async def test_a_line_outside_the_picture_is_a_clear_error(mjpeg: Any) -> None:
    outside = {"id": "far", "from": [900, 700], "to": [1200, 700]}
    with mjpeg.serving(endless(mjpeg)) as address, pytest.raises(ConfigError, match="320x240"):
        await CameraDriver(camera(address, outside)).run(unheard)


async def test_a_model_that_cannot_be_used_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = camera("usb:0", ACROSS)
    wrong = settings.model_copy(
        update={"model": settings.model.model_copy(update={"path": tmp_path / "x.onnx", "family": "ssd"})}
    )
    with pytest.raises(ModelError, match=r"x\.onnx"):
        await CameraDriver(wrong).run(unheard)
    monkeypatch.setattr(model, "FOLDER", tmp_path)
    unbuilt = settings.model_copy(update={"model": settings.model.model_copy(update={"name": "coco-ssd"})})
    with pytest.raises(AssetsMissing):
        await CameraDriver(unbuilt).run(unheard)
