"""What a source may be, how it is shown, and reading MJPEG from a real HTTP server."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from contextlib import closing
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.errors import CameraStalled, LinkLost
from edge_agent.vision import mjpeg as mjpeg_reader
from edge_agent.vision.source import frames, kind_of, open_source, shown


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("rtsp://10.0.0.7/stream1", "rtsp"),
        ("https://door.example/video", "http"),
        ("usb:0", "usb"),
        ("/srv/clips/door.mp4", "file"),
        ("clips/door.mp4", "file"),
    ],
)
def test_the_kind_of_a_source(source: str, kind: str) -> None:
    assert kind_of(source) == kind


def test_a_source_is_shown_without_its_secrets() -> None:
    assert shown("rtsp://admin:s3cret@10.0.0.7:554/live?key=abc") == "rtsp://10.0.0.7:554"
    assert shown("https://user:pw@door.example/video") == "https://door.example"
    assert shown("/srv/clips/door.mp4") == "door.mp4"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("with_length", [False, True])
def test_every_form_of_mjpeg_is_read_frame_by_frame(mjpeg: Any, *, chunked: bool, with_length: bool) -> None:
    def film(write: Any, _over: threading.Event) -> None:
        for shade in range(0, 250, 50):
            write(mjpeg.part(mjpeg.grey(shade), with_length=with_length))
        write(b"--edge--\r\n")

    shades = []
    with mjpeg.serving(film, chunked=chunked) as address, closing(open_source(address)) as source:
        for _ in range(5):
            source.grab()
            picture = source.picture()
            assert picture is not None
            shades.append(round(float(picture.mean())))
        with pytest.raises(LinkLost, match="broke off"):
            source.grab()
    assert shades == pytest.approx([0, 50, 100, 150, 200], abs=2)


def test_a_pause_inside_a_frame_is_waited_for(mjpeg: Any) -> None:
    def film(write: Any, over: threading.Event) -> None:
        part = mjpeg.part(np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8))
        write(part + part[:5000])
        over.wait(0.4)
        write(part[5000:])

    with mjpeg.serving(film) as address, closing(open_source(address)) as source:
        pictures = []
        for _ in range(2):
            source.grab()
            pictures.append(source.picture())
    assert pictures[0] is not None
    assert np.array_equal(pictures[0], pictures[1])


def test_a_damaged_frame_is_left_out(mjpeg: Any) -> None:
    def film(write: Any, over: threading.Event) -> None:
        write(b"--edge\r\nContent-Type: image/jpeg\r\nContent-Length: 4\r\n\r\nbad!\r\n")
        write(mjpeg.part(mjpeg.grey(90)))
        over.wait()

    with mjpeg.serving(film) as address, closing(open_source(address)) as source:
        seen = frames(source, per_s=1000)
        assert next(seen)[1] is None
        picture = next(seen)[1]
        assert picture is not None


def test_user_and_password_are_sent_and_a_wrong_one_is_named_without_secrets(mjpeg: Any) -> None:
    def film(write: Any, over: threading.Event) -> None:
        write(mjpeg.part(mjpeg.grey()))
        over.wait()

    with mjpeg.serving(film, password="s3cret") as address:
        with closing(open_source(address)) as source:
            assert source.grab() is not None
        with pytest.raises(LinkLost, match="answers 401") as caught:
            open_source(address.replace("s3cret", "wr0ng"))
        with pytest.raises(LinkLost, match="answers 401"):
            open_source(address.replace("viewer:s3cret@", ""))
    said = str(caught.value) + caught.value.hint + repr(caught.value.__cause__)
    assert "wr0ng" not in said
    assert "hidden" not in said


def test_a_silent_camera_has_stalled(mjpeg: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mjpeg_reader, "OPEN_TIMEOUT_S", 0.3)

    def film(write: Any, over: threading.Event) -> None:
        write(mjpeg.part(mjpeg.grey()))
        over.wait()

    with mjpeg.serving(film) as address, closing(open_source(address)) as source:
        assert source.grab() is not None
        with pytest.raises(CameraStalled):
            source.grab()


class Timed:
    """A source of plain pictures at these times."""

    def __init__(self, times: Iterable[float]) -> None:
        self._times = iter(times)

    def grab(self) -> float | None:
        return next(self._times, None)

    def picture(self) -> Any:
        return np.zeros((4, 4, 3), np.uint8)

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


def test_frames_are_chosen_by_their_time_not_by_their_number() -> None:
    """Twelve frames a second, with a gap of a second."""
    times = [n / 12 for n in range(24)] + [3 + n / 12 for n in range(12)]
    due = [at_s for at_s, picture in frames(Timed(times), per_s=5) if picture is not None]
    assert len(due) == 15
    assert min(b - a for a, b in itertools.pairwise(due)) > 0.08
    assert [t for t in due if t < 1] == pytest.approx([0, 3 / 12, 5 / 12, 7 / 12, 10 / 12])


@given(st.sampled_from([10, 12, 15, 25, 30]), st.sampled_from([1, 2, 5, 10]), st.integers(0, 2**32))
def test_as_many_frames_are_chosen_as_are_asked_for_whatever_the_camera_sends(
    sent_per_s: int, per_s: int, seed: int
) -> None:
    """Frames arrive up to 4 ms late, and a file's times are rounded to the microsecond."""
    random = Random(seed)
    times = [round(n / sent_per_s + random.choice([0, 0, 0.0005, 0.004]), 6) for n in range(10 * sent_per_s)]
    seen = frames(Timed(times), per_s=per_s)
    due = [at_s for at_s, picture in seen if picture is not None]
    assert len(due) == pytest.approx(10 * per_s, abs=1)
    assert max(b - a for a, b in itertools.pairwise(due)) < 1 / per_s + 1 / sent_per_s + 0.01
